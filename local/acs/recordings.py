"""Recordings: what was asked for, the state machine, and the chunks that came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.acs import identifiers
from local.acs.chunks import Span, recorded_spans
from local.acs.media_types import MAX_CHANNELS, ChannelType, ContentType, FormatType
from local.acs.timestamps import stamp
from local.acs.versions import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.acs.calls import Call
    from local.acs.documents import Chunk


class Phase(StrEnum):
    """Where a recording is in its life, in finer steps than the service reports."""

    STARTING = "starting"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    FAILED = "failed"


class Processing(StrEnum):
    """What became of an ended recording's files."""

    NONE = "none"
    RUNNING = "running"
    READY = "ready"
    NOTHING_RECORDED = "nothing-recorded"
    DELIVERED_ELSEWHERE = "delivered-elsewhere"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """What was asked for when the recording was started."""

    content_type: ContentType = ContentType.AUDIO_VIDEO
    channel_type: ChannelType = ChannelType.MIXED
    format: FormatType = FormatType.MP4
    pause_on_start: bool = False
    ordering: tuple[str, ...] = ()
    affinity: tuple[tuple[int, str], ...] = ()
    callback_uri: str | None = None
    external_storage: dict[str, Any] | None = None
    api_version: str = LATEST

    def as_json(self) -> dict[str, Any]:
        """Return the options under their names of the REST API."""
        return {
            "recordingContentType": self.content_type,
            "recordingChannelType": self.channel_type,
            "recordingFormatType": self.format,
            "pauseOnStart": self.pause_on_start,
            "audioChannelParticipantOrdering": list(self.ordering),
            "channelAffinity": [{"channel": channel, "participantId": raw_id} for channel, raw_id in self.affinity],
            "recordingStateCallbackUri": self.callback_uri,
            "externalStorage": self.external_storage,
        }


@dataclass(slots=True)
class Recording:
    """One recording. Times are ms since the epoch; `pauses` may hold one that is still open at the end.

    `endpoint_id` is the PlatformEndpointId within its id, and the callConnectionId in its state callbacks: that of the
    call where the recording was started by it, else one of the recording's own.
    """

    recording_id: str
    endpoint_id: str
    call: Call
    options: RecordingOptions
    started: int
    active_from: int
    pauses: list[tuple[int, int | None]] = field(default_factory=list)
    ended: int | None = None
    session_end_reason: str | None = None
    failed: bool = False
    processing: Processing = Processing.NONE
    problem: str | None = None
    chunks: list[Chunk] = field(default_factory=list)
    reissued: list[Chunk] = field(default_factory=list)
    events_sent: int = 0

    def phase(self, now: int) -> Phase:
        """Return where the recording is at `now`."""
        if self.failed:
            return Phase.FAILED
        if self.ended is not None:
            return Phase.ENDED
        if self.pauses and self.pauses[-1][1] is None:
            return Phase.PAUSED
        return Phase.ACTIVE if now >= self.active_from else Phase.STARTING

    def state(self, now: int) -> str:
        """Return the state as the service reports it: `inactive` for paused as well as for not yet started."""
        return "active" if self.phase(now) is Phase.ACTIVE else "inactive"

    def pause(self, now: int) -> bool:
        """Pause; False if it is paused already, which the service accepts as well."""
        if self.phase(now) is Phase.PAUSED:
            return False
        self.pauses.append((now, None))
        return True

    def resume(self, now: int) -> bool:
        """Resume; False if it is running already, which the service accepts as well."""
        if self.phase(now) is not Phase.PAUSED:
            return False
        begin, _ = self.pauses.pop()
        if now > begin:
            self.pauses.append((begin, now))
        self.active_from = min(self.active_from, now)
        return True

    def end(self, now: int, reason: str) -> None:
        """End at `now`; an open pause ends with it."""
        if self.pauses and self.pauses[-1][1] is None:
            self.pauses[-1] = (self.pauses[-1][0], now)
        self.ended = now
        self.session_end_reason = reason

    def closed_pauses(self, now: int) -> list[Span]:
        """Return all pauses, an open one ending at `now`."""
        return [Span(begin, now if end is None else end) for begin, end in self.pauses]

    def recorded_ms(self, now: int) -> int:
        """Return how much has been recorded so far, without the pauses, in ms."""
        end = now if self.ended is None else self.ended
        return sum(span.length for span in recorded_spans(self.started, end, self.closed_pauses(end)))

    def channels(self) -> dict[str, int]:
        """Return who is on which channel of an unmixed recording: by affinity, then ordering, then order of joining."""
        taken: dict[str, int] = {}
        for channel, raw_id in self.options.affinity:
            if channel < MAX_CHANNELS and channel not in taken.values():
                taken[raw_id] = channel
        end = self.ended if self.ended is not None else self.started
        for raw_id in dict.fromkeys([*self.options.ordering, *self.call.heard(self.started, end)]):
            free = [channel for channel in range(MAX_CHANNELS) if channel not in taken.values()]
            if free and raw_id not in taken:
                taken[raw_id] = free[0]
        return taken

    def as_json(self, now: int, base_url: str) -> dict[str, Any]:
        """Return the recording as it really is, as the control routes show it."""
        return {
            "recordingId": self.recording_id,
            "callId": self.call.call_id,
            "callConnectionId": self.call.call_connection_id,
            "serverCallId": self.call.server_call_id,
            "recordingKind": self.call.recording_kind,
            "state": self.phase(now),
            "recordingState": self.state(now),
            "startTime": stamp(self.started),
            "endTime": None if self.ended is None else stamp(self.ended),
            "recordedMs": self.recorded_ms(now),
            "pauses": [
                {"startTime": stamp(begin), "durationMs": None if end is None else end - begin}
                for begin, end in self.pauses
            ],
            "sessionEndReason": self.session_end_reason,
            "options": self.options.as_json(),
            "participants": [
                {"participantId": raw_id}
                for raw_id in self.call.heard(self.started, now if self.ended is None else self.ended)
            ],
            "processing": self.processing,
            "problem": self.problem,
            "chunks": [chunk.as_json(base_url, now) for chunk in self.chunks],
            "reissued": [chunk.as_json(base_url, now) for chunk in self.reissued],
            "eventsSent": self.events_sent,
        }


