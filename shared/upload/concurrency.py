"""How many connections and uploads a copy uses: measured by what more of them gain, fewer after 429 and 503."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.upload.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EPOCH = 0.1
"""Seconds over which throughput is measured before the number of connections may change."""

_STARVED = 0.2  # share of the readers' time
_FULL_GAIN = 0.7  # of the throughput that as many more connections could add
_SOME_GAIN = 0.25
_HOLD = 0.5  # seconds
_LONGEST_HOLD = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """A time over which throughput is measured: its beginning, and the bytes received and seconds waited by then."""

    began: float
    received: int
    waited: float

    def result(self, now: float, received: int, waited: float, readers: int) -> tuple[float, float]:
        """Return bytes a second, and the share of the readers' time spent waiting for buffers."""
        took = now - self.began
        return (received - self.received) / took, (waited - self.waited) / (took * max(1, readers))


class Pace:
    """Decides how many connections read from the source.

    It starts with one, and tries four times as many while the copy waits for reading. A step that gains nearly as much
    as it adds shows that the source limits each connection, so the next step follows at once. A step that gains little
    is taken back and not tried again for a while, longer each time. While the copy waits for storage or digests, none
    are added. The epoch right after a step is not measured: its connections are still being made.

    Parameters
    ----------
    limit
        The most connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._before: tuple[int, float] | None = None
        self._quiet_until = 0.0
        self._hold = _HOLD
        self._settling = False
        self.readers = 1

    def observe(self, now: float, rate: float, starved: float) -> None:
        """Use the measurement of one epoch.

        Parameters
        ----------
        now
            Seconds on a monotonic clock.
        rate
            Bytes a second read by the present number of connections.
        starved
            Share of their time, 0 to 1, spent waiting for a free buffer.
        """
        if self._settling:
            self._settling = False
            return
        if self._before is not None:
            self._judge(now, rate, starved)
        if starved > _STARVED or now < self._quiet_until or self.readers >= self._limit:
            return
        if self._before is None:
            self._grow(self.readers * 4, rate)

    def refused(self, now: float, retry_after: float | None) -> None:
        """Use half as many connections, and add none for a while: the service answered 429 or 503."""
        self.readers = max(1, self.readers // 2)
        self._before = None
        self._quiet_until = max(self._quiet_until, now + max(retry_after or 0.0, self._hold))

    def _judge(self, now: float, rate: float, starved: float) -> None:
        assert self._before is not None  # noqa: S101 - checked by the caller
        readers, before = self._before
        self._before = None
        added = self.readers / readers - 1
        gain = (rate / before - 1) / added if before > 0 else 1.0
        if gain >= _FULL_GAIN:
            self._hold = _HOLD
            self._grow(self.readers * 4, rate)
        elif gain >= _SOME_GAIN or starved > _STARVED:
            self._hold = _HOLD
        else:
            self.readers = readers
            self._quiet_until = now + self._hold
            self._hold = min(self._hold * 2, _LONGEST_HOLD)

    def _grow(self, readers: int, rate: float) -> None:
        if self.readers < self._limit:
            self._before = (self.readers, rate)
            self._settling = True
            self.readers = min(readers, self._limit)


class Gate:
    """Limits the uploads at a time: half as many after a 429 or 503 of storage, then one by one more.

    Parameters
    ----------
    limit
        The most uploads at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._allowed = float(limit)
        self._inside = 0
        self._changes = Changes()

    @property
    def allowed(self) -> int:
        """How many uploads may run now."""
        return int(self._allowed)

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait until another upload may run, and count it while it does."""
        await self._changes.until(lambda: self._inside < self.allowed)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._allowed = min(float(self._limit), self._allowed + 1 / (2 * self._allowed))
            self._changes.notify()

    def refused(self) -> None:
        """Halve the number: storage answered 429 or 503."""
        self._allowed = max(1.0, self._allowed / 2)
