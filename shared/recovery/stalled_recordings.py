"""Partial recordings: chunks without progress are sent to the queue again, and what is missing is reported."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import blob_names, log
from shared.core.errors import ManifestUnreadable
from shared.core.times import Now, utc_now
from shared.incidents.incidents import Incident, manifest_incident
from shared.incidents.kinds import IncidentKind
from shared.recovery.item_by_item import each
from shared.storage.manifest import CHUNK_MAXIMUM_SIZE_EXCEEDED, ManifestStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    from shared.events.chunk_message import ChunkMessage
    from shared.incidents.incidents import Incidents
    from shared.recovery.replay import Replay
    from shared.storage.archive import Archive
    from shared.storage.ledger import Facts, Ledger
    from shared.storage.manifest import ArchivedChunk, Manifest

IDLE_AFTER = timedelta(minutes=15)
"""How long a chunk may be without progress before it is sent to the queue again."""

LONGEST_CHUNK = timedelta(hours=4)
"""The service ends a chunk after this at the latest, so the next one may take as long to come."""

DAYS_BACK = 8
"""How many days back the sweep checks recordings by their start: long ones end days after they began."""


class StalledRecordings:
    """Brings partial recordings to completion.

    Parameters
    ----------
    retention
        How long the service keeps a recording's files.
    expected_event
        How long after a recording's end its event may take.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        incidents: Incidents,
        replay: Replay,
        *,
        retention: timedelta,
        expected_event: timedelta,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._incidents = incidents
        self._replay = replay
        self._retention = retention
        self._expected_event = expected_event
        self._now = now

    async def drive_all(self) -> None:
        """Check every partial recording."""
        seen = await self._incidents.rows()

        async def drive(found: tuple[str, datetime]) -> None:
            await self.drive(*found, seen)

        await each("drive", self.partial(), drive)

    async def partial(self) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the prefixes of partial recordings, with their manifests' last change."""
        now = self._now()
        # Old days have few partial recordings and many blobs to list: once an hour is enough for them.
        days = DAYS_BACK if now.minute < 5 else 2
        for back in range(-1, days):
            async for found in self._archive.manifests.partial((now - timedelta(days=back)).date()):
                yield found

    async def drive(self, prefix: str, changed_at: datetime, seen: Mapping[str, Mapping[str, Any]]) -> None:
        """Send a recording's idle chunks again, and report what is missing; `seen` is the operator's list."""
        try:
            manifest = (await self._archive.manifests.read(prefix)).manifest
        except ManifestUnreadable as error:
            await self._incidents.report(manifest_incident(prefix, error), seen)
            return
        if manifest is None or manifest.status is not ManifestStatus.PARTIAL:
            return
        facts = await self._ledger.read(blob_names.ledger_name(manifest.recording_id, prefix))
        expires_at = facts.moment("expiresAt") or changed_at + self._retention
        waiting = [chunk for chunk in manifest.chunks if chunk.archived_at is None]
        quiet = self._now() - changed_at
        if waiting:
            if self._now() < expires_at:
                idle = {chunk.index for chunk in waiting if self._is_idle(facts, chunk, quiet)}
                if idle:
                    await self._send_again(prefix, facts, idle)
            if quiet >= IDLE_AFTER:
                await self._incidents.report(self._waiting(prefix, manifest, waiting, facts, expires_at), seen)
        elif quiet >= self._expected_event + (LONGEST_CHUNK if _goes_on(manifest) else timedelta()):
            reason = f"chunks {[chunk.index for chunk in manifest.chunks]} are archived, and others are missing"
            await self._incidents.report(
                Incident(
                    kind=IncidentKind.GAP,
                    identifier=prefix,
                    reason=reason,
                    recording_id=manifest.recording_id,
                    prefix=prefix,
                    expires_at=expires_at,
                ),
                seen,
            )

    async def announce_again(self, prefix: str, only: set[int] | None = None) -> list[ChunkMessage]:
        """Take the events in that are kept with a recording, and send its chunks that are not archived to the queue."""
        sent = []
        async for event in self._archive.events.of(prefix):
            sent += await self._replay.replay(event, only)
        return sent

    def _is_idle(self, facts: Facts, chunk: ArchivedChunk, quiet: timedelta) -> bool:
        progress = facts.chunks.get(chunk.index)
        if progress is None or progress.touched_at is None:
            return quiet >= IDLE_AFTER and (progress is None or progress.given_up_at is None)
        if progress.given_up_at is not None:
            return False  # tried again only when an operator asks for it
        due = max(progress.touched_at, progress.next_try_at or progress.touched_at)
        return self._now() - due >= IDLE_AFTER

    async def _send_again(self, prefix: str, facts: Facts, indexes: set[int]) -> None:
        for index in indexes:  # noted before, so that a ledger that refuses this does not let every sweep send them
            await self._ledger.touch(facts.name, index)
        await self.announce_again(prefix, only=indexes)
        log.warning("chunk.sent_again", prefix=prefix, chunks=sorted(indexes))

    def _waiting(
        self, prefix: str, manifest: Manifest, waiting: list[ArchivedChunk], facts: Facts, expires_at: datetime
    ) -> Incident:
        indexes = [chunk.index for chunk in waiting]
        errors = {error for index in indexes if (known := facts.chunks.get(index)) and (error := known.last_error)}
        over = self._now() >= expires_at
        reason = f"chunks {indexes} are announced and not archived"
        if over:
            reason += ", and the service has deleted them"
        if errors:
            reason += f"; the last errors: {'; '.join(sorted(errors))}"
        return Incident(
            kind=IncidentKind.WAITING,
            identifier=prefix,
            reason=reason,
            error="Expired" if over else None,
            recording_id=manifest.recording_id,
            prefix=prefix,
            expires_at=expires_at,
        )


def _goes_on(manifest: Manifest) -> bool:
    """Whether the next chunk may still be recorded: the last one ended at its maximum size."""
    last = manifest.chunks[-1].end_reason if manifest.chunks else None
    return (last or "").lower() == CHUNK_MAXIMUM_SIZE_EXCEEDED.lower()
