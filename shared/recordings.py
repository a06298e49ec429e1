"""Recordings as their users see them: started once, in a state that is true, and remembered after they have ended."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from shared import log
from shared.control import parse_start
from shared.errors import ConsentRequired, IdempotencyConflict, ServiceError, WrongState
from shared.events import wire_time
from shared.ledger import Facts, Operation, best_effort
from shared.names import safe_name
from shared.states import ALLOWED, RETRY_AFTER, State, state_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.catalog import Catalog
    from shared.control import Control, Recording, StartRecording
    from shared.ledger import Ledger
    from shared.manifest import ArchivedChunk, Manifest


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told: the body, and when it pays to ask again, in seconds."""

    body: dict[str, Any]
    retry_after: int | None = None


class Recordings:
    """Starts, shows, pauses, resumes and stops recordings.

    Every method raises `ServiceError` when the service refuses or cannot be reached.

    Parameters
    ----------
    control
        The service.
    ledger
        What we remember.
    catalog
        What is archived.
    retention
        How long the service keeps a recording's files.
    require_consent
        Whether a start must come with the participants' consent.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        control: Control,
        ledger: Ledger,
        catalog: Catalog,
        *,
        retention: timedelta,
        require_consent: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._control = control
        self._ledger = ledger
        self._catalog = catalog
        self._retention = retention
        self._require_consent = require_consent
        self._now = now

    async def start(self, body: bytes, *, by: str | None = None, idempotency_key: str | None = None) -> Answer:
        """Start recording a call.

        Parameters
        ----------
        body
            The request's JSON object, a `StartRecording`.
        by
            Who asks.
        idempotency_key
            A request that is repeated with the same key returns the first one's recording.

        Raises
        ------
        InvalidRequest
            A field is missing or wrong; the service is not asked.
        ConsentRequired
            Consent is required and not given.
        IdempotencyConflict
            The key was used for another request.
        """
        request = parse_start(body)
        if self._require_consent and request.consent is None:
            raise ConsentRequired
        if idempotency_key is None:
            return await self._start(request, by, None)
        asked = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
        first = await self._ledger.reserve("idempotency", idempotency_key, request=asked)
        if first is not None and first["request"] != asked:
            raise IdempotencyConflict
        if first is not None and "answer" in first:
            return Answer(json.loads(first["answer"]))
        answer = await self._start(request, by, str(uuid5(NAMESPACE_URL, idempotency_key)))
        await best_effort(self._ledger.resolve("idempotency", idempotency_key, answer=json.dumps(answer.body)))
        return answer

    async def get(self, recording_id: str) -> Answer:
        """Say what state a recording is in, while it runs and ever after."""
        view = await self._view(recording_id)
        return Answer(view.to_wire(), RETRY_AFTER.get(view.state))

    async def pause(self, recording_id: str, *, by: str | None = None) -> Answer:
        """Pause a recording; raises `WrongState` where that makes no sense."""
        return await self._operate(recording_id, Operation.PAUSE, self._control.pause, State.PAUSED, by)

    async def resume(self, recording_id: str, *, by: str | None = None) -> Answer:
        """Resume a paused recording; raises `WrongState` where that makes no sense."""
        return await self._operate(recording_id, Operation.RESUME, self._control.resume, State.ACTIVE, by)

    async def stop(self, recording_id: str, *, by: str | None = None) -> Answer:
        """Stop a recording for good; raises `WrongState` where that makes no sense."""
        return await self._operate(recording_id, Operation.STOP, self._control.stop, State.STOPPING, by)

    async def _start(self, request: StartRecording, by: str | None, repeatability_id: str | None) -> Answer:
        recording = await self._control.start(request, repeatability_id)
        name = safe_name(recording.recording_id)
        body = {**recording.to_wire(), "state": State.PAUSED if request.pause_on_start else State.STARTING}
        with log.fields(recordingId=recording.recording_id):
            # The recording runs whatever becomes of the ledger, and its id must reach the caller.
            await best_effort(self._note_start(name, recording, request, by))
            log.info("recording.started", by=by)
        return Answer(body)

    async def _note_start(self, name: str, recording: Recording, request: StartRecording, by: str | None) -> None:
        await self._ledger.learn(
            name,
            recordingId=recording.recording_id,
            recordingKind=recording.kind,
            startedAt=wire_time(self._now()),
            startedBy=by,
            options=request.model_dump_json(by_alias=True, exclude_none=True, exclude={"consent"}),
            pauseOnStart=request.pause_on_start,
            consent=request.consent.model_dump_json(by_alias=True) if request.consent else None,
            serverCallId=request.server_call_id,
        )
        await self._ledger.record(name, Operation.START, by=by)
        await self._ledger.open(name)

    async def _operate(
        self,
        recording_id: str,
        operation: Operation,
        ask: Callable[[str], Awaitable[None]],
        wanted: State,
        by: str | None,
    ) -> Answer:
        view = await self._view(recording_id)
        if view.state not in ALLOWED[operation]:
            raise WrongState(operation, view.state)
        await ask(recording_id)
        body = {"recordingId": recording_id, "state": wanted}
        with log.fields(recordingId=recording_id):
            await best_effort(self._ledger.record(view.facts.name, operation, by=by))
            log.info("recording.operated", operation=operation, by=by)
        return Answer(body, RETRY_AFTER.get(wanted))

    async def _view(self, recording_id: str) -> View:
        facts, service = await asyncio.gather(
            best_effort(self._ledger.read(safe_name(recording_id))), self._asked(recording_id)
        )
        facts = facts or Facts(safe_name(recording_id))
        prefix = facts.text("prefix")
        manifest = (await self._catalog.read_manifest(prefix)).manifest if prefix else None
        if not facts and isinstance(service, ServiceError):
            raise service
        if isinstance(service, ServiceError) and service.status != 404 and manifest is None:
            raise service
        return View(recording_id, facts, service, manifest, self._now(), self._retention)

    async def _asked(self, recording_id: str) -> Recording | ServiceError:
        try:
            return await self._control.get(recording_id)
        except ServiceError as error:
            return error


@dataclass(frozen=True, slots=True)
class View:
    """All that is known of a recording at one moment."""

    recording_id: str
    facts: Facts
    service: Recording | ServiceError
    manifest: Manifest | None
    now: datetime
    retention: timedelta

    @property
    def state(self) -> State:
        """The recording's state."""
        return state_of(self.facts, self.service_state, self.manifest, self.now, self.retention)

    @property
    def service_state(self) -> str | None:
        """What the service says: `active` or `inactive`; None where it knows no such recording, or does not answer."""
        return None if isinstance(self.service, ServiceError) else self.service.state

    def to_wire(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        facts, manifest = self.facts, self.manifest
        expires_at = facts.moment("expiresAt")
        return {
            "recordingId": self.recording_id,
            "state": self.state,
            "serviceState": self.service_state,
            "recordingKind": None if isinstance(self.service, ServiceError) else self.service.kind,
            "callId": manifest.call_id if manifest else None,
            "serverCallId": facts.text("serverCallId") or (manifest.server_call_id if manifest else None),
            "startedAt": facts.text("startedAt") or (manifest.start_time if manifest else None),
            "startedBy": facts.text("startedBy"),
            "options": facts.document("options"),
            "transitions": [transition.to_wire() for transition in facts.transitions],
            "pauses": self._pauses(),
            "prefix": facts.text("prefix"),
            "chunks": [self._chunk(chunk) for chunk in manifest.chunks] if manifest else [],
            "expiresAt": wire_time(expires_at) if expires_at else None,
            "hoursLeft": max(0.0, round((expires_at - self.now) / timedelta(hours=1), 2)) if expires_at else None,
        }

    def _pauses(self) -> list[dict[str, str | None]]:
        pauses: list[dict[str, str | None]] = []
        for transition in self.facts.transitions:
            at = wire_time(transition.at)
            begins = transition.operation is Operation.PAUSE or (
                transition.operation is Operation.START and bool(self.facts.known.get("pauseOnStart"))
            )
            if begins:
                pauses.append({"from": at, "to": None})
            elif transition.operation in {Operation.RESUME, Operation.STOP} and pauses and pauses[-1]["to"] is None:
                pauses[-1]["to"] = at
        return pauses

    def _chunk(self, chunk: ArchivedChunk) -> dict[str, Any]:
        progress = self.facts.chunks.get(chunk.index)
        size = chunk.content.size if chunk.content else None
        members = {
            "index": chunk.index,
            "documentId": chunk.document_id,
            "state": "archived" if chunk.archived_at else "waiting" if progress is None else "copying",
            "bytesDone": size if size is not None else progress.bytes_done if progress else None,
            "bytesTotal": size if size is not None else progress.bytes_total if progress else None,
            "tries": progress.tries if progress else None,
            "lastError": progress.last_error if progress and not chunk.archived_at else None,
            "archivedAt": chunk.archived_at,
        }
        return {name: value for name, value in members.items() if value is not None}
