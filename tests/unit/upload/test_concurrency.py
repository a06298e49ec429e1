from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shared.upload.concurrency import EPOCH, Gate, Pace

if TYPE_CHECKING:
    from collections.abc import Callable


def drive(pace: Pace, source: Callable[[int], float], *, sink: float = 1e12, epochs: int = 30, start: float = 0) -> int:
    """Let a pace find its number of connections to a source whose rate depends on it; the sink takes `sink` bytes/s."""
    for epoch in range(epochs):
        offered = source(pace.readers)
        pace.observe(start + epoch * EPOCH, min(offered, sink), max(0.0, 1 - sink / offered))
    return pace.readers


def test_a_source_that_limits_each_connection_gets_all_of_them_within_half_a_second() -> None:
    assert drive(Pace(8), lambda readers: readers * 40e6, epochs=5) == 8


def test_a_source_that_limits_all_connections_together_keeps_one() -> None:
    pace = Pace(8)
    used = [drive(pace, lambda _: 100e6, epochs=1, start=epoch * EPOCH) for epoch in range(600)]
    assert sum(used) / len(used) < 1.1


def test_connections_stop_being_added_where_the_source_as_a_whole_gives_no_more() -> None:
    assert drive(Pace(32), lambda readers: min(readers, 4) * 25e6) in range(2, 9)


def test_a_copy_that_waits_for_storage_does_not_split_the_source() -> None:
    assert drive(Pace(8), lambda readers: readers * 1e9, sink=250e6) == 1


def test_the_limit_holds() -> None:
    assert drive(Pace(3), lambda readers: readers * 1e6) == 3
    assert drive(Pace(1), lambda readers: readers * 1e6) == 1


def test_after_throttling_half_the_connections_are_used_for_as_long_as_the_service_asks() -> None:
    pace = Pace(8)
    drive(pace, lambda readers: readers * 40e6)
    pace.refused(100.0, 20.0)
    assert drive(pace, lambda readers: readers * 40e6, start=100.0, epochs=150) == 4
    assert drive(pace, lambda readers: readers * 40e6, start=121.0) == 8


async def test_a_gate_limits_the_uploads() -> None:
    gate, inside, most = Gate(3), 0, 0

    async def upload() -> None:
        nonlocal inside, most
        async with gate.enter():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*[upload() for _ in range(20)])
    assert most == 3


async def test_a_refused_gate_halves_and_recovers_with_each_success() -> None:
    gate = Gate(8)
    gate.refused()
    gate.refused()
    assert gate.allowed == 2
    for _ in range(100):
        async with gate.enter():
            pass
    assert gate.allowed == 8


async def test_a_gate_never_closes() -> None:
    gate = Gate(2)
    for _ in range(10):
        gate.refused()
    async with asyncio.timeout(5), gate.enter():
        assert gate.allowed == 1


async def test_a_failed_upload_does_not_block_others() -> None:
    gate = Gate(1)
    with pytest.raises(ValueError, match="x"):
        async with gate.enter():
            raise ValueError("x")
    async with asyncio.timeout(5), gate.enter():
        pass
