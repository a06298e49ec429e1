"""The sweep: finds what did not go its way, puts it back to work, and tells of what it cannot mend.

Everything it does can be done twice, and by any number of instances at once: it only sends messages that may come
twice, takes in events that may come twice, and notes findings that are kept once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared import log, names
from shared.attention import Finding, Kind
from shared.calls import CALL_EVENTS
from shared.catalog import storage_errors_told
from shared.dead_letters import event_type
from shared.errors import ArchiverError, InvalidEvent, ManifestUnreadable, ServiceError
from shared.events import RECORDING_FILE_STATUS_UPDATED, wire_time
from shared.ledger import Operation
from shared.manifest import CHUNK_MAXIMUM_SIZE_EXCEEDED, Status
from shared.messages import ChunkMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.attention import Attention
    from shared.auto_record import AutoRecord
    from shared.catalog import Catalog
    from shared.chunk_queue import ChunkQueue
    from shared.control import Control
    from shared.dead_letters import DeadLetters
    from shared.intake import Intake
    from shared.ledger import Facts, Ledger
    from shared.manifest import ArchivedChunk, Manifest

PATIENCE = timedelta(minutes=15)
"""How long a chunk may be without a sign of life before it is sent to the queue again."""

LONGEST_CHUNK = timedelta(hours=4)
"""The service ends a chunk after this at the latest, so the next one may take as long to come."""

DAYS_BACK = 8
"""How old a recording's start may be for the sweep to look at it: long recordings end days after they began."""


