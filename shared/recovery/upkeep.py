"""The operator's list kept true: what it lacks is put back, what is mended goes, and what grew louder is told.

And the ledger kept small: claims that nobody can ask for any more are dropped.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import blob_names
from shared.core.errors import ManifestUnreadable
from shared.core.times import iso_time
from shared.incidents.incidents import OPERATOR, STANDING, SWEEP, IncidentKind
from shared.incidents.restoration import REMEMBERED, raised_at
from shared.recordings.idempotency import KEPT
from shared.recovery.item_by_item import each
from shared.storage.blobs import SETTLED_AT
from shared.storage.manifest import ManifestStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from azure.storage.blob import BlobProperties

    from shared.incidents.incidents import Incidents
    from shared.incidents.restoration import Restoration
    from shared.recovery.stalled_recordings import StalledRecordings
    from shared.storage.blobs import Catalog
    from shared.storage.dead_letters import DeadLetters
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import Manifest

MOST = 500
"""Most of a kind that one sweep puts back, and most that it drops: the next one goes on."""

_WRITING = timedelta(minutes=5)
"""How long whoever raises a finding may take from the evidence to the list."""

_LATER = timedelta(hours=1)
"""How long after a source's end, or after it was seen, a finding is looked at in every sweep; then hourly."""


