"""Times as the app reads and writes them: always in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LAST_YEAR = 9000

type Now = Callable[[], datetime]
"""A clock that gives the current time in UTC, such as `utc_now`; tests pass their own."""


def utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; one without an offset is taken as UTC.

    Raises
    ------
    ValueError
        In UTC it would lie before the year 1 or so late that nothing can be added to it.
    """
    try:
        result = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error
    if result.year > _LAST_YEAR:
        raise ValueError("the time is out of range")
    return result


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def iso_time(moment: datetime) -> str:
    """Return a moment as the archive writes it: ISO 8601, UTC, microseconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