class Recovery:
    """Sweeps the archive.

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
        attention: Attention,
        intake: Intake,
        calls: AutoRecord | None = None,
        control: Control,
        queue: ChunkQueue,
        poison: ChunkQueue,
        dead_letters: DeadLetters,
        retention: timedelta,
        expected_event: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._attention = attention
        self._intake = intake
        self._calls = calls
        self._control = control
        self._queue = queue
        self._poison = poison
        self._dead_letters = dead_letters
        self._retention = retention
        self._expected_event = expected_event
        self._now = now

    async def sweep(self) -> None:
        """Look at everything once; a step that fails does not keep the others from their turn.

        Raises
        ------
        ExceptionGroup
            The steps that failed.
        """
        failures: list[Exception] = []
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._replay_dead_letters,
            self._empty_poison_queue,
            self._drive_partial_recordings,
            self._look_for_silent_recordings,
            self._settle_what_is_mended,
        )
        for step in steps:
            try:
                with storage_errors_told():
                    await step()
            except ArchiverError as error:
                log.error("sweep.step_failed", step=step.__name__.strip("_"), reason=str(error))
                failures.append(error)
        if failures:
            raise ExceptionGroup("steps of the sweep failed", failures)

    async def _replay_dead_letters(self) -> None:
        async for name in self._dead_letters.waiting():
            events = await self._dead_letters.read(name)
            if events is None:
                await self._report(Kind.DEAD_LETTER, name, "a dead letter holds no event that can be read")
                continue
            for event in events:
                await self._replay(event)
            await self._dead_letters.done(name)
            log.warning("dead_letter.replayed", blob=name, events=len(events))

    async def _replay(self, event: dict[str, Any]) -> None:
        kind = event_type(event)
        if kind == RECORDING_FILE_STATUS_UPDATED.lower():
            await self._take_in(event)
        elif kind in CALL_EVENTS and self._calls is not None:
            await self._calls.take(event)

    async def _take_in(self, event: dict[str, Any], only: set[int] | None = None) -> None:
        for body in await self._intake.announce(event):
            if only is None or ChunkMessage.from_json(body).chunk.index in only:
                await self._queue.send(body, timedelta())

    async def _empty_poison_queue(self) -> None:
        await self._poison.take_all(self._revive)

    async def _revive(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._report(Kind.MESSAGE, names.digest(body), str(error), evidence={"message": body})
            return
        if self._now() < message.expires_at:
            await self._queue.send(body, timedelta())
            log.warning("chunk.revived", recordingId=message.recording_id, documentId=message.chunk.document_id)
            return
        await self._report(
            Kind.CHUNK,
            names.chunk_identifier(message.recording_id, message.prefix, message.chunk.document_id),
            "the service has deleted the file, and every try to archive it failed",
            recording_id=message.recording_id,
            document_id=message.chunk.document_id,
            prefix=message.prefix,
            expires_at=message.expires_at,
            evidence=message.model_dump(mode="json", by_alias=True, exclude_none=True),
        )

    async def _drive_partial_recordings(self) -> None:
        now = self._now()
        # Old days hold little that is not complete, but many blobs to list: once an hour will do for them.
        days = DAYS_BACK if now.minute < 5 else 2
        for back in range(-1, days):
            async for prefix, changed_at in self._catalog.partial((now - timedelta(days=back)).date()):
                manifest = await self._manifest(prefix)
                if manifest is not None and manifest.status is Status.PARTIAL:
                    await self._drive(prefix, manifest, changed_at)

    async def _drive(self, prefix: str, manifest: Manifest, changed_at: datetime) -> None:
        facts = await self._ledger.read(names.ledger_name(manifest.recording_id, prefix))
        expires_at = facts.moment("expiresAt") or changed_at + self._retention
        waiting = [chunk for chunk in manifest.chunks if chunk.archived_at is None]
        quiet = self._now() - changed_at
        if waiting:
            if self._now() < expires_at:
                await self._send_again(
                    prefix, facts, [chunk for chunk in waiting if self._is_idle(facts, chunk, quiet)]
                )
            if quiet >= PATIENCE:
                await self._report_waiting(prefix, manifest, waiting, facts, expires_at)
        elif quiet >= self._expected_event + (LONGEST_CHUNK if _goes_on(manifest) else timedelta()):
            await self._report(
                Kind.GAP,
                prefix,
                f"chunks {[chunk.index for chunk in manifest.chunks]} are archived, and others are missing",
                recording_id=manifest.recording_id,
                prefix=prefix,
                expires_at=expires_at,
            )

    def _is_idle(self, facts: Facts, chunk: ArchivedChunk, quiet: timedelta) -> bool:
        progress = facts.chunks.get(chunk.index)
        if progress is None or progress.touched_at is None:
            return quiet >= PATIENCE
        due = max(progress.touched_at, progress.next_try_at or progress.touched_at)
        return self._now() - due >= PATIENCE

    async def _send_again(self, prefix: str, facts: Facts, chunks: list[ArchivedChunk]) -> None:
        if not chunks:
            return
        indexes = {chunk.index for chunk in chunks}
        async for event in self._catalog.events(prefix):
            await self._take_in(event, only=indexes)
        for index in indexes:
            await self._ledger.touch(facts.name, index)
        log.warning("chunk.sent_again", prefix=prefix, chunks=sorted(indexes))

    async def _report_waiting(
        self,
        prefix: str,
        manifest: Manifest,
        waiting: list[ArchivedChunk],
        facts: Facts,
        expires_at: datetime,
    ) -> None:
        indexes = [chunk.index for chunk in waiting]
        errors = {error for index in indexes if (known := facts.chunks.get(index)) and (error := known.last_error)}
        over = self._now() >= expires_at
        reason = f"chunks {indexes} are announced and not archived"
        if over:
            reason += ", and the service has deleted them"
        if errors:
            reason += f"; the last tries said: {'; '.join(sorted(errors))}"
        await self._report(
            Kind.WAITING,
            prefix,
            reason,
            error="Expired" if over else None,
            recording_id=manifest.recording_id,
            prefix=prefix,
            expires_at=expires_at,
        )

    async def _look_for_silent_recordings(self) -> None:
        async for name in self._ledger.opened():
            facts = await self._ledger.read(name)
            prefix = facts.text("prefix")
            if prefix is not None:
                manifest = await self._manifest(prefix)
                if manifest is not None and manifest.status is Status.COMPLETE:
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
            Kind.SILENCE,
            facts.name,
            f"it ended at {wire_time(ended_at)} and no event says that its files are ready; "
            "check the event subscription (recordings doctor)",
            error="Expired" if over else None,
            recording_id=facts.text("recordingId"),
            expires_at=expires_at,
        )
        if over:
            await self._ledger.close(facts.name)

    async def _manifest(self, prefix: str) -> Manifest | None:
        """Return a recording's manifest; one that cannot be read is reported, and the sweep goes on."""
        try:
            return (await self._catalog.read_manifest(prefix)).manifest
        except ManifestUnreadable as error:
            reason = f"{error}: bring an earlier version of the blob back"
            await self._report(Kind.GAP, prefix, reason, error=type(error).__name__, prefix=prefix)
            return None

    async def _report(self, kind: Kind, identifier: str, reason: str, **about: Any) -> None:
        await self._attention.report(Finding(kind=kind, identifier=identifier, reason=reason, **about))

    async def _settle_what_is_mended(self) -> None:
        async for row in self._attention.findings():
            if await self._is_mended(row):
                await self._attention.settle(row["id"])
                log.info("attention.settled", id=row["id"])

    async def _is_mended(self, row: dict[str, Any]) -> bool:
        match row["kind"]:
            case Kind.WAITING | Kind.GAP | Kind.CHUNK if "prefix" in row:
                manifest = await self._manifest(row["prefix"])
                return manifest is not None and manifest.status is Status.COMPLETE
            case Kind.SILENCE if "recordingId" in row:
                return (await self._ledger.read(names.safe_name(row["recordingId"]))).text("prefix") is not None
            case _:
                return False


def _goes_on(manifest: Manifest) -> bool:
    """Whether the chunk that comes next may still be recorded: the last one ended because it was full."""
    return (manifest.chunks[-1].end_reason or "").lower() == CHUNK_MAXIMUM_SIZE_EXCEEDED.lower()
