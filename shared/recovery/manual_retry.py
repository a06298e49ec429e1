"""The work of a finding put back, when an operator has mended its cause: its event or message is sent once more."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from shared.core import blob_names, log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import IncidentNotFound, InvalidEvent, NothingToRetry
from shared.core.models import ResponseModel
from shared.core.times import Now, utc_now
from shared.events.call_events import CALL_EVENTS
from shared.events.chunk_message import ChunkMessage
from shared.incidents.incidents import SWEEP
from shared.incidents.kinds import KINDS, IncidentKind, Retry
from shared.recordings.auto_record import by_hand
from shared.storage.consent import add_consent
from shared.storage.dead_letters import event_type
from shared.storage.ledger import best_effort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.incidents.evidence import Evidence
    from shared.incidents.incidents import Incidents
    from shared.incidents.restoration import Restoration
    from shared.recovery.replay import Replay
    from shared.recovery.stalled_recordings import StalledRecordings
    from shared.storage.archive import Archive
    from shared.storage.chunk_queue import ChunkQueue
    from shared.storage.ledger import Ledger


class Retried(ResponseModel):
    """What was put back."""

    id: str
    chunks: Annotated[int, Field(ge=0, description="How many were sent to the queue.")]
    settled: Annotated[
        bool,
        Field(description="Whether the finding is off the list already; else it goes once the archive has the chunks."),
    ]


class ManualRetry:
    """Puts the work of findings back.

    Parameters
    ----------
    archive, ledger, incidents
        What is archived, what is known of it, and what an operator must look at.
    replay, stalled
        Take events in once more.
    queue
        Where chunks wait.
    restoration
        Reads what is kept of a finding.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        incidents: Incidents,
        *,
        replay: Replay,
        stalled: StalledRecordings,
        queue: ChunkQueue,
        restoration: Restoration,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._incidents = incidents
        self._replay = replay
        self._stalled = stalled
        self._queue = queue
        self._now = now
        self._restoration = restoration

    async def retry(self, key: str) -> Retried:
        """Put the work of a finding back.

        Raises
        ------
        FindingNotFound
            There is no such finding.
        NothingToRetry
            It has no work, or the work was refused once more.
        ManifestUnreadable
            It is about a manifest that is still none.
        StorageUnavailable
            Not everything was put back: do it again.
        """
        with storage_errors_translated():
            row = await self._incidents.find(key)
            evidence = await self._restoration.evidence(key)
            if evidence is None and (row is None or not row.get("id")):
                raise IncidentNotFound
            about: Mapping[str, Any] = row if row is not None and row.get("id") else evidence.row if evidence else {}
            sent, is_done = await self._put_back(key, about, evidence)
            await self._incidents.touch(key)
            settled = is_done and await self._incidents.settle(key, SWEEP)
            log.warning("attention.retried", id=key, chunks=len(sent), settled=settled)
        return Retried(id=key, chunks=len(sent), settled=settled)

    async def _put_back(
        self, key: str, row: Mapping[str, Any], evidence: Evidence | None
    ) -> tuple[list[ChunkMessage], bool]:
        """Return the chunks that were sent, and whether the finding is dealt with by that alone."""
        kind = KINDS[IncidentKind(row["kind"])]
        match kind.retry:
            case Retry.TAKE_EVENT_IN:
                return await self._event(key, evidence)
            case Retry.SEND_MESSAGE:
                return await self._message(row, evidence), False
            case Retry.ANNOUNCE_RECORDING:
                return await self._recording(row), False
            case Retry.KEEP_CONSENT:
                return await self._consent(row, evidence)
            case Retry.START_BY_HAND:
                known = evidence.content.get("serverCallId") if evidence is not None else None
                instead = (
                    by_hand(known) if isinstance(known, str) else "if the call goes on, start its recording by hand"
                )
                raise NothingToRetry(f"the service refused to record this call for good; {instead}")
            case Retry.REFUSE:
                raise NothingToRetry(kind.instead)

    async def _event(self, key: str, evidence: Evidence | None) -> tuple[list[ChunkMessage], bool]:
        event = evidence.content.get("event") if evidence is not None else None
        if evidence is None or not isinstance(event, dict) or evidence.content.get("cut") or "data" not in event:
            raise NothingToRetry(
                "only the head of this event was kept, because it was too large: have it delivered again by whoever "
                "sent it"
            )
        began = self._now()
        sent = await self._replay.replay(event)
        await self._begin_anew(sent)
        row = await self._incidents.find(key) or {}
        if not sent and datetime.fromisoformat(row.get("seenAt") or row.get("raisedAt") or "0001-01-01Z") >= began:
            raise NothingToRetry(f"it was refused once more: {row.get('reason')}")
        # An event about a call leaves nothing to wait for.
        is_done = event_type(event) in CALL_EVENTS or (not sent and await self._restoration.truth.is_resolved(evidence))
        return sent, is_done

    async def _message(self, row: Mapping[str, Any], evidence: Evidence | None) -> list[ChunkMessage]:
        if evidence is None:
            raise NothingToRetry(f"nothing is kept of it: {blob_names.attention_blob(row['id'])} is not there")
        body = (
            evidence.content.get("message")
            if row["kind"] == IncidentKind.MESSAGE
            else json.dumps(dict(evidence.content))
        )
        try:
            message = ChunkMessage.from_json(body if isinstance(body, str) else "")
        except InvalidEvent as error:
            raise NothingToRetry(f"it cannot be read now either: {error}") from None
        await self._begin_anew([message])
        anew = message.model_copy(update={"tries": 0, "due_at": self._now(), "traceparent": None})
        await self._queue.send(anew.to_json(), timedelta())
        return [anew]

    async def _recording(self, row: Mapping[str, Any]) -> list[ChunkMessage]:
        await self._archive.manifests.read(row["prefix"])  # raises where it is none
        sent = await self._stalled.announce_again(row["prefix"])
        await self._begin_anew(sent)
        if not sent:
            raise NothingToRetry(
                "every chunk that a kept event announces is archived; what is missing was never announced: replay its "
                "event, if there is one"
            )
        return sent

    async def _consent(self, row: Mapping[str, Any], evidence: Evidence | None) -> tuple[list[ChunkMessage], bool]:
        """Put a consent where it belongs: the one that was kept, else the one that the ledger has by now."""
        prefix, recording_id = await self._restoration.truth.prefix(row), row.get("recordingId")
        given = evidence.content.get("consent") if evidence is not None else None
        if isinstance(given, dict) and recording_id:
            consent = json.dumps(given)
            await self._ledger.learn(blob_names.safe_name(recording_id), recordingId=recording_id, consent=consent)
            if prefix is not None:
                await add_consent(self._archive, prefix, consent)
            return [], True
        if prefix is None:
            raise NothingToRetry("nobody knows where the recording lies: its event has not come")
        began = self._now()
        sent = await self._stalled.announce_again(prefix)
        again = await self._incidents.find(row["id"]) or {}
        return sent, not again.get("seenAt") or datetime.fromisoformat(again["seenAt"]) < began

    async def _begin_anew(self, messages: list[ChunkMessage]) -> None:
        for message in messages:
            name = blob_names.ledger_name(message.recording_id, message.prefix)
            await best_effort(self._ledger.begin_anew(name, message.chunk.index))
