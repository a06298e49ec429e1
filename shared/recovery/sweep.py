"""The sweep: finds what did not go its way, puts it back to work, and tells of what it cannot mend.

Everything it does can be done twice, and by any number of instances at once: it only sends messages that may come
twice, takes in events that may come twice, and notes findings that are kept once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import blob_names, log
from shared.core.errors import ArchiverError, InvalidEvent, ServiceError
from shared.core.times import iso_time
from shared.events.chunk_message import ChunkMessage
from shared.incidents.incidents import Incident, IncidentKind, chunk_incident
from shared.incidents.restoration import Restoration
from shared.recovery.item_by_item import each
from shared.recovery.manual_retry import ManualRetry
from shared.recovery.replay import Replay
from shared.recovery.stalled_recordings import StalledRecordings
from shared.recovery.upkeep import Upkeep
from shared.storage.blobs import storage_errors_told
from shared.storage.dead_letters import REPLAYED
from shared.storage.ledger import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.archiving.intake import Intake
    from shared.incidents.incidents import Incidents
    from shared.recordings.acs_client import AcsClient
    from shared.recordings.auto_record import AutoRecord
    from shared.storage.blobs import Catalog
    from shared.storage.chunk_queue import ChunkQueue
    from shared.storage.dead_letters import DeadLetters
    from shared.storage.ledger import Facts, Ledger


class Sweep:
    """Sweeps the archive; its `rework` does on an operator's word what no sweep does by itself.

    Parameters
    ----------
    catalog, ledger, attention, intake
        The archive's parts.
    calls
        Takes in the dead letters about calls; they are set aside by default.
    control
        Asked whether a recording still runs.
    queue, poison
        Where chunks wait, and where the platform puts messages that failed too often.
    dead_letters
        Where Event Grid puts events that it could not deliver.
    retention
        How long the service keeps a recording's files.
    expected_event
        How long after a recording's end its event may take.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        ledger: Ledger,
        attention: Incidents,
        intake: Intake,
        calls: AutoRecord | None = None,
        control: AcsClient,
        queue: ChunkQueue,
        poison: ChunkQueue,
        dead_letters: DeadLetters,
        retention: timedelta,
        expected_event: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._attention = attention
        self._control = control
        self._queue = queue
        self._poison = poison
        self._dead_letters = dead_letters
        self._retention = retention
        self._expected_event = expected_event
        self._now = now
        self._replaying = Replay(intake, calls, queue)
        self._redriving = StalledRecordings(
            catalog,
            ledger,
            attention,
            self._replaying,
            retention=retention,
            expected_event=expected_event,
            now=now,
        )
        restoration = Restoration(catalog, ledger, attention, now=now)
        self._upkeep = Upkeep(
            catalog, ledger, attention, self._redriving, dead_letters, restoration=restoration, now=now
        )
        self.rework = ManualRetry(
            catalog,
            ledger,
            attention,
            replaying=self._replaying,
            redriving=self._redriving,
            queue=queue,
            restoration=restoration,
            now=now,
        )

    async def sweep(self) -> None:
        """Look at everything once; what fails does not keep the rest from its turn.

        Raises
        ------
        ExceptionGroup
            The steps that failed.
        """
        failures: list[Exception] = []
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._upkeep.put_back_what_is_missing,
            self._replay_dead_letters,
            self._empty_poison_queue,
            self._drive_partial_recordings,
            self._look_for_silent_recordings,
            self._upkeep.settle_what_is_mended,
            self._upkeep.tell_what_grew,
            self._upkeep.drop_what_is_old,
        )
        for step in steps:
            try:
                with storage_errors_told():
                    await step()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one step, the others have their turn
                reason = str(error) if isinstance(error, ArchiverError | ExceptionGroup) else type(error).__name__
                log.error("sweep.step_failed", step=step.__name__.strip("_"), reason=reason)
                failures.append(error)
        if failures:
            raise ExceptionGroup("steps of the sweep failed", failures)

    async def _replay_dead_letters(self) -> None:
        await each("replay", self._dead_letters.waiting(), self._replay)

    async def _replay(self, name: str) -> None:
        events = await self._dead_letters.read(name)
        if events is None:
            reason = f"the dead letter {name} holds no event that can be read: mend it, or move it to {REPLAYED}"
            await self._report(IncidentKind.DEAD_LETTER, name, reason)
            return
        for event in events:
            await self._replaying.replay(event)
        await self._dead_letters.done(name)
        log.warning("dead_letter.replayed", blob=name, events=len(events))

    async def _empty_poison_queue(self) -> None:
        await self._poison.take_all(self._revive)

    async def _revive(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._report(IncidentKind.MESSAGE, blob_names.digest(body), str(error), evidence={"message": body})
            return
        if self._now() < message.expires_at:
            await self._queue.send(body, timedelta())
            log.warning("chunk.revived", recordingId=message.recording_id, documentId=message.chunk.document_id)
            return
        reason = "the service has deleted the file, and every try to archive it failed"
        await self._attention.report(chunk_incident(message, reason))

    async def _drive_partial_recordings(self) -> None:
        seen = await self._attention.rows()

        async def drive(found: tuple[str, datetime]) -> None:
            await self._redriving.drive(*found, seen)

        await each("drive", self._redriving.partial(), drive)

    async def _look_for_silent_recordings(self) -> None:
        await each("listen", self._ledger.opened(), self._listen)

    async def _listen(self, name: str) -> None:
        facts = await self._ledger.read(name)
        if not facts or facts.text("prefix") is not None:
            # Announced: its manifest says from now on what must still arrive.
            await self._ledger.close(name)
        elif facts.known.get("pauseOnStart") and not facts.last(Operation.RESUME):
            await self._close_unless_running(facts)
        elif (ended_at := await self._ended_at(facts)) is not None:
            await self._judge_silence(facts, ended_at)

    async def _close_unless_running(self, facts: Facts) -> None:
        """Forget a recording that was never resumed, once it has ended: it makes no file."""
        if await self._ended_at(facts) is not None:
            await self._ledger.close(facts.name)

    async def _ended_at(self, facts: Facts) -> datetime | None:
        """Return when a recording ended, asking the service where we did not end it; None while it runs."""
        ended = facts.last(Operation.STOP, Operation.CALL_ENDED, Operation.REPORTED_FAILED)
        recording_id = facts.text("recordingId")
        if ended is not None or recording_id is None:
            return ended.at if ended is not None else None
        try:
            await self._control.get(recording_id)
        except ServiceError as error:
            if error.status != 404:
                return None
            await self._ledger.record(facts.name, Operation.CALL_ENDED, by="sweep", key="sweep")
            return self._now()
        return None

    async def _judge_silence(self, facts: Facts, ended_at: datetime) -> None:
        expires_at = ended_at + self._retention
        if self._now() - ended_at < self._expected_event:
            return
        over = self._now() >= expires_at
        await self._report(
            IncidentKind.SILENCE,
            facts.name,
            f"it ended at {iso_time(ended_at)} and no event says that its files are ready; "
            "check the event subscription (recordings doctor)",
            error="Expired" if over else None,
            recording_id=facts.text("recordingId"),
            expires_at=expires_at,
        )
        if over:
            await self._ledger.close(facts.name)

    async def _report(self, kind: IncidentKind, identifier: str, reason: str, **about: Any) -> None:
        await self._attention.report(Incident(kind=kind, identifier=identifier, reason=reason, **about))
