"""How a host process ends, and the drain of an instance: what the platform does when it scales in, deploys or moves."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto

DRAINED_EXIT_CODE = 143
"""128 + SIGTERM, with which the platform's worker ends in a drain."""
FASTEST, SLOWEST = 1.0, 3.0
"""Seconds that the platform gives running invocations (azure-functions-host issues 11942 and 12007)."""


class Ending(Enum):
    """What follows when the host has ended."""

    STOPPED = auto()
    """The process ends with 0, as it was asked to."""

    REPLACED = auto()
    """A fresh process takes its place."""

    DRAINED = auto()
    """The process ends with :data:`DRAINED_EXIT_CODE`: a drained instance that is not replaced."""


@dataclass(slots=True, frozen=True)
class Drain:
    """One ordered drain.

    Parameters
    ----------
    after
        Seconds until the invocations that still run are aborted.
    replace
        Whether a fresh process takes the host's place.
    """

    after: float
    replace: bool = True


def platform_seconds() -> float:
    """Return a time that the platform could give running invocations."""
    return round(random.uniform(FASTEST, SLOWEST), 3)  # noqa: S311 - no secret
