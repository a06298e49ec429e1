"""The emulated clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import Clock

START = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class Seconds:
    """Real seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_clock_starts_at_the_given_time_and_runs_at_its_rate() -> None:
    real = Seconds()
    clock = Clock(60, START, real)
    real.now += 2
    assert (clock.now() - START).total_seconds() == pytest.approx(120)


def test_a_clock_starts_now_by_default() -> None:
    assert abs(Clock().time() - time.time()) < 5


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_does_not_run_forward_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is above zero"):
        Clock(rate)
    with pytest.raises(ValueError, match="rate is above zero"):
        Clock().set_rate(rate)


def test_the_clock_cannot_be_moved_back() -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        Clock().advance(-1)


def test_a_new_rate_does_not_jump() -> None:
    real = Seconds()
    clock = Clock(10, START, real)
    real.now += 1
    clock.set_rate(100)
    assert (clock.now() - START).total_seconds() == pytest.approx(10)
    real.now += 1
    assert (clock.now() - START).total_seconds() == pytest.approx(110)
    assert clock.rate == 100


@given(
    st.lists(
        st.tuples(st.sampled_from(["run", "rate", "advance"]), st.floats(min_value=0.001, max_value=1e5)), max_size=20
    )
)
def test_time_is_the_sum_of_what_ran_and_what_was_advanced(steps: list[tuple[str, float]]) -> None:
    real = Seconds()
    clock = Clock(1, datetime.fromtimestamp(0, UTC), real)
    expected, rate = 0.0, 1.0
    for what, amount in steps:
        match what:
            case "run":
                real.now += amount
                expected += amount * rate
            case "rate":
                clock.set_rate(amount)
                rate = amount
            case _:
                clock.advance(amount)
                expected += amount
        assert clock.time() == pytest.approx(expected)


async def test_advance_wakes_the_sleepers_whose_time_has_come_and_no_others() -> None:
    clock = Clock(1, START, Seconds())
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("minute", 60))
        group.create_task(sleeper("hour", 3600))
        await settle()
        clock.advance(61)
        await settle()
        assert woken == ["minute"]
        clock.advance(3600)
    assert woken == ["minute", "hour"]


async def test_several_small_advances_wake_a_sleeper_only_when_they_add_up() -> None:
    clock = Clock(1, START, Seconds())
    sleeper = asyncio.create_task(clock.sleep(30))
    for _ in range(2):
        await settle()
        clock.advance(10)
    await settle()
    assert not sleeper.done()
    clock.advance(10)
    await sleeper


async def test_a_faster_rate_shortens_a_sleep_under_way() -> None:
    clock = Clock(1, START)
    sleeper = asyncio.create_task(clock.sleep(3600))
    await settle()
    clock.set_rate(1_000_000)
    await sleeper
    assert (clock.now() - START).total_seconds() >= 3600


async def test_a_slower_rate_does_not_wake_a_sleeper_early() -> None:
    clock = Clock(1000, START)
    sleeper = asyncio.create_task(clock.sleep(20))  # 20 ms at the first rate
    await settle()
    clock.set_rate(0.001)
    await asyncio.wait([sleeper], timeout=0.05)
    assert not sleeper.done()
    clock.advance(20)
    await sleeper


async def test_a_moment_in_the_past_is_no_sleep() -> None:
    clock = Clock(0.001)
    await clock.sleep_until(clock.time() - 10)
    await clock.sleep(0)


async def test_a_cancelled_sleeper_stops() -> None:
    clock = Clock(1, START, Seconds())
    sleeper = asyncio.create_task(clock.sleep(60))
    await settle()
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
