"""Structured logs: an event's name and fields, as in `chunk.archived recordingId=… documentId=… bytes=…`.

The fields are also the record's attributes, so that Application Insights has them as custom dimensions.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.core.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger("archiver")
_bound: contextvars.ContextVar[dict[str, object]] = contextvars.ContextVar("archiver_log_fields")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+=~-]+")


def quiet_sdks() -> None:
    """Log only the SDKs' warnings, not each of their HTTP requests."""
    logging.getLogger("azure").setLevel(logging.WARNING)


@contextmanager
def fields(**values: object) -> Iterator[None]:
    """Add `values` to every line that is written inside; None values are left out."""
    token = _bound.set({**_bound.get({}), **{name: value for name, value in values.items() if value is not None}})
    try:
        yield
    finally:
        _bound.reset(token)


def info(event: str, **values: object) -> None:
    """Log that something happened as it should."""
    _write(logging.INFO, event, values)


def warning(event: str, **values: object) -> None:
    """Log something that the app recovers from by itself."""
    _write(logging.WARNING, event, values)


def error(event: str, **values: object) -> None:
    """Log something that an operator has to look at."""
    _write(logging.ERROR, event, values)


def _write(level: int, event: str, values: dict[str, object]) -> None:
    given = {**_bound.get({}), **{name: value for name, value in values.items() if value is not None}}
    named = {name: redacted(value) if isinstance(value, str) else value for name, value in given.items()}
    line = " ".join([event, *(f"{name}={_text(value)}" for name, value in named.items())])
    _logger.log(level, "%s", line, extra={"event": event, **named})


def _text(value: object) -> str:
    """Return one word, or a JSON string: a value from outside can neither end the line nor look like a field."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
