"""The metadata file that the service has for each chunk.

The archive keeps its bytes unchanged. The fields read here only fill the manifest, so an invalid field is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.core.errors import SourceNotReady
from shared.core.limits import LONGEST_MS, LONGEST_TEXT
from shared.core.models import UtcDatetime
from shared.core.times import iso_time
from shared.events.recording_files import ChannelType, ContentType, control_api_spelling

_LAST_CHANNEL = 9999

_MOMENT: TypeAdapter[UtcDatetime] = TypeAdapter(UtcDatetime)


@dataclass(frozen=True, slots=True)
class ChunkParticipant:
    """A participant, and the channel of an unmixed recording, as the service counts them."""

    participant_id: str
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkMetadata:
    """The content of a chunk's metadata file; what it lacks is None or empty.

    `start_time` is the chunk's, ISO 8601 in UTC; the types and the format are spelled as in the control API.
    """

    document_id: str | None
    call_id: str | None
    start_time: str | None
    duration_ms: int | None
    content_type: str | None
    channel_type: str | None
    format: str | None
    participants: tuple[ChunkParticipant, ...]


def parse_metadata(content: bytes) -> ChunkMetadata:
    """Read a metadata file.

    Raises
    ------
    SourceNotReady
        The bytes are not a JSON object.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceNotReady("the metadata file is not a JSON object yet")
    information = _mapping(document.get("recordingInfo"))
    content_type, channel_type = _unswapped(
        _spelled(information.get("contentType")), _spelled(information.get("channelType"))
    )
    return ChunkMetadata(
        document_id=_text(document.get("chunkDocumentId")),
        call_id=_text(document.get("callId")),
        start_time=_moment(document.get("chunkStartTime")),
        duration_ms=_milliseconds(document.get("chunkDuration")),
        content_type=content_type,
        channel_type=channel_type,
        format=_spelled(information.get("format")),
        participants=_participants(document.get("participants")),
    )


def _unswapped(content_type: str | None, channel_type: str | None) -> tuple[str | None, str | None]:
    """Return the two in the right order: some of the service's files have them swapped."""
    if content_type in set(ChannelType) or channel_type in set(ContentType):
        return channel_type, content_type
    return content_type, channel_type


def _participants(value: object) -> tuple[ChunkParticipant, ...]:
    participants = []
    for entry in value if isinstance(value, list) else []:
        fields = _mapping(entry)
        channel = fields.get("channel")
        if participant_id := _text(fields.get("participantId")):
            is_channel = type(channel) is int and 0 <= channel <= _LAST_CHANNEL
            participants.append(ChunkParticipant(participant_id[:LONGEST_TEXT], channel if is_channel else None))
    return tuple(participants)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Return a text that can be encoded: JSON can hold half a surrogate pair, UTF-8 cannot."""
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _spelled(value: object) -> str | None:
    return control_api_spelling(text) if (text := _text(value)) else None


def _milliseconds(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) and 0 <= value <= LONGEST_MS else None


def _moment(value: object) -> str | None:
    try:
        return iso_time(_MOMENT.validate_python(value)) if isinstance(value, str) else None
    except ValidationError:
        return None
