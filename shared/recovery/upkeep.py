"""Upkeep of the operator's list: restore missing incidents, settle resolved ones, report those that grew more severe.

And of the ledger: claims that are not needed any more are deleted.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import blob_names
from shared.core.errors import ManifestUnreadable
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.evidence_blobs import SETTLED_AT
from shared.incidents.incidents import OPERATOR, SWEEP
from shared.incidents.kinds import KINDS, IncidentKind, Look, Resolution
from shared.incidents.restoration import REMEMBERED, raised_at
from shared.recordings.idempotency import KEPT
from shared.recovery.item_by_item import each
from shared.storage.manifest import ManifestStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from azure.storage.blob import BlobProperties

    from shared.incidents.incidents import Incidents
    from shared.incidents.restoration import Restoration
    from shared.recovery.stalled_recordings import StalledRecordings
    from shared.storage.claims import Claims
    from shared.storage.dead_letters import DeadLetters
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import Manifest
    from shared.storage.manifests import Manifests

MOST = 500
"""Most items that one sweep restores, and most that it deletes; the next sweep continues."""

_WRITING = timedelta(minutes=5)
"""How long reporting an incident may take from the evidence to the list."""

_LATER = timedelta(hours=1)
"""How long after a source's expiry, or after it was seen, an incident is checked by every sweep; then hourly."""


