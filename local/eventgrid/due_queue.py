"""What is to be done at an emulated time, earliest first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.eventgrid.clock import Clock


class DueQueue[T]:
    """Items with the emulated time at which each becomes due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()
        self._added = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[tuple[float, T]]:
        """Yield the due times and items, earliest first."""
        return ((due, item) for due, _, item in sorted(self._heap, key=lambda entry: entry[:2]))

    def push(self, item: T, due: float) -> None:
        """Add an item that is due at the given emulated time."""
        heapq.heappush(self._heap, (due, next(self._order), item))
        self._added.set()

    def pop_due(self, limit: int, fits: Callable[[T], bool] | None = None) -> list[T]:
        """Take what is due by now, earliest first, up to `limit` items and as long as `fits` agrees."""
        now = self._clock.time()
        taken: list[T] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            if fits is not None and not fits(self._heap[0][2]):
                break
            taken.append(heapq.heappop(self._heap)[2])
        return taken

    async def wait_due(self) -> None:
        """Wait until the earliest item is due."""
        while not self._heap or self._heap[0][0] > self._clock.time():
            self._added.clear()
            waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._added.wait())]
            if self._heap:
                waits.append(asyncio.ensure_future(self._clock.sleep_until(self._heap[0][0])))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
