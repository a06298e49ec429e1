"""The forms in which `RecordingFileStatusUpdated` events have been seen, as one pydantic model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Payload(StrEnum):
    """Which generation of the event's data."""

    CURRENT = "current"
    PREVIEW_2021 = "2021"


class SubjectForm(StrEnum):
    """Which ids the event's subject carries."""

    FULL = "full"
    CALL = "call"
    CALL_SERVER = "call-server"
    CALL_RECORDING = "call-recording"


class Delivery(StrEnum):
    """All chunks in one event, or an event for each chunk."""

    MERGED = "merged"
    PER_CHUNK = "per-chunk"


class OptionalField(StrEnum):
    """Fields of the event that can be left out."""

    DOCUMENT_ID = "documentId"
    INDEX = "index"
    END_REASON = "endReason"
    METADATA_LOCATION = "metadataLocation"
    DELETE_LOCATION = "deleteLocation"
    RECORDING_START_TIME = "recordingStartTime"
    RECORDING_DURATION_MS = "recordingDurationMs"
    SESSION_END_REASON = "sessionEndReason"
    RECORDING_CONTENT_TYPE = "recordingContentType"
    RECORDING_CHANNEL_TYPE = "recordingChannelType"
    RECORDING_FORMAT_TYPE = "recordingFormatType"
    RECORDING_ID = "recordingId"
    STORAGE_TYPE = "storageType"


class CamelModel(BaseModel):
    """Base of everything that the control routes take: camelCase names, unknown names refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class AnnouncementForm(CamelModel):
    """How the files of a recording are announced.

    `duplicates` are further deliveries of each event, under the same id or, with `new_ids`, under ids of their own.
    `lost` is how many of the deliveries, from the first on, are never sent. `delay_seconds` are emulated.
    `swap_types` writes contentType and channelType exchanged into the metadata file.
    """

    payload: Payload = Payload.CURRENT
    subject: SubjectForm = SubjectForm.FULL
    delivery: Delivery = Delivery.MERGED
    shuffle: bool = False
    duplicates: Annotated[int, Field(ge=0, le=1000)] = 0
    new_ids: bool = False
    lost: Annotated[int, Field(ge=0, le=10_000)] = 0
    delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    omit: tuple[OptionalField, ...] = ()
    swap_types: bool = False
