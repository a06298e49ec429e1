"""The evidence under `attention/`: read back as incidents, and compared with what has been archived since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from shared.core import blob_names, limits
from shared.core.errors import ArchiveConflict, InvalidEvent, ManifestUnreadable
from shared.core.times import Now, iso_time, utc_now
from shared.events.chunk_message import ChunkMessage
from shared.events.recording_files import parse_recording_files
from shared.incidents.kinds import KINDS, IncidentKind, Resolution, Severity
from shared.storage.ledger import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import Manifest

_TEXTS = ("error", "recordingId", "documentId", "prefix")


@dataclass(frozen=True, slots=True)
class Evidence:
    """An incident as its blob describes it.

    Attributes
    ----------
    row
        As the operator's list has it: id, kind, reason, raisedAt, …
    content
        The whole of the blob.
    raised_at
        When it was raised.
    """

    kind: IncidentKind
    row: Mapping[str, str]
    content: Mapping[str, Any]
    raised_at: datetime

    @classmethod
    def read(cls, blob: str, content: bytes, written_at: datetime) -> Self | None:
        """Read a blob; None where it describes no incident.

        Parameters
        ----------
        blob
            Its name.
        written_at
            Used as the time at which it was raised, where the blob names none.
        """
        identifier = blob.removeprefix(blob_names.ATTENTION).removesuffix(".json")
        try:
            kind = IncidentKind(identifier.partition(".")[0])
            found = json.loads(content)
        except (ValueError, RecursionError):
            return None
        reason = found.get("reason") if isinstance(found, dict) else None
        if not isinstance(reason, str):
            return None
        raised_at, expires_at = _moment(found.get("raisedAt")) or written_at, _moment(found.get("expiresAt"))
        level = found.get("severity")
        row = {name: value for name in _TEXTS if isinstance(value := found.get(name), str)}
        row |= {"id": identifier, "kind": kind.value, "reason": reason[: limits.LONGEST_PROPERTY]}
        row |= {"raisedAt": iso_time(raised_at), "severity": level if level in set(Severity) else Severity.WARNING}
        if expires_at is not None:
            row["expiresAt"] = iso_time(expires_at)
        return cls(kind, row, found, raised_at)

    @property
    def chunk_index(self) -> int | None:
        """The index of the chunk that it is about."""
        chunk = self.content.get("chunk")
        index = chunk.get("index") if isinstance(chunk, dict) else None
        return index if type(index) is int else None


class Truth:
    """Compares incidents with the archive and the ledger."""

    def __init__(self, archive: Archive, ledger: Ledger, *, now: Now = utc_now) -> None:
        self.manifests = archive.manifests
        self._places = archive.places
        self._ledger = ledger
        self._now = now

    async def is_resolved(self, evidence: Evidence) -> bool:
        """Whether the archive shows that an incident was resolved since; False where it cannot show that."""
        match KINDS[evidence.kind].resolution:
            case Resolution.CHUNK_ARCHIVED:
                return await self.chunk_is_resolved(evidence.row)
            case Resolution.CONSENT_ARCHIVED:
                return await self.has_consent(evidence.row)
            case Resolution.CALL_RECORDED:
                return await self._call_is_recorded(evidence.content.get("serverCallId"))
            case Resolution.EVENT_ARCHIVED:
                return await self._event_is_archived(evidence)
            case Resolution.MESSAGE_ARCHIVED:
                return await self._message_is_archived(evidence.content.get("message"))
            case (
                Resolution.CHUNKS_ARCHIVED
                | Resolution.RECORDING_COMPLETE
                | Resolution.ANNOUNCED
                | Resolution.LETTER_TAKEN_IN
            ):
                return False  # every sweep decides these anew

    async def chunk_is_resolved(self, row: Mapping[str, str]) -> bool:
        """Whether an incident's chunk is archived, and nothing is left to do about it.

        A later incident is about deleting the service's copy. A failed deletion no longer matters when the service has
        deleted the copy itself; a copy that differs from the archive's still does.
        """
        manifest = await self._manifest(row.get("prefix"))
        chunks = manifest.chunks if manifest is not None else ()
        chunk = next((chunk for chunk in chunks if chunk.document_id == row.get("documentId")), None)
        if chunk is None or chunk.archived_at is None:
            return False
        if chunk.source_deleted_at is not None or chunk.archived_at > (row.get("seenAt") or row["raisedAt"]):
            return True
        expires_at = _moment(row.get("expiresAt"))
        is_over = expires_at is not None and self._now() >= expires_at
        return is_over and row.get("error") != ArchiveConflict.__name__

    async def holds(self, prefix: str | None, documents: list[Any]) -> bool:
        """Whether a recording has all of these documents archived."""
        manifest = await self._manifest(prefix)
        if manifest is None:
            return False
        archived = {chunk.document_id for chunk in manifest.chunks if chunk.archived_at is not None}
        return all(document in archived for document in documents)

    async def has_consent(self, row: Mapping[str, str]) -> bool:
        """Whether an incident's recording has its consent archived."""
        manifest = await self._manifest(await self.prefix(row))
        return manifest is not None and manifest.consent is not None

    async def prefix(self, row: Mapping[str, str]) -> str | None:
        """Return the prefix of an incident's recording; None where it is not known."""
        recording_id = row.get("recordingId")
        if row.get("prefix") or not recording_id:
            return row.get("prefix") or None
        return (await self._ledger.read(blob_names.safe_name(recording_id))).text("prefix")

    async def _call_is_recorded(self, server_call_id: object) -> bool:
        """Whether a call has a recording that the service did not report as failed."""
        if not isinstance(server_call_id, str):
            return False
        for name in await self._ledger.linked(server_call_id):
            if (await self._ledger.read(name)).last(Report.FAILED) is None:
                return True
        return False

    async def _event_is_archived(self, evidence: Evidence) -> bool:
        event, documents = evidence.content.get("event"), evidence.content.get("documents")
        try:
            files = parse_recording_files(event, evidence.raised_at) if isinstance(event, dict) else None
        except InvalidEvent:
            files = None
        if files is None:
            return False
        wanted = documents if isinstance(documents, list) else [chunk.document_id for chunk in files.chunks]
        return await self.holds(await self._places.find(files), wanted)

    async def _message_is_archived(self, body: object) -> bool:
        try:
            message = ChunkMessage.from_json(body) if isinstance(body, str) else None
        except InvalidEvent:
            message = None
        return message is not None and await self.holds(message.prefix, [message.chunk.document_id])

    async def _manifest(self, prefix: str | None) -> Manifest | None:
        try:
            return (await self.manifests.read(prefix)).manifest if prefix else None
        except ManifestUnreadable:
            return None


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
