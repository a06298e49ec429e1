"""Names of blobs: where everything of a recording lies.

Ids come from outside and can hold anything. A safe name keeps letters, digits, `_` and `-`, so that the usual ids stay
readable, and is one-to-one: two ids never share a name.
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
    """Return a path segment that stands for `identifier` and for no other.

    Bytes (UTF-8) other than letters, digits, `_` and `-` become `~XX`; what is then longer than 200 characters keeps
    its beginning, `~~` and the SHA-256 of the whole. The result holds neither `/` nor `.`.
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
    """Return the name of the recording of call `call_id` that began at `start_time`.

    It has dots, so it is never a safe name of a recordingId.
    """
    return f"call.{safe_name(call_id)}.{start_time.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def recording_prefix(name: str, start_time: datetime) -> str:
    """Return `{yyyy}/{mm}/{dd}/{name}`, under which everything of a recording lies."""
    return f"{day_prefix(start_time.astimezone(UTC))}{name}"


def day_prefix(day: date) -> str:
    """Return `{yyyy}/{mm}/{dd}/`, under which the recordings lie that began on a day."""
    return f"{day.year:04}/{day.month:02}/{day.day:02}/"


def ledger_name(recording_id: str | None, prefix: str) -> str:
    """Return the name under which the ledger knows a recording; its place in the archive stands in for a missing id."""
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
    """Return the name under which an event is kept with its recording."""
    return f"{prefix}/events/{safe_name(event_id)}.json"


def call_blob(key: str) -> str:
    """Return the name of the blob that says where the recording named by `call_key` lies."""
    return f"calls/{key}.json"


def chunk_identifier(recording_id: str | None, prefix: str, document_id: str) -> str:
    """Return what names a chunk among all chunks of the archive."""
    return f"{ledger_name(recording_id, prefix)}.{document_id}"


def digest(text: str) -> str:
    """Return a name for something that has none: the SHA-256 of what it says, hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


ATTENTION = "attention/"
"""Where what an operator has to look at is kept."""


def attention_blob(key: str) -> str:
    """Return the name of the blob that keeps what an operator has to look at."""
    return f"{ATTENTION}{key}.json"
