"""All that is known of a recording at one moment, and the response that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core.errors import ServiceError
from shared.core.times import iso_time
from shared.recordings.responses import ChunkBody, ChunkState, Pause, RecordingBody, ServiceFault, TransitionBody
from shared.recordings.states import Seen, State, Verdict, expiry, judge
from shared.storage.ledger import ChunkProgress, Operation, Report

if TYPE_CHECKING:
    from datetime import datetime

    from shared.recordings.acs_client import Recording
    from shared.storage.ledger import Facts
    from shared.storage.manifest import ArchivedChunk, Manifest


@dataclass(frozen=True)
class View:
    """All that is known of a recording at one moment.

    Attributes
    ----------
    service
        What the service answered.
    manifest_unreadable
        There is one that cannot be read: once the recording has ended, its state is unknown then.
    notes
        What could not be read.
    """

    recording_id: str
    facts: Facts
    service: Recording | ServiceError
    prefix: str | None
    manifest: Manifest | None
    now: datetime
    retention: timedelta
    manifest_unreadable: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def verdict(self) -> Verdict:
        """The recording's state, and a remark on it."""
        if self.manifest_unreadable and self.seen not in {Seen.ACTIVE, Seen.INACTIVE}:
            return Verdict(State.UNKNOWN)
        return judge(self.facts, self.seen, self.manifest, self.now, self.retention)

    @property
    def state(self) -> State:
        """The recording's state."""
        return self.verdict.state

    @property
    def seen(self) -> Seen:
        """What the service says."""
        return seen_in(self.service)

    @property
    def silence(self) -> ServiceError | None:
        """Why the service could not be asked."""
        return self.service if isinstance(self.service, ServiceError) and self.seen is Seen.SILENT else None

    def to_body(self) -> RecordingBody:
        """Return the body of the response."""
        facts, manifest = self.facts, self.manifest
        service = None if isinstance(self.service, ServiceError) else self.service
        expires_at = expiry(facts, manifest, self.retention)
        ended = facts.last(Operation.STOP, Report.CALL_ENDED)
        silence = self.silence
        return RecordingBody(
            recording_id=self.recording_id,
            state=self.state,
            service_state=service.state if service else None,
            service_error=ServiceFault(status=silence.status, code=silence.code, message=silence.message)
            if silence
            else None,
            notes=self._notes(),
            recording_kind=(service.kind if service else None) or facts.text("recordingKind"),
            call_id=facts.text("callId") or (manifest.call_id if manifest else None),
            server_call_id=facts.text("serverCallId") or (manifest.server_call_id if manifest else None),
            started_at=facts.text("startedAt") or (manifest.start_time if manifest else None),
            started_by=facts.text("startedBy"),
            ended_at=iso_time(ended.at) if ended else None,
            duration_ms=manifest.duration_ms if manifest else None,
            options=facts.document("options"),
            transitions=[TransitionBody(**transition.as_json()) for transition in facts.transitions],
            pauses=self._pauses(),
            prefix=self.prefix,
            chunks=[self._chunk(chunk) for chunk in manifest.chunks] if manifest else [],
            expires_at=iso_time(expires_at) if expires_at else None,
            hours_left=max(0.0, round((expires_at - self.now) / timedelta(hours=1), 2)) if expires_at else None,
        )

    def _notes(self) -> list[str]:
        silence = self.silence
        unasked = f"the service could not be asked ({silence}): the state is what the ledger and the archive say"
        return [*([unasked] if silence else []), *([self.verdict.note] if self.verdict.note else []), *self.notes]

    def _pauses(self) -> list[Pause]:
        pauses: list[Pause] = []
        starts_paused = bool(self.facts.known.get("pauseOnStart"))
        for transition in self.facts.transitions:
            at, open_ = iso_time(transition.at), bool(pauses) and pauses[-1].end is None
            match transition.operation:
                case Operation.PAUSE if not open_:
                    pauses.append(Pause(begin=at))
                case Operation.START if starts_paused and not open_:
                    pauses.append(Pause(begin=at))
                case Operation.RESUME | Operation.STOP | Report.CALL_ENDED if open_:
                    pauses[-1] = pauses[-1].model_copy(update={"end": at})
                case _:
                    continue
        return pauses

    def _chunk(self, chunk: ArchivedChunk) -> ChunkBody:
        progress = self.facts.chunks.get(chunk.index)
        known = progress or ChunkProgress(chunk.index)
        next_try_at, last_error = self._next_try(known), known.last_error
        done, total = known.bytes_done, known.bytes_total
        if chunk.archived_at is not None:
            # Tries that go on are for what follows: publishing the event, and deleting the service's copy.
            last_error = last_error if next_try_at else None
            done = total = chunk.content.size if chunk.content else None
        return ChunkBody(
            index=chunk.index,
            document_id=chunk.document_id,
            state=_chunk_state(chunk, progress, next_try_at),
            bytes_done=done,
            bytes_total=total,
            tries=known.tries,
            last_error=last_error,
            next_try_at=next_try_at,
            archived_at=chunk.archived_at,
        )

    def _next_try(self, progress: ChunkProgress) -> str | None:
        """Return when a chunk is tried next; None where it is being tried now, or is not any more."""
        at = progress.next_try_at
        return iso_time(at) if at and at > self.now and progress.given_up_at is None else None


def _chunk_state(chunk: ArchivedChunk, progress: ChunkProgress | None, next_try_at: str | None) -> ChunkState:
    if chunk.archived_at is not None:
        return "archived"
    if progress is None:
        return "waiting"
    return "failed" if progress.given_up_at else "retrying" if next_try_at else "copying"


def seen_in(service: Recording | ServiceError) -> Seen:
    """Return the service's answer in one word."""
    match service:
        case ServiceError(status=404):
            return Seen.GONE
        case ServiceError():
            return Seen.SILENT
        case _:
            return Seen.ACTIVE if service.state == "active" else Seen.INACTIVE
