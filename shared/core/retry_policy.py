"""Which requests are retried, and when.

A request is retried in place a few times (`Backoff`). A chunk is retried until its source expires (`delay_after`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING

from shared.core.times import utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

THROTTLED = frozenset({429, 503})  # a service asks for fewer requests
TRANSIENT = frozenset({429, 500, 502, 503, 504})  # the same request may succeed within seconds
GONE = frozenset({404, 410})  # the file is not there: not retried in place

LONGEST = timedelta(minutes=30)  # between two tries
SHORTEST_NEAR_DEADLINE = timedelta(seconds=30)  # between two tries when the source is about to expire
LONGEST_QUEUED = timedelta(days=7)  # that a queue hides a message; "Put Message", visibilitytimeout
_MOST_SECONDS = 10.0**10


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a request is retried in place."""

    first: float  # seconds to wait after the first failure; they double with each
    retries: float = inf  # most repetitions in a row
    longest: float = inf  # most seconds to wait; a longer wait is left to the caller

    def delay(self, failures: int, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait after so many failures in a row (`retry_after` if given), or None for no retry."""
        delay = self.first * _growth(failures) if retry_after is None else retry_after
        return delay if failures <= self.retries and delay <= self.longest else None


SOURCE_BACKOFF = Backoff(first=0.25, retries=4, longest=20.0)  # reading a recording's files
STORAGE_BACKOFF = Backoff(first=0.5, retries=3, longest=20.0)  # writing blobs, beyond the SDK's own retries
CONTROL_BACKOFF = Backoff(first=0.5)  # controlling recordings; the caller's timeout ends it


def may_pass(status: int) -> bool:
    """Return whether a request refused with this status can succeed later: an operator can correct credentials."""
    return status >= 500 or status in {401, 403, 408, 429}


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, never less than 0; None where it cannot be read.

    Parameters
    ----------
    value
        Seconds or a date (RFC 9110, section 10.2.3) in one of the three forms of section 5.6.7; None where there is
        no header.
    now
        The time, with a zone.
    """
    text = (value or "").strip()
    if re.fullmatch(r"-?[0-9]+", text):
        seconds = float(text)
    else:
        try:
            seconds = (utc(parsedate_to_datetime(text)) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _MOST_SECONDS)


LAST_TRY = timedelta(minutes=30)
"""How long before the deadline a chunk is tried, whatever the other side asks for: a Retry-After can outlast it."""

FIRST_EVENT_DELAY = timedelta(seconds=30)
"""How long an event waits after the first time that it could not be taken in."""


def event_delay(tries: int, first: timedelta = FIRST_EVENT_DELAY) -> timedelta:
    """Return how long an event waits after our own storage failed, with so many failed tries before this one."""
    doubled: timedelta = first * 2 ** min(tries, 10)
    return min(doubled, timedelta(minutes=15))


def delay_after(
    tries: int, *, first: timedelta, retry_after: float | None, time_left: timedelta, random: Callable[[], float]
) -> timedelta:
    """Return how long to wait after a failed try.

    The delay doubles with each try, with a random part, so that chunks that failed together are not retried together.
    It is at most half of the time left, so that tries go on until the deadline. Only a Retry-After can be longer: up
    to half an hour before the deadline, and to the longest time that a queue hides a message.

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
    doubled: timedelta = min(first * _growth(tries), LONGEST)
    grown = doubled * (0.75 + random() / 2)
    bounded = min(grown, max(time_left / 2, min(SHORTEST_NEAR_DEADLINE, grown)))
    asked = timedelta(seconds=min(retry_after or 0, LONGEST_QUEUED.total_seconds()))
    return max(bounded, min(asked, max(time_left / 2, time_left - LAST_TRY)))


def _growth(failures: int) -> int:
    return 1 << min(failures - 1, 20)