class RecordingNotFoundError(Exception):
    """There is no such recording; the message says which was looked for."""


class Recordings:
    """All recordings of the emulated resource, and their stored objects."""

    def __init__(self) -> None:
        self._by_id: dict[str, Recording] = {}
        self._by_repeatability: dict[str, Recording] = {}
        self._objects: dict[str, Chunk] = {}

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._by_id.values())

    def start(
        self, call: Call, options: RecordingOptions, now: int, active_from: int, *, by_connection: bool = False
    ) -> Recording:
        """Begin to record a call at `now`; `by_connection` says that the client named it by its callConnectionId."""
        endpoint_id = call.call_connection_id if by_connection else str(uuid4())
        recording = Recording(
            identifiers.recording_id(endpoint_id), endpoint_id, call, options, started=now, active_from=active_from
        )
        if options.pause_on_start:
            recording.pauses.append((now, None))
        self._by_id[recording.recording_id] = recording
        return recording

    def get(self, recording_id: str) -> Recording:
        """Return a recording, ended or not, by its id with or without padding; raises RecordingNotFoundError."""
        try:
            return self._by_id[recording_id.rstrip("=")]
        except KeyError:
            raise RecordingNotFoundError(f"There is no recording with recordingId {recording_id}.") from None

    def discard(self, recording: Recording) -> None:
        """Forget a recording whose files could not be made."""
        del self._by_id[recording.recording_id]

    def going_on(self, call: Call) -> list[Recording]:
        """Return the recordings of a call that have not ended."""
        return [r for r in self._by_id.values() if r.call is call and r.ended is None and not r.failed]

    def repeated(self, request_id: str) -> Recording | None:
        """Return the recording that an earlier request with this Repeatability-Request-ID started."""
        return self._by_repeatability.get(request_id)

    def remember_request(self, request_id: str, recording: Recording) -> None:
        """Remember which recording a Repeatability-Request-ID started."""
        self._by_repeatability[request_id] = recording

    def store(self, chunk: Chunk) -> None:
        """Make a chunk fetchable by its documentId."""
        self._objects[chunk.document_id] = chunk

    def stored(self, document_id: str) -> Chunk | None:
        """Return the chunk with this documentId, deleted or not."""
        return self._objects.get(document_id)
