"""Control of recordings: start, state, pause, resume and stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.core import log
from shared.core.blob_names import safe_name, unpadded
from shared.core.errors import ConsentRequired, ManifestUnreadable, ServiceError, StorageUnavailable, WrongState
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.recordings.acs_client import Repeatability
from shared.recordings.idempotency import Idempotency
from shared.recordings.lookup import Lookup
from shared.recordings.patience import within_patience
from shared.recordings.responses import Accepted, Started
from shared.recordings.start_request import parse_idempotency_key, parse_start
from shared.recordings.states import ALLOWED, LEADS_TO, RETRY_AFTER, State
from shared.storage.consent import add_consent
from shared.storage.ledger import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from shared.recordings.acs_client import AcsClient, Recording
    from shared.recordings.start_request import Consent, StartRecording
    from shared.recordings.views import View
    from shared.storage.archive import Archive
    from shared.storage.claims import Claims
    from shared.storage.ledger import Ledger
    from shared.storage.places import RecordingPlaces

_RACED = frozenset({400, 404, 409, 412})
"""The statuses with which the service refuses an operation when the recording's state has changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a caller: the body, and after how many seconds to ask again."""

    body: dict[str, Any]
    retry_after: int | None = None


class Recordings:
    """Starts, shows, pauses, resumes and stops recordings.

    Every method raises `ServiceError` when the service refuses or cannot be reached; those that take a recordingId
    raise what `Lookup.view` raises.

    Parameters
    ----------
    retention
        How long the service keeps a recording's files.
    require_consent
        Whether a start must come with the participants' consent.
    """

    def __init__(
        self,
        control: AcsClient,
        ledger: Ledger,
        claims: Claims,
        archive: Archive,
        places: RecordingPlaces,
        *,
        retention: timedelta,
        require_consent: bool = False,
        now: Now = utc_now,
    ) -> None:
        self._control = control
        self._ledger = ledger
        self._archive = archive
        self._require_consent = require_consent
        self._now = now
        self._lookup = Lookup(control, ledger, archive, places, retention=retention, now=now)
        self._idempotency = Idempotency(claims, now=now)

    async def start(self, body: bytes, *, by: str | None = None, idempotency_key: str | None = None) -> Reply:
        """Start recording a call.

        Parameters
        ----------
        body
            The request's JSON object, a `StartRecording`.
        by
            Who asks.
        idempotency_key
            A request that is repeated with the same key, by the same caller, returns the first one's answer.

        Raises
        ------
        InvalidRequest
            A field is missing or wrong; the service is not asked.
        ConsentRequired
            Consent is required and not given.
        IdempotencyConflict
            The key was used for another request.
        """
        key = parse_idempotency_key(idempotency_key)
        request = parse_start(body)
        if self._require_consent and request.consent is None:
            raise ConsentRequired
        if key is None:
            return await self.begin(request, by=by)
        return Reply(
            await self._idempotency.once(
                f"{by}\n{key}", request.model_dump_json(), lambda repeatability: self._start(request, by, repeatability)
            )
        )

    async def begin(
        self, request: StartRecording, *, by: str | None = None, repeatability: Repeatability | None = None
    ) -> Reply:
        """Start a recording whose request is validated; `repeatability` is that of a start that may be repeated.

        Raises
        ------
        ConsentRequired
            Consent is required and not given.
        """
        if self._require_consent and request.consent is None:
            raise ConsentRequired
        return Reply(await self._start(request, by, repeatability or Repeatability.new()))

    async def get(self, recording_id: str) -> Reply:
        """Return what is known of a recording, also after it has ended."""
        view = await self._lookup.view(unpadded(recording_id))
        retry_after = RETRY_AFTER.get(view.state)
        if view.silence is not None and view.state not in {State.ARCHIVED, State.EXPIRED, State.FAILED}:
            retry_after = max(retry_after or 5, math.ceil(view.silence.retry_after or 0))
        return Reply(view.to_body().as_json(), retry_after)

    async def pause(self, recording_id: str, *, by: str | None = None) -> Reply:
        """Pause a recording; raises `WrongState` where its state does not allow that."""
        return await self._operate(recording_id, Operation.PAUSE, self._control.pause, by)

    async def resume(self, recording_id: str, *, by: str | None = None) -> Reply:
        """Resume a paused recording; raises `WrongState` where its state does not allow that."""
        return await self._operate(recording_id, Operation.RESUME, self._control.resume, by)

    async def stop(self, recording_id: str, *, by: str | None = None) -> Reply:
        """Stop a recording; raises `WrongState` where its state does not allow that."""
        return await self._operate(recording_id, Operation.STOP, self._control.stop, by)

    async def _start(self, request: StartRecording, by: str | None, repeatability: Repeatability) -> dict[str, Any]:
        recording = await self._control.start(request, repeatability)
        state = State.PAUSED if request.pause_on_start else State.STARTING
        with log.fields(recordingId=recording.recording_id):
            # The recording runs even if the ledger fails, and its id must reach the caller.
            noted = await _noted(self._note_start(recording, request, by))
            if not noted and request.consent is not None:
                await self._keep_consent(recording, request.consent)
            log.info("recording.started", by=by)
        started = Started(recording_id=recording.recording_id, state=state, recording_kind=recording.kind)
        return started.as_json()

    async def _keep_consent(self, recording: Recording, consent: Consent) -> None:
        """Keep a consent that the ledger did not take as evidence of an incident: it cannot be asked for again."""
        evidence = {
            "reason": "the ledger could not be written, so the consent is not archived: retry this incident",
            "recordingId": recording.recording_id,
            "consent": consent.model_dump(mode="json", by_alias=True),
        }
        try:
            await within_patience(
                EvidenceBlobs(self._archive.blobs).raise_(f"consent.{safe_name(recording.recording_id)}", evidence)
            )
        except StorageUnavailable:
            log.error("consent.lost")

    async def _note_start(self, recording: Recording, request: StartRecording, by: str | None) -> None:
        name = safe_name(recording.recording_id)
        consent = request.consent.model_dump_json(by_alias=True) if request.consent else None
        await self._ledger.learn(
            name,
            recordingId=recording.recording_id,
            recordingKind=recording.kind,
            startedAt=iso_time(self._now()),
            startedBy=by,
            options=_shown(request),
            pauseOnStart=request.pause_on_start,
            consent=consent,
            serverCallId=request.server_call_id,
        )
        # A start that is repeated because its answer was lost is written once.
        await self._ledger.record(name, Operation.START, by=by, key=Operation.START)
        await self._ledger.open(name)
        if request.server_call_id is not None:
            await self._ledger.link(request.server_call_id, name)
        if consent is not None and (prefix := (await self._ledger.read(name)).text("prefix")) is not None:
            await add_consent(self._archive, prefix, consent)

    async def _operate(
        self, recording_id: str, operation: Operation, ask: Callable[[str], Awaitable[None]], by: str | None
    ) -> Reply:
        recording_id = unpadded(recording_id)
        view = await self._lookup.view(recording_id)
        _check(operation, view)
        try:
            await ask(recording_id)
        except ServiceError as refusal:
            if refusal.status in _RACED:
                _check(operation, await self._lookup.view(recording_id))
            raise
        state = LEADS_TO[operation]
        with log.fields(recordingId=recording_id):
            await _noted(self._ledger.record(view.facts.name, operation, by=by))
            log.info("recording.operated", operation=operation, by=by)
        return Reply(Accepted(recording_id=recording_id, state=state).as_json(), RETRY_AFTER.get(state))


def _check(operation: Operation, view: View) -> None:
    """Raise `WrongState` where the state forbids an operation, or the service's error where the state is unknown."""
    over = view.state in {State.STOPPING, State.PROCESSING, State.ARCHIVING, State.ARCHIVED, State.EXPIRED}
    if view.silence is not None and not over:
        raise view.silence
    if view.state not in ALLOWED[operation]:
        raise WrongState(operation, view.state)


async def _noted(work: Awaitable[None]) -> bool:
    """Write to the ledger; the service has done its part already, so a failure is only logged. Return the success."""
    try:
        await within_patience(work)
    except (StorageUnavailable, ManifestUnreadable):
        log.error("ledger.not_noted")
        return False
    return True


def _shown(request: StartRecording) -> str:
    """Return the options as they are kept and shown: an address's query may hold a secret."""
    callback = request.recording_state_callback_uri
    if callback is not None:
        request = request.model_copy(
            update={"recording_state_callback_uri": urlsplit(callback)._replace(query="", fragment="").geturl()}
        )
    return request.model_dump_json(by_alias=True, exclude_none=True, exclude={"consent"})