class Upkeep:
    """Keeps the operator's list true, and the ledger small.

    Parameters
    ----------
    catalog, ledger, attention
        The archive's bookkeeping.
    redriving
        Announces the events of a recording again.
    dead_letters
        Where Event Grid puts events that it could not deliver.
    restoration
        Puts findings back.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        attention: Incidents,
        redriving: StalledRecordings,
        dead_letters: DeadLetters,
        *,
        restoration: Restoration,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._attention = attention
        self._redriving = redriving
        self._dead_letters = dead_letters
        self._now = now
        self._restoration = restoration
        self._truth = restoration.truth

    async def put_back_what_is_missing(self) -> None:
        """Put findings on the list that it does not have: raised while the ledger was away, or lost with it.

        One listing and one query, and what is missing is read.
        """
        rows = await self._attention.rows()
        missing: list[BlobProperties] = []
        reopened: list[tuple[str, str]] = []
        async for blob in self._catalog.attention():
            key = blob.name.removeprefix(blob_names.ATTENTION).removesuffix(".json")
            row = rows.get(key)
            if row is None:
                if self._restoration.is_wanted(blob) and self._now() - raised_at(blob) >= _WRITING:
                    missing.append(blob)
            elif row.get("settledAt") and SETTLED_AT not in (blob.metadata or {}):
                at = raised_at(blob)
                if at > datetime.fromisoformat(row["settledAt"]):
                    reopened.append((key, iso_time(at)))
        await each("put_back", _some(reopened), lambda found: self._attention.reopen(*found))
        # At random, so that what cannot be read does not keep the rest waiting for ever.
        await each("put_back", _some(random.sample(missing, min(len(missing), MOST))), self._restoration.restore)

    async def settle_what_is_mended(self) -> None:
        """Take off the list what the archive shows to be mended."""
        rows, archive = await self._attention.rows(), _Manifests(self._catalog)
        unread = set[str]()
        if any(row["kind"] == IncidentKind.DEAD_LETTER for row in rows.values()):
            unread = {blob_names.safe_name(name) async for name in self._dead_letters.waiting()}

        async def look(row: dict[str, Any]) -> None:
            if await self._is_mended(row, archive, unread):
                await self._attention.settle(row["id"], SWEEP)

        await each("settle", _some(row for row in rows.values() if self._is_due(row)), look)

    async def tell_what_grew(self) -> None:
        """Tell of each finding on the list that is louder than it was told, or of which nobody could be told."""
        grown = [row for row in (await self._attention.rows()).values() if self._attention.has_grown(row)]
        await each("tell", _some(grown), self._attention.tell_growth)

    async def drop_what_is_old(self) -> None:
        """Drop Idempotency-Keys, callback addresses and settled findings that are past their use."""
        await each("drop", _first(self._ledger.untouched("idempotency", self._now() - KEPT)), self._drop_key)
        opened = {name async for name in self._ledger.opened()}

        async def drop_address(reference: str) -> None:
            bound = await self._ledger.reserved("callback-recording", reference)
            if bound is None or blob_names.safe_name(bound["recordingId"]) not in opened:
                await self._ledger.release("callback-recording", reference)
                await self._ledger.drop("callback", reference)

        await each("drop", _first(self._ledger.untouched("callback", self._now() - REMEMBERED)), drop_address)
        if self._now().minute < 5:
            await each("drop", _first(self._settled_long_ago()), self._forget)

    async def _drop_key(self, key: str) -> None:
        await self._ledger.drop("idempotency", key)

    async def _forget(self, row: dict[str, Any]) -> None:
        """Forget a settled finding; what its evidence may not say, the ledger has to remember."""
        if await self._attention.mark_settled(row):
            await self._attention.forget(row["id"])

    async def _settled_long_ago(self) -> AsyncIterator[dict[str, Any]]:
        for row in (await self._attention.rows()).values():
            if row.get("settledAt") and self._now() - datetime.fromisoformat(row["settledAt"]) > 2 * REMEMBERED:
                yield row

    def _is_due(self, row: Mapping[str, Any]) -> bool:
        """Whether a finding may have been mended since the last look."""
        if row.get("settledAt") and (row.get("settledBy") != OPERATOR or row["kind"] not in STANDING):
            return False
        match row["kind"]:
            case IncidentKind.SILENCE | IncidentKind.DEAD_LETTER:
                return True
            case IncidentKind.EVENT | IncidentKind.MESSAGE | IncidentKind.CALL:
                # Each takes several requests, and whoever has the key can cause any number.
                until = datetime.fromisoformat(row.get("seenAt") or row["raisedAt"]) + _LATER
            case _ if row.get("expiresAt"):
                until = datetime.fromisoformat(row["expiresAt"]) + _LATER
            case _:
                until = datetime.fromisoformat(row["raisedAt"]) + timedelta(days=1)
        is_recent = self._now() - datetime.fromisoformat(row["raisedAt"]) <= REMEMBERED
        return self._now() < until or (self._now().minute < 5 and (is_recent or row["kind"] == IncidentKind.GAP))

    async def _is_mended(self, row: dict[str, Any], archive: _Manifests, unread: set[str]) -> bool:
        prefix = row.get("prefix")
        match row["kind"]:
            case IncidentKind.WAITING | IncidentKind.GAP if prefix:
                mended = await self._is_whole(row, prefix, archive)
            case IncidentKind.CHUNK:
                mended = await self._truth.chunk_is_mended(row)
            case IncidentKind.CONSENT:
                mended = await self._truth.has_consent(row)
            case IncidentKind.SILENCE:
                mended = await self._truth.prefix(row) is not None
            case IncidentKind.DEAD_LETTER:
                mended = row["id"].removeprefix(f"{IncidentKind.DEAD_LETTER}.") not in unread
            case _:
                evidence = await self._restoration.evidence(row["id"])
                mended = evidence is not None and await self._truth.is_mended(evidence)
        return mended

    async def _is_whole(self, row: Mapping[str, Any], prefix: str, archive: _Manifests) -> bool:
        try:
            manifest = await archive.read(prefix)
        except ManifestUnreadable:
            return False
        if row.get("error") == ManifestUnreadable.__name__:
            # It can be read again: what events said meanwhile is not in it.
            await self._redriving.announce_again(prefix)
            return True
        if row["kind"] == IncidentKind.WAITING:
            return manifest is not None and all(chunk.archived_at is not None for chunk in manifest.chunks)
        return manifest is not None and manifest.status is ManifestStatus.COMPLETE


class _Manifests:
    """Manifests by prefix, each read once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, Manifest | None] = {}

    async def read(self, prefix: str) -> Manifest | None:
        if prefix not in self._known:
            self._known[prefix] = (await self._catalog.read_manifest(prefix)).manifest
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
