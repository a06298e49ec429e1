"""Incidents restored to the ledger from the evidence under `attention/`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import blob_names
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.evidence import Evidence, Truth
from shared.incidents.evidence_blobs import RAISED_AT, SETTLED_AT, SETTLED_BY
from shared.incidents.incidents import OPERATOR, SWEEP
from shared.incidents.kinds import IncidentKind

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

    from shared.incidents.incidents import Incidents
    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger

REMEMBERED = timedelta(days=8)
"""How long an incident that an operator settled is not reported again: the sweep looks back as far."""


def raised_at(blob: BlobProperties) -> datetime:
    """Return when a blob's incident was raised last."""
    mark = (blob.metadata or {}).get(RAISED_AT)
    return datetime.fromisoformat(mark) if mark else blob.last_modified


class Restoration:
    """Restores incidents to the operator's list."""

    def __init__(self, archive: Archive, ledger: Ledger, incidents: Incidents, *, now: Now = utc_now) -> None:
        self._archive = archive
        self._ledger = ledger
        self._incidents = incidents
        self._now = now
        self.truth = Truth(archive, ledger, now=now)

    def is_wanted(self, blob: BlobProperties) -> bool:
        """Whether the ledger must know an incident: it is open, or an operator settled it recently."""
        marks = blob.metadata or {}
        if SETTLED_AT not in marks:
            return True
        is_recent = self._now() - datetime.fromisoformat(marks[SETTLED_AT]) <= REMEMBERED
        return marks.get(SETTLED_BY) == OPERATOR and is_recent

    async def restore(self, blob: BlobProperties) -> bool | None:
        """Restore a blob's incident, if it is wanted and the archive does not show it to be resolved.

        Returns whether it is back on the list; None where the blob is unreadable.
        """
        if not self.is_wanted(blob):
            return False
        content = await self._archive.blobs.read(blob.name)
        evidence = Evidence.read(blob.name, content, blob.last_modified) if content is not None else None
        if evidence is None:
            return None
        marks = blob.metadata or {}
        if SETTLED_AT not in marks and await self.truth.is_resolved(evidence):
            settled = {"settledAt": iso_time(self._now()), "settledBy": SWEEP}
            await self._incidents.mark_settled({**evidence.row, **settled})
            return False
        is_back = await self._incidents.restore(evidence.row, marks)
        await self._give_up(evidence)
        return is_back

    async def evidence(self, key: str) -> Evidence | None:
        """Return the evidence of an incident; None where there is none that can be read."""
        content = await self._incidents.evidence.read(key)
        return Evidence.read(blob_names.attention_blob(key), content, self._now()) if content is not None else None

    async def _give_up(self, evidence: Evidence) -> None:
        """Note again that a chunk was given up: its recording's state depends on it."""
        index, prefix = evidence.chunk_index, evidence.row.get("prefix")
        if evidence.kind is not IncidentKind.CHUNK or index is None or prefix is None:
            return
        name = blob_names.ledger_name(evidence.row.get("recordingId"), prefix)
        known = (await self._ledger.read(name)).chunks.get(index)
        if known is None:
            await self._ledger.give_up(name, index, evidence.row["reason"])
