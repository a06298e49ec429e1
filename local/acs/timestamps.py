"""Time as the service writes it: UTC with seven fractional digits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: The start time that the service reports for a recording that has not begun.
NEVER = "0001-01-01T00:00:00+00:00"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(milliseconds: int) -> str:
    """Write `milliseconds` since the Unix epoch as `2021-09-30T22:24:34.9490000Z`."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}0000Z"