class Upkeep:
    """Keeps the operator's list current, and the table small."""

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        incidents: Incidents,
        *,
        restoration: Restoration,
        stalled: StalledRecordings,
        dead_letters: DeadLetters,
        now: Now = utc_now,
    ) -> None:
        self._ledger = ledger
        self._claims = claims
        self._incidents = incidents
        self._restoration = restoration
        self._truth = restoration.truth
        self._stalled = stalled
        self._dead_letters = dead_letters
        self._now = now

    async def put_back_what_is_missing(self) -> None:
        """Restore incidents that the list lacks: raised while the ledger was unavailable, or lost with it.

        This takes one listing and one query, and reads only what is missing.
        """
        rows = await self._incidents.rows()
        missing: list[BlobProperties] = []
        reopened: list[tuple[str, str]] = []
        async for blob in self._incidents.evidence.all():
            key = blob.name.removeprefix(blob_names.ATTENTION).removesuffix(".json")
            row = rows.get(key)
            if row is None:
                if self._restoration.is_wanted(blob) and self._now() - raised_at(blob) >= _WRITING:
                    missing.append(blob)
            elif row.get("settledAt") and SETTLED_AT not in (blob.metadata or {}):
                at = raised_at(blob)
                if at > datetime.fromisoformat(row["settledAt"]):
                    reopened.append((key, iso_time(at)))
        await each("put_back", _some(reopened), lambda found: self._incidents.reopen(*found))
        # At random, so that unreadable evidence does not block the rest in every sweep.
        await each("put_back", _some(random.sample(missing, min(len(missing), MOST))), self._restoration.restore)

    async def settle_what_is_resolved(self) -> None:
        """Take incidents off the list that the archive shows to be resolved."""
        rows, archive = await self._incidents.rows(), _Manifests(self._truth.manifests)
        unread = set[str]()
        if any(row["kind"] == IncidentKind.DEAD_LETTER for row in rows.values()):
            unread = {blob_names.safe_name(name) async for name in self._dead_letters.waiting()}

        async def look(row: dict[str, Any]) -> None:
            if await self._is_resolved(row, archive, unread):
                await self._incidents.settle(row["id"], SWEEP)

        await each("settle", _some(row for row in rows.values() if self._is_due(row)), look)

    async def report_what_grew(self) -> None:
        """Report each incident whose severity has grown, or whose last report failed."""
        grown = [row for row in (await self._incidents.rows()).values() if self._incidents.has_grown(row)]
        await each("report", _some(grown), self._incidents.report_growth)

    async def drop_what_is_old(self) -> None:
        """Delete Idempotency-Keys, callback addresses and settled incidents that are not needed any more."""
        await each("drop", _first(self._claims.untouched("idempotency", self._now() - KEPT)), self._drop_key)
        opened = {name async for name in self._ledger.opened()}

        async def drop_address(reference: str) -> None:
            bound = await self._claims.get("callback-recording", reference)
            if bound is None or blob_names.safe_name(bound["recordingId"]) not in opened:
                await self._claims.release("callback-recording", reference)
                await self._claims.drop("callback", reference)

        await each("drop", _first(self._claims.untouched("callback", self._now() - REMEMBERED)), drop_address)
        if self._now().minute < 5:
            await each("drop", _first(self._settled_long_ago()), self._forget)

    async def _drop_key(self, key: str) -> None:
        await self._claims.drop("idempotency", key)

    async def _forget(self, row: dict[str, Any]) -> None:
        """Delete a settled incident's row, unless storage refuses the mark that says so in its evidence."""
        if await self._incidents.mark_settled(row):
            await self._incidents.forget(row["id"])

    async def _settled_long_ago(self) -> AsyncIterator[dict[str, Any]]:
        for row in (await self._incidents.rows()).values():
            if row.get("settledAt") and self._now() - datetime.fromisoformat(row["settledAt"]) > 2 * REMEMBERED:
                yield row

    def _is_due(self, row: Mapping[str, Any]) -> bool:
        """Whether this sweep checks if an incident is resolved."""
        kind = KINDS[IncidentKind(row["kind"])]
        if row.get("settledAt") and (row.get("settledBy") != OPERATOR or not kind.found_by_every_sweep):
            return False
        match kind.look:
            case Look.ALWAYS:
                return True
            case Look.AFTER_SEEN:
                # Each check takes several requests, and a caller with the key can cause any number of them.
                until = datetime.fromisoformat(row.get("seenAt") or row["raisedAt"]) + _LATER
            case Look.UNTIL_EXPIRY if row.get("expiresAt"):
                until = datetime.fromisoformat(row["expiresAt"]) + _LATER
            case Look.UNTIL_EXPIRY:
                until = datetime.fromisoformat(row["raisedAt"]) + timedelta(days=1)
        is_recent = self._now() - datetime.fromisoformat(row["raisedAt"]) <= REMEMBERED
        return self._now() < until or (self._now().minute < 5 and (is_recent or kind.looked_at_for_good))

    async def _is_resolved(self, row: dict[str, Any], archive: _Manifests, unread: set[str]) -> bool:
        match KINDS[IncidentKind(row["kind"])].resolution:
            case Resolution.CHUNKS_ARCHIVED | Resolution.RECORDING_COMPLETE as wanted:
                resolved = await self._is_whole(row, wanted, archive)
            case Resolution.CHUNK_ARCHIVED:
                resolved = await self._truth.chunk_is_resolved(row)
            case Resolution.CONSENT_ARCHIVED:
                resolved = await self._truth.has_consent(row)
            case Resolution.ANNOUNCED:
                resolved = await self._truth.prefix(row) is not None
            case Resolution.LETTER_TAKEN_IN:
                resolved = row["id"].removeprefix(f"{IncidentKind.DEAD_LETTER}.") not in unread
            case Resolution.CALL_RECORDED | Resolution.EVENT_ARCHIVED | Resolution.MESSAGE_ARCHIVED:
                evidence = await self._restoration.evidence(row["id"])
                resolved = evidence is not None and await self._truth.is_resolved(evidence)
        return resolved

    async def _is_whole(self, row: Mapping[str, Any], wanted: Resolution, archive: _Manifests) -> bool:
        if not (prefix := row.get("prefix")):
            return False
        try:
            manifest = await archive.read(prefix)
        except ManifestUnreadable:
            return False
        if row.get("error") == ManifestUnreadable.__name__:
            # It can be read again, but lacks what events announced meanwhile.
            await self._stalled.announce_again(prefix)
            return True
        if wanted is Resolution.CHUNKS_ARCHIVED:
            return manifest is not None and all(chunk.archived_at is not None for chunk in manifest.chunks)
        return manifest is not None and manifest.status is ManifestStatus.COMPLETE


class _Manifests:
    """Manifests by prefix, each read once."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests
        self._known: dict[str, Manifest | None] = {}

    async def read(self, prefix: str) -> Manifest | None:
        if prefix not in self._known:
            self._known[prefix] = (await self._manifests.read(prefix)).manifest
        return self._known[prefix]


async def _first[T](items: AsyncIterator[T]) -> AsyncIterator[T]:
    count = 0
    async for item in items:
        yield item
        count += 1
        if count == MOST:
            return


async def _some[T](items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
