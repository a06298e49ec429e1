"""What the control routes take, checked."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from local.acs.calls import RecordingKind
from local.acs.chunks import Span
from local.acs.forms import AnnouncementForm, CamelModel
from local.acs.media_types import ChannelType, ContentType, FormatType  # noqa: TC001 - likewise
from local.acs.options import CallbackOrder  # noqa: TC001 - pydantic reads the annotation when the class is made
from local.acs.recordings import RecordingOptions
from local.acs.service import CALL_ENDED, FinishedRecording
from local.acs.startrequest import combination

_MAX_CHUNKS = 1000


class NewCall(CamelModel):
    """Body of POST /control/calls."""

    participants: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    group_call_id: str | None = None
    room_id: str | None = None
    recording_kind: RecordingKind = RecordingKind.ACS


class NewParticipant(CamelModel):
    """Body of POST /control/calls/{callId}/participants; without an id a new one is made up."""

    participant_id: Annotated[str, Field(min_length=1)] | None = None


class NewPause(CamelModel):
    """A pause, `after_seconds` of recording time (earlier pauses counted) after the beginning."""

    after_seconds: Annotated[float, Field(ge=0)]
    duration_seconds: Annotated[float, Field(gt=0)]


class NewRecording(CamelModel):
    """Body of POST /control/recordings.

    `duration_seconds` is the length of the media, `size_bytes` the exact size of each chunk's file.
    """

    duration_seconds: Annotated[float, Field(ge=0.1, le=7 * 24 * 3600)] = 10.0
    chunks: Annotated[int, Field(ge=1, le=_MAX_CHUNKS)] = 1
    content_type: ContentType | None = None
    channel_type: ChannelType | None = None
    format: FormatType | None = None
    participants: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    pauses: tuple[NewPause, ...] = ()
    size_bytes: Annotated[int, Field(ge=1)] | None = None
    session_end_reason: str = CALL_ENDED
    announce: bool = True
    swap_types: bool | None = None
    form: AnnouncementForm | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.duration_seconds * 1000 < self.chunks * 100:
            raise ValueError(
                f"durationSeconds must be at least 0.1 for each chunk: {self.chunks * 0.1:g} for {self.chunks}"
            )
        position = 0.0
        for pause in self.pauses:
            if pause.after_seconds < position:
                raise ValueError("pauses must be in order and must not overlap")
            position = pause.after_seconds + pause.duration_seconds
        paused = sum(pause.duration_seconds for pause in self.pauses)
        if position > self.duration_seconds + paused:
            raise ValueError("pauses must lie within the recording")
        return self

    def finished(self, *, swap_types: bool) -> FinishedRecording:
        """Return what is to be made; raises InvalidStartError."""
        content, channel, media_format = combination(self.content_type, self.channel_type, self.format)
        pauses = [
            Span(round(p.after_seconds * 1000), round((p.after_seconds + p.duration_seconds) * 1000))
            for p in self.pauses
        ]
        return FinishedRecording(
            length=round(self.duration_seconds * 1000),
            chunks=self.chunks,
            options=RecordingOptions(content, channel, media_format),
            participants=self.participants,
            pauses=tuple(pauses),
            size=self.size_bytes,
            session_end_reason=self.session_end_reason,
            swap_types=swap_types,
        )


class Reissue(CamelModel):
    """Body of POST /control/recordings/{recordingId}/chunks/{index}/reissue.

    `size_bytes` is the exact size of the new document's file; that of the chunk's own document by default.
    """

    size_bytes: Annotated[int, Field(ge=1)] | None = None
    announce: bool = True
    form: AnnouncementForm | None = None


class ClockChange(CamelModel):
    """Body of POST /control/clock."""

    rate: Annotated[float, Field(gt=0)] | None = None
    advance_seconds: Annotated[float, Field(ge=0)] | None = None


class CallbackChange(CamelModel):
    """Body of PUT /control/callbacks."""

    order: CallbackOrder
