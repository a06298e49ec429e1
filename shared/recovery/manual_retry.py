"""An operator's retry of an incident whose cause is fixed: its event or message is processed again."""

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
    from shared.storage.ledger import Ledger
    from shared.storage.message_queue import MessageQueue


class Retried(ResponseModel):
    """The result of a retry."""

    id: str
    chunks: Annotated[int, Field(ge=0, description="How many were sent to the queue.")]
    settled: Annotated[
        bool, Field(description="Whether the incident is off the list; else it goes when the archive has its chunks.")
    ]


class ManualRetry:
    """Retries incidents: `replay` and `stalled` take events in again, and `queue` takes chunk messages."""

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        incidents: Incidents,
        *,
        replay: Replay,
        stalled: StalledRecordings,
        queue: MessageQueue,
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
        """Retry an incident.

        Raises
        ------
        IncidentNotFound
            There is no such incident.
        NothingToRetry
            There is nothing to retry, or it was refused again.
        ManifestUnreadable
            The recording's manifest still cannot be read.
        StorageUnavailable
            The retry is incomplete: do it again.
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
        """Return the chunks that were sent, and whether the incident is resolved by that alone."""
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
                call = evidence.content.get("serverCallId") if evidence is not None else None
                instead = by_hand(call if isinstance(call, str) else None)
                raise NothingToRetry(
                    f"the service refused to record this call, and a retry cannot change that; {instead}"
                )
            case Retry.REFUSE:
                raise NothingToRetry(kind.instead)

    async def _event(self, key: str, evidence: Evidence | None) -> tuple[list[ChunkMessage], bool]:
        event = evidence.content.get("event") if evidence is not None else None
        if evidence is None or not isinstance(event, dict) or evidence.content.get("cut") or "data" not in event:
            raise NothingToRetry(
                "the event was too large, so only its beginning is kept; ask its sender to deliver it again"
            )
        began = self._now()
        sent = await self._replay.replay(event)
        await self._begin_anew(sent)
        row = await self._incidents.find(key) or {}
        if not sent and datetime.fromisoformat(row.get("seenAt") or row.get("raisedAt") or "0001-01-01Z") >= began:
            raise NothingToRetry(f"it was refused again: {row.get('reason')}")
        # An event about a call leaves nothing to wait for.
        is_done = event_type(event) in CALL_EVENTS or (not sent and await self._restoration.truth.is_resolved(evidence))
        return sent, is_done

    async def _message(self, row: Mapping[str, Any], evidence: Evidence | None) -> list[ChunkMessage]:
        if evidence is None:
            raise NothingToRetry(f"its evidence is missing: {blob_names.attention_blob(row['id'])} does not exist")
        is_message = row["kind"] == IncidentKind.MESSAGE
        body = evidence.content.get("message") if is_message else json.dumps(dict(evidence.content))
        try:
            message = ChunkMessage.from_json(body if isinstance(body, str) else "")
        except InvalidEvent as error:
            raise NothingToRetry(f"it still cannot be read: {error}") from None
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
                "every chunk that a kept event announces is archived, and no event announced the missing ones; if you "
                "have their event, replay it"
            )
        return sent

    async def _consent(self, row: Mapping[str, Any], evidence: Evidence | None) -> tuple[list[ChunkMessage], bool]:
        """Archive a consent: the one in the evidence, else the one that the ledger has by now."""
        prefix, recording_id = await self._restoration.truth.prefix(row), row.get("recordingId")
        given = evidence.content.get("consent") if evidence is not None else None
        if isinstance(given, dict) and recording_id:
            consent = json.dumps(given)
            await self._ledger.learn(blob_names.safe_name(recording_id), recordingId=recording_id, consent=consent)
            if prefix is not None:
                await add_consent(self._archive, prefix, consent)
            return [], True
        if prefix is None:
            raise NothingToRetry("the recording's place is not known, because its event has not come")
        began = self._now()
        sent = await self._stalled.announce_again(prefix)
        again = await self._incidents.find(row["id"]) or {}
        return sent, not again.get("seenAt") or datetime.fromisoformat(again["seenAt"]) < began

    async def _begin_anew(self, messages: list[ChunkMessage]) -> None:
        for message in messages:
            name = blob_names.ledger_name(message.recording_id, message.prefix)
            await best_effort(self._ledger.begin_anew(name, message.chunk.index))
