"""Names of blobs.

Ids come from outside and can hold any character. A safe name keeps letters, digits, `_` and `-`, so that the usual ids
stay readable. Two ids never have the same safe name.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

_LONGEST = 200
_READABLE = 100


def safe_name(identifier: str) -> str:
    """Return a path segment that is unique for `identifier` and holds neither `/` nor `.`.

    Bytes (UTF-8) other than letters, digits, `_` and `-` become `~XX`; a longer result than 200 characters is cut to
    its beginning, `~~` and the SHA-256 of the whole.
    """
    escaped = re.sub(
        r"[^A-Za-z0-9_-]",
        lambda match: "".join(f"~{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")),
        identifier,
    )
    if 0 < len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[:_READABLE]}~~{digest(identifier)}"


def unpadded(recording_id: str) -> str:
    """Return a recordingId without base64 padding: the service writes it both ways, and means the same recording.

    Every recorded exchange has it without; the service's documents show it with `=`. Another form stays as it is.
    """
    return recording_id.rstrip("=") if re.fullmatch(r"[A-Za-z0-9_-]+={1,2}", recording_id) else recording_id


def call_key(call_id: str, start_time: datetime) -> str:
    """Return the name of a call's recording that began at `start_time`; its dots make it unlike a safe recordingId."""
    return f"call.{safe_name(call_id)}.{start_time.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def recording_prefix(name: str, start_time: datetime) -> str:
    """Return `{yyyy}/{mm}/{dd}/{name}`, the prefix of all blobs of a recording."""
    return f"{day_prefix(start_time.astimezone(UTC))}{name}"


def day_prefix(day: date) -> str:
    """Return `{yyyy}/{mm}/{dd}/`, the prefix of all recordings that began on a day."""
    return f"{day.year:04}/{day.month:02}/{day.day:02}/"


def ledger_name(recording_id: str | None, prefix: str) -> str:
    """Return a recording's name in the ledger: its safe id, or the last part of its prefix where it has no id."""
    return safe_name(recording_id) if recording_id else prefix.rpartition("/")[2]


def consent_blob(prefix: str) -> str:
    """Return the name of the consent that was given when the recording was started."""
    return f"{prefix}/consent.json"


def manifest_blob(prefix: str) -> str:
    """Return the name of the recording's manifest."""
    return f"{prefix}/manifest.json"


def content_blob(prefix: str, index: int, extension: str) -> str:
    """Return the name of chunk `index`'s media file."""
    return f"{prefix}/{index:04}.{extension}"


def metadata_blob(prefix: str, index: int) -> str:
    """Return the name of chunk `index`'s metadata file."""
    return f"{prefix}/{index:04}.metadata.json"


def event_blob(prefix: str, event_id: str) -> str:
    """Return the name of an event's blob."""
    return f"{prefix}/events/{safe_name(event_id)}.json"


def call_blob(key: str) -> str:
    """Return the name of the blob that has the prefix of the recording named by `call_key`."""
    return f"calls/{key}.json"


def chunk_identifier(recording_id: str | None, prefix: str, document_id: str) -> str:
    """Return a chunk's name, unique in the archive."""
    return f"{ledger_name(recording_id, prefix)}.{document_id}"


def digest(text: str) -> str:
    """Return the SHA-256 of a text, hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


ATTENTION = "attention/"
"""The prefix of the incidents' blobs."""


def attention_blob(key: str) -> str:
    """Return the name of an incident's blob."""
    return f"{ATTENTION}{key}.json"
