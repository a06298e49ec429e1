"""The events that announce a recording's files, in every form that the service has sent.

These are two schemas (Event Grid and CloudEvents 1.0), two payloads (of 2021, without ids and types, and today's) and
four forms of the subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from shared.core import limits
from shared.core.blob_names import unpadded
from shared.core.errors import InvalidEvent
from shared.core.media_formats import Format
from shared.core.models import ReceivedModel, Text, UtcDatetime, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

RECORDING_FILE_STATUS_UPDATED = "Microsoft.Communication.RecordingFileStatusUpdated"


class ContentType(StrEnum):
    """What is recorded, as the control API spells it."""

    AUDIO = "audio"
    AUDIO_VIDEO = "audioVideo"


class ChannelType(StrEnum):
    """Whether participants share one audio channel."""

    MIXED = "mixed"
    UNMIXED = "unmixed"


def control_api_spelling(value: str) -> str:
    """Return a type as the control API spells it (events have `AudioVideo`); an unknown one is returned unchanged."""
    known = {member.value.lower(): member.value for kind in (ContentType, ChannelType, Format) for member in kind}
    return known.get(value.lower(), value)


OpenEnum = Annotated[Text, AfterValidator(control_api_spelling)]


class Chunk(ReceivedModel):
    """One file of a recording, with its addresses at the service."""

    document_id: Annotated[Text, Field(min_length=1, max_length=1024)]
    index: Annotated[int, Field(ge=0, le=999_999)]
    end_reason: Text | None = None
    content_location: Annotated[str, Field(min_length=1, max_length=limits.LONGEST_TEXT)]
    metadata_location: Annotated[str, Field(min_length=1, max_length=limits.LONGEST_TEXT)]
    delete_location: Annotated[str, Field(max_length=limits.LONGEST_TEXT)] | None = None


class _StorageInfo(ReceivedModel):
    recording_chunks: Annotated[list[Chunk], Field(min_length=1, max_length=limits.MOST_CHUNKS)]


class _Data(ReceivedModel):
    recording_storage_info: _StorageInfo
    recording_start_time: UtcDatetime | None = None
    recording_duration_ms: Annotated[float, Field(ge=0, le=limits.LONGEST_MS)] | None = None
    session_end_reason: Text | None = None
    recording_content_type: OpenEnum | None = None
    recording_channel_type: OpenEnum | None = None
    recording_format_type: OpenEnum | None = None
    recording_id: Text | None = None
    storage_type: Text | None = None


class Envelope(ReceivedModel):
    """The fields that both schemas have, under the Event Grid schema's names."""

    id: Annotated[Text, Field(min_length=1)]
    event_type: str
    subject: Text = ""
    event_time: UtcDatetime | None = None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordingFiles:
    """The content of one event; fields that its form does not have are None.

    Attributes
    ----------
    recording_id, call_id
        At least one of the two is known.
    start_time
        When the recording began; the event's time where the event has no start time.
    duration_ms
        Of the whole recording, in milliseconds.
    chunks
        In the event's order, each document once.
    """

    event_id: str
    event_time: datetime
    recording_id: str | None
    call_id: str | None
    server_call_id: str | None
    start_time: datetime
    duration_ms: int | None
    session_end_reason: str | None
    content_type: str | None
    channel_type: str | None
    format: str | None
    storage_type: str | None
    chunks: tuple[Chunk, ...]


def read_envelope(event: Mapping[str, Any]) -> Envelope:
    """Read the envelope of an event of either schema; raises `InvalidEvent`, naming the field."""
    if "specversion" in event:
        event = {**event, "eventType": event.get("type"), "eventTime": event.get("time")}
    return _read(Envelope, event)


def read_data[M: ReceivedModel](model: type[M], envelope: Envelope) -> M:
    """Read an event's data; raises `InvalidEvent`, naming the field."""
    return _read(model, envelope.data, "data.")


def check_event(event: Mapping[str, Any], resource_id: str | None, *, cut: str | None = None) -> None:
    """Check an event, in either schema, before it is read; `cut` says why this is only its head.

    Raises
    ------
    InvalidEvent
        It exceeds a limit, or is not of the resource `resource_id` (Azure id, compared without case; None: any).
    """
    if (fault := cut or limits.excess(event)) is not None:
        raise InvalidEvent(f"the event is not read: {fault}")
    if resource_id is None:
        return
    topic = event.get("source" if "specversion" in event else "topic")
    if not isinstance(topic, str) or topic.strip("/").lower() != resource_id.strip("/").lower():
        text = f"the topic {limits.clipped(topic, 300)!r}" if isinstance(topic, str) else "no topic"
        raise InvalidEvent(
            f"the event has {text}, which is not the resource in ACS_RESOURCE_ID; if the topic is right, correct the "
            "setting and deliver the event again"
        )


def parse_recording_files(event: Mapping[str, Any], received_at: datetime) -> RecordingFiles:
    """Read an event in any documented form.

    Parameters
    ----------
    event
        The decoded JSON object, in either schema.
    received_at
        Used where the event has no time.

    Raises
    ------
    InvalidEvent
        It is no `RecordingFileStatusUpdated` event, or a field is missing or wrong; the message names it.
    """
    envelope = read_envelope(event)
    if envelope.event_type.lower() != RECORDING_FILE_STATUS_UPDATED.lower():
        raise InvalidEvent(f"an event of type {envelope.event_type[:200]!r} is not {RECORDING_FILE_STATUS_UPDATED}")
    data = read_data(_Data, envelope)
    ids = subject_ids(envelope.subject)
    recording_id, call_id = unpadded(data.recording_id or ids.get("recordingid", "")) or None, ids.get("call")
    if not recording_id and not call_id:
        raise InvalidEvent("neither data.recordingId nor the subject says which recording or call the event is about")
    event_time = envelope.event_time or received_at
    return RecordingFiles(
        event_id=envelope.id,
        event_time=event_time,
        recording_id=recording_id,
        call_id=call_id,
        server_call_id=ids.get("servercallid"),
        start_time=data.recording_start_time or event_time,
        duration_ms=None if data.recording_duration_ms is None else round(data.recording_duration_ms),
        session_end_reason=data.session_end_reason,
        content_type=data.recording_content_type,
        channel_type=data.recording_channel_type,
        format=data.recording_format_type,
        storage_type=data.storage_type,
        chunks=tuple({chunk.document_id: chunk for chunk in data.recording_storage_info.recording_chunks}.values()),
    )


def subject_ids(subject: str) -> dict[str, str]:
    """Return the ids in an event's subject by lower-case key: `call`, `servercallid`, `recordingid`.

    An id can contain `/`, so it ends at the next known key, not at the next slash.
    """
    ids: dict[str, list[str]] = {}
    current: list[str] | None = None
    for part in subject.split("/"):
        key = part.lower()
        if key in {"call", "servercallid", "recordingid"} and key not in ids and current != []:
            current = ids[key] = []
        elif current is not None:
            current.append(part)
    return {key: "/".join(parts) for key, parts in ids.items() if any(parts)}


def _read[M: ReceivedModel](model: type[M], value: Mapping[str, Any], path: str = "") -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidEvent(f"the event is not of a known form: {faults_of(error, path)}") from None
