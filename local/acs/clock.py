"""Emulated time that can run faster than real time and be moved forward."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What the emulator needs of a clock; share one object with other emulators to keep their times in step."""

    @property
    def rate(self) -> float:
        """Emulated seconds a real second."""

    def time(self) -> float:
        """Emulated seconds since the Unix epoch."""

    def now(self) -> datetime:
        """Emulated time, in UTC."""

    def set_rate(self, rate: float) -> None:
        """Run at another speed from now on."""

    def advance(self, seconds: float) -> None:
        """Jump forward by emulated `seconds`."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for emulated `seconds`."""

    async def sleep_until(self, moment: float) -> None:
        """Sleep until the emulated `moment`, in seconds since the Unix epoch."""


class EmulatedClock:
    """A clock that starts at real time and runs at `rate` emulated seconds a real second.

    Parameters
    ----------
    rate
        Emulated seconds that pass in one real second; above zero.
    start
        The emulated time at which the clock starts; the real time by default.
    monotonic
        Source of real seconds, replaceable in tests.
    """

    def __init__(
        self, rate: float = 1.0, start: datetime | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._anchor_real = monotonic()
        self._anchor_emulated = (start or datetime.now(UTC)).timestamp()
        self._rate = _checked_rate(rate)
        self._moved = asyncio.Event()

    @property
    def rate(self) -> float:
        """Emulated seconds a real second."""
        return self._rate

    def time(self) -> float:
        """Emulated seconds since the Unix epoch."""
        return self._anchor_emulated + (self._monotonic() - self._anchor_real) * self._rate

    def now(self) -> datetime:
        """Emulated time, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def set_rate(self, rate: float) -> None:
        """Run at another speed from now on; sleepers wake at the emulated time they asked for."""
        self._anchor(self.time(), _checked_rate(rate))

    def advance(self, seconds: float) -> None:
        """Jump forward by emulated `seconds`; sleepers whose time has passed wake at once."""
        if seconds < 0:
            raise ValueError(f"the clock only moves forward, not by {seconds} s")
        self._anchor(self.time() + seconds, self._rate)

    async def sleep(self, seconds: float) -> None:
        """Sleep for emulated `seconds`."""
        await self.sleep_until(self.time() + seconds)

    async def sleep_until(self, moment: float) -> None:
        """Sleep until the emulated `moment`, in seconds since the Unix epoch."""
        while (remaining := moment - self.time()) > 0:
            moved = self._moved
            try:
                async with asyncio.timeout(remaining / self._rate):
                    await moved.wait()
            except TimeoutError:
                continue
        await asyncio.sleep(0)

    def _anchor(self, emulated: float, rate: float) -> None:
        self._anchor_real = self._monotonic()
        self._anchor_emulated = emulated
        self._rate = rate
        self._moved.set()
        self._moved = asyncio.Event()


def _checked_rate(rate: float) -> float:
    if not rate > 0:
        raise ValueError(f"a clock's rate is above zero, not {rate}")
    return rate
