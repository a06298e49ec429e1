"""The manifest: what a recording consists of, and how much of it is archived.

Changes are pure functions. They give the same manifest in any order, and when they are repeated; so workers need no
locks, only the blob's ETag to apply a change to the latest version.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.core.limits import MOST_PARTICIPANTS
from shared.core.times import iso_time

if TYPE_CHECKING:
    from shared.events.metadata_file import ChunkMetadata
    from shared.events.recording_files import Chunk, RecordingFiles

CHUNK_MAXIMUM_SIZE_EXCEEDED = "ChunkMaximumSizeExceeded"
"""The reason of a chunk that another one follows."""


class ManifestStatus(StrEnum):
    """Whether everything of a recording is archived."""

    PARTIAL = "partial"
    COMPLETE = "complete"


class _Model(BaseModel):
    """Base of the manifest's parts. Unknown fields are kept: a later version's are not lost when this one writes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="allow")


# Most fields are null until they are known; these are left out where they do not apply.
_OMITTED_WHEN_ABSENT = Field(exclude_if=lambda value: value is None)


class ArchivedMedia(_Model):
    """An archived media file. Digests are hex; `size` is in bytes; `blob` is its name in the container."""

    blob: str
    size: int
    md5: str
    sha256: str


class ArchivedMetadata(_Model):
    """An archived metadata file."""

    blob: str
    size: int
    sha256: str


class ConsentFile(_Model):
    """The consent that was given when the recording was started."""

    blob: str
    sha256: str


class ArchivedParticipant(_Model):
    """A participant; `channel` only in unmixed recordings."""

    participant_id: str
    channel: Annotated[int | None, _OMITTED_WHEN_ABSENT] = None


class ArchivedChunk(_Model):
    """A chunk: announced, and archived once `archivedAt`, `content` and `metadata` are there.

    `sourceDeletedAt` is there once the app has deleted the service's copy.
    """

    index: int
    document_id: str
    end_reason: str | None = None
    start_time: str | None = None
    duration_ms: int | None = None
    archived_at: str | None = None
    content: ArchivedMedia | None = None
    metadata: ArchivedMetadata | None = None
    source_deleted_at: Annotated[str | None, _OMITTED_WHEN_ABSENT] = None


class Manifest(_Model):
    """What `manifest.json` holds. Times are ISO 8601 in UTC; durations are milliseconds."""

    schema_version: Literal[1] = 1
    recording_id: str | None = None
    call_id: str | None = None
    server_call_id: str | None = None
    status: ManifestStatus = ManifestStatus.PARTIAL
    start_time: str | None = None
    duration_ms: int | None = None
    content_type: str | None = None
    channel_type: str | None = None
    format: str | None = None
    session_end_reason: str | None = None
    participants: tuple[ArchivedParticipant, ...] = ()
    chunks: tuple[ArchivedChunk, ...] = ()
    consent: Annotated[ConsentFile | None, _OMITTED_WHEN_ABSENT] = None

    def chunk(self, index: int) -> ArchivedChunk | None:
        """Return the chunk at `index`, if it was announced."""
        return next((chunk for chunk in self.chunks if chunk.index == index), None)

    def holds(self, chunk: Chunk) -> bool:
        """Whether this very chunk is archived."""
        known = self.chunk(chunk.index)
        return known is not None and known.document_id == chunk.document_id and known.archived_at is not None

    def conflicts(self, chunk: Chunk) -> bool:
        """Whether another document has this chunk's index."""
        known = self.chunk(chunk.index)
        return known is not None and known.document_id != chunk.document_id

    def announced(self, files: RecordingFiles, consent: ConsentFile | None = None) -> Manifest:
        """Return the manifest after an event; a chunk whose index another document has is left out.

        An event with nothing but such chunks is about something else, and changes nothing.
        """
        if all(self.conflicts(chunk) for chunk in files.chunks):
            return self
        chunks = {chunk.index: chunk for chunk in self.chunks}
        for chunk in files.chunks:
            known = chunks.setdefault(chunk.index, ArchivedChunk(index=chunk.index, document_id=chunk.document_id))
            if known.document_id == chunk.document_id and known.end_reason is None:
                chunks[chunk.index] = known.model_copy(update={"end_reason": chunk.end_reason})
        durations = [duration for duration in (self.duration_ms, files.duration_ms) if duration is not None]
        return self._with(
            recording_id=self.recording_id or files.recording_id,
            call_id=self.call_id or files.call_id,
            server_call_id=self.server_call_id or files.server_call_id,
            start_time=self.start_time or iso_time(files.start_time),
            duration_ms=max(durations, default=None),
            content_type=self.content_type or files.content_type,
            channel_type=self.channel_type or files.channel_type,
            format=self.format or files.format,
            session_end_reason=self.session_end_reason or files.session_end_reason,
            consent=self.consent or consent,
            chunks=tuple(chunks.values()),
        )

    def archived(self, archived: ArchivedChunk, metadata: ChunkMetadata) -> Manifest:
        """Return the manifest after a chunk was archived; the first archiving of a chunk stands."""
        known = self.chunk(archived.index)
        if known is not None and known.archived_at is not None:
            return self
        others = tuple(chunk for chunk in self.chunks if chunk.index != archived.index)
        extra = known.model_extra if known is not None else None
        participants = {(p.participant_id, p.channel): p for p in self.participants}
        for participant in metadata.participants:
            participants.setdefault(
                (participant.participant_id, participant.channel),
                ArchivedParticipant(participant_id=participant.participant_id, channel=participant.channel),
            )
        return self._with(
            call_id=self.call_id or metadata.call_id,
            content_type=self.content_type or metadata.content_type,
            channel_type=self.channel_type or metadata.channel_type,
            format=self.format or metadata.format,
            participants=tuple(participants.values()),
            chunks=(*others, archived.model_copy(update=extra or {})),
        )

    def source_deleted(self, chunk: Chunk, at: str) -> Manifest:
        """Return the manifest after the service's copy of an archived chunk was deleted; the first deletion stands."""
        known = self.chunk(chunk.index)
        if known is None or not self.holds(chunk) or known.source_deleted_at is not None:
            return self
        others = tuple(other for other in self.chunks if other.index != chunk.index)
        return self._with(chunks=(*others, known.model_copy(update={"source_deleted_at": at})))

    def _with(
        self,
        *,
        chunks: tuple[ArchivedChunk, ...],
        participants: tuple[ArchivedParticipant, ...] | None = None,
        **changes: object,
    ) -> Manifest:
        ordered = tuple(sorted(chunks, key=lambda chunk: chunk.index))
        people = tuple(sorted(participants or self.participants, key=lambda p: (p.participant_id, str(p.channel))))
        people = people[:MOST_PARTICIPANTS]  # the first in this order, so every writer keeps the same ones
        status = ManifestStatus.COMPLETE if _is_complete(ordered) else ManifestStatus.PARTIAL
        return self.model_copy(update={**changes, "chunks": ordered, "participants": people, "status": status})

    def to_json(self) -> bytes:
        """Return the blob's content."""
        return self.model_dump_json(by_alias=True, indent=2).encode() + b"\n"


def _is_complete(chunks: tuple[ArchivedChunk, ...]) -> bool:
    return (
        bool(chunks)
        and [chunk.index for chunk in chunks] == list(range(len(chunks)))
        and (chunks[-1].end_reason or "").lower() != CHUNK_MAXIMUM_SIZE_EXCEEDED.lower()
        and all(chunk.archived_at is not None for chunk in chunks)
    )
