"""Reads the Range header (RFC 9110, section 14)."""

from __future__ import annotations

import re

_SINGLE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


class UnsatisfiableRangeError(Exception):
    """The range lies outside the file; the answer is 416."""


def parse_range(header: str | None, length: int) -> tuple[int, int] | None:
    """Return the wanted bytes as (start, stop), stop exclusive, or None for the whole file.

    Headers that are malformed, in other units or for several ranges are ignored, as the RFC allows.

    Parameters
    ----------
    header
        Value of the Range header.
    length
        Length of the file in bytes.

    Raises
    ------
    UnsatisfiableRangeError
        When no byte of the file is in the range.
    """
    match = _SINGLE.fullmatch(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        suffix = min(int(match[2]), length)
        if suffix == 0:
            raise UnsatisfiableRangeError
        return length - suffix, length
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        return None
    if start >= length:
        raise UnsatisfiableRangeError
    stop = int(match[2]) + 1 if match[2] else length
    return start, min(stop, length)
