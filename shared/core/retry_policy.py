"""When a chunk that could not be archived is tried again: until its source expires, not until a counter runs out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = timedelta(minutes=30)
"""Most time between two tries."""

SHORTEST_NEAR_DEADLINE = timedelta(seconds=30)
"""Least time between two tries when the source is about to expire."""


def delay_after(
    tries: int,
    *,
    first: timedelta,
    retry_after: float | None,
    time_left: timedelta,
    random: Callable[[], float],
) -> timedelta:
    """Return how long to wait after a failed try.

    The delay doubles with each try and is spread by half, so that chunks that failed together do not come back
    together. It never takes more than half of the time left, so tries get denser towards the deadline instead of
    leaping over it; only a Retry-After of the other side can be longer.

    Parameters
    ----------
    tries
        Failed tries so far, 1 after the first.
    first
        The delay after the first.
    retry_after
        Seconds that the other side asked for.
    time_left
        Until the source expires.
    random
        Returns a number from 0 to 1.
    """
    doubled: timedelta = min(first * 2 ** min(tries - 1, 20), LONGEST)
    grown = doubled * (0.75 + random() / 2)
    bounded = min(grown, max(time_left / 2, min(SHORTEST_NEAR_DEADLINE, grown)))
    return max(bounded, timedelta(seconds=retry_after or 0))
