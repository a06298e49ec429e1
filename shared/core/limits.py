"""Limits for all input, and how much of an input that is too large is kept.

Event Grid delivers no event above 1 MB, but a client with its key can post anything. An event that is too large or
nested too deeply is neither parsed nor copied; some of its fields are kept for the operator.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.core import blob_names

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_EVENT = 1024 * 1024  # bytes, as `excess` counts them; "Event Grid quotas and limits": 1 MB an event
LARGEST_EVENT_IN_MESSAGE = 40 * 1024  # bytes as JSON; a queue message takes 64 KiB, base64 included
DEEPEST_EVENT = 32  # levels of JSON; a real event has six
MOST_CHUNKS = 1000  # in one event; the longest recording on record had six
LONGEST_TEXT = 4096  # bytes as JSON of a text in an event: what a queue message holds of them stays below 64 KiB
LONGEST_MS = 1e12  # milliseconds of a duration: 31 years
LARGEST_METADATA = 4 * 1024 * 1024  # bytes of a metadata file; real ones have some kilobytes
MOST_PARTICIPANTS = 1000  # that a manifest names; the metadata files beside it name all
LARGEST_DEAD_LETTER = 8 * 1024 * 1024  # bytes that are read of a blob of dead letters; our choice

LARGEST_START = 128 * 1024  # bytes of the body of a start; our choice
LARGEST_CALLBACK = 256 * 1024  # bytes of the body of a callback; a real one has about one kilobyte
LARGEST_POLICY = 1024 * 1024  # bytes of the file with the rules for automatic recording; our choice
LONGEST_IDENTIFIER = 2048  # characters of an id or an address that a caller, a rule or the service names; our choice
LONGEST_BASIS = 200  # characters of a consent's basis; our choice
PAGE, LARGEST_PAGE = 50, 200  # recordings on a page, by default and at most; each costs a request to storage

LONGEST_REASON = 2000  # characters of a reason on the operator's list, far below LONGEST_PROPERTY; our choice
LONGEST_DETAIL = 500  # characters that are kept of an explanation of the service's; our choice
LONGEST_PROPERTY = 30_000  # UTF-16 units; "Understanding the Table service data model": a property takes 32,768

_NODE = 8  # bytes that each JSON value counts besides its text
_KEPT = ("id", "eventType", "type", "topic", "source", "subject", "eventTime", "time")


def text(value: str) -> str:
    """Return a text of an event unless it is too long, or cannot be encoded.

    Raises
    ------
    ValueError
        It takes more than `LONGEST_TEXT` bytes, or has half a surrogate pair, which JSON can hold and UTF-8 cannot.
    """
    if any("\ud800" <= character <= "\udfff" for character in value[:LONGEST_TEXT]):
        raise ValueError("a text has half a surrogate pair")
    if len(value) > LONGEST_TEXT or len(json.dumps(value)) > LONGEST_TEXT:
        raise ValueError(f"a text takes more than {LONGEST_TEXT} bytes")
    return value


def clipped(value: str, most: int = LONGEST_REASON) -> str:
    """Return a text, cut at its end where it has more than `most` characters."""
    return value if len(value) <= most else f"{value[: most - 1]}…"


def excess(value: object) -> str | None:
    """Return which limit decoded JSON exceeds, or None; reads no further than the limit."""
    size, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        inner: list[object] = []
        size += _NODE
        match item:
            case str():
                size += len(item)
            case dict():
                size += sum(_NODE + len(key) for key in item)
                inner = list(item.values())
            case list():
                inner = item
        if size + _NODE * len(inner) > LARGEST_EVENT:
            return f"it is larger than the {LARGEST_EVENT} bytes that an event may have"
        if inner and depth >= DEEPEST_EVENT:
            return f"it is nested more than {DEEPEST_EVENT} levels deep"
        waiting += [(part, depth + 1) for part in inner]
    return None


def evidence_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is kept of a refused event: all of it, or the beginnings of a few fields if it is too large."""
    if excess(event) is None:
        return event
    return {name: clipped(value, 200) for name in _KEPT if isinstance(value := event.get(name), str)}


def identifier_of(event: Mapping[str, Any]) -> str:
    """Return a refused event's id, or a digest where it has no usable one."""
    identifier = event.get("id")
    if isinstance(identifier, str) and 0 < len(identifier) <= LONGEST_TEXT:
        return identifier
    source = identifier if isinstance(identifier, str) else json.dumps(evidence_of(event), sort_keys=True)
    return blob_names.digest(source)
