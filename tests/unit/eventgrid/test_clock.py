"""The emulator's own clock, for when it runs without the stack."""

from __future__ import annotations

import asyncio
import time

import pytest

from local.eventgrid.clock import EmulatedClock


class Seconds:
    """Real seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_starts_now_and_runs_at_its_rate() -> None:
    real = Seconds()
    clock = EmulatedClock(60, real)
    assert abs(clock.time() - time.time()) < 5
    start = clock.time()
    real.now += 2
    assert clock.time() - start == pytest.approx(120)


def test_a_new_rate_does_not_jump() -> None:
    real = Seconds()
    clock = EmulatedClock(10, real)
    start = clock.time()
    real.now += 1
    clock.set_rate(100)
    assert clock.time() - start == pytest.approx(10)
    real.now += 1
    assert clock.time() - start == pytest.approx(110)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_does_not_run_forward_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is above zero"):
        EmulatedClock(rate)
    with pytest.raises(ValueError, match="rate is above zero"):
        EmulatedClock().set_rate(rate)


def test_it_cannot_be_moved_back() -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        EmulatedClock().advance(-1)


async def test_an_advance_wakes_the_sleepers_whose_time_has_come_and_no_others() -> None:
    clock = EmulatedClock(1, Seconds())
    short = asyncio.create_task(clock.sleep_until(clock.time() + 60))
    long = asyncio.create_task(clock.sleep_until(clock.time() + 3600))
    await asyncio.sleep(0)
    clock.advance(61)
    await asyncio.wait_for(short, 5)
    assert not long.done()
    clock.advance(3600)
    await asyncio.wait_for(long, 5)


async def test_a_faster_rate_shortens_a_sleep_under_way() -> None:
    clock = EmulatedClock()
    sleeper = asyncio.create_task(clock.sleep_until(clock.time() + 3600))
    await asyncio.sleep(0)
    clock.set_rate(1_000_000)
    await asyncio.wait_for(sleeper, 5)
