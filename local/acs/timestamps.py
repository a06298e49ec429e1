"""Time as the service writes it: UTC with at most seven fractional digits, without zeros at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: The start time that the service reports for a recording that has not begun.
NEVER = "0001-01-01T00:00:00+00:00"
#: The expiry that the service reports in a recording's result.
NEVER_Z = "0001-01-01T00:00:00Z"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(milliseconds: int, zone: str = "Z") -> str:
    """Write `milliseconds` since the Unix epoch as `2021-09-30T22:24:34.9497016Z`.

    The emulator counts whole milliseconds and the service 100 ns: the last four digits are made up, always the same
    ones for the same millisecond.
    """
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    fraction = f"{milliseconds % 1000:03d}{milliseconds * 7919 % 10_000:04d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}{zone}"
