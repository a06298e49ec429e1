"""Archiving of announced chunks.

`ChunkArchiver.take` handles one queue message: it copies the chunk's media and metadata, then writes the result to the
manifest. It can be repeated, run twice concurrently, or be interrupted anywhere; the archive ends the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from shared.core import blob_names, log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import (
    ArchiveConflict,
    Expired,
    InvalidEvent,
    ManifestUnreadable,
    Permanent,
    Retryable,
    StorageUnavailable,
    TopicUnavailable,
)
from shared.core.times import Now, iso_time, utc_now
from shared.events.chunk_message import ChunkMessage
from shared.events.metadata_file import parse_metadata
from shared.storage.manifest import ArchivedChunk, ArchivedMetadata, Manifest
from shared.storage.manifests import NO_MANIFEST

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shared.archiving.chunk_files import ChunkFiles
    from shared.archiving.chunk_retries import ChunkRetries
    from shared.archiving.source_deletion import Completion
    from shared.storage.archive import Archive
    from shared.storage.manifests import ManifestVersion


class ChunkArchiver:
    """Archives chunks; `completion` follows once a chunk is archived, and None does nothing then."""

    def __init__(
        self,
        archive: Archive,
        files: ChunkFiles,
        retries: ChunkRetries,
        *,
        completion: Completion | None = None,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._files = files
        self._retries = retries
        self._completion = completion
        self._now = now

    async def take(self, body: str) -> None:
        """Archive the chunk of one queue message.

        A failed try is repeated later, until the source has expired. A chunk that no retry can archive becomes an
        incident. Either way the message is done.

        Raises
        ------
        StorageUnavailable
            The next try could not be put into the queue; the platform delivers the message again.
        """
        with storage_errors_translated():
            await self._take(body)

    async def _take(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._retries.refuse(body, error)
            return
        with log.fields(recordingId=message.recording_id, callId=message.call_id, documentId=message.chunk.document_id):
            if message.due_at is not None:
                telemetry.work_began(self._now() - message.due_at)
            try:
                with storage_errors_translated(), _traced(message):
                    await self._archive_chunk(message)
            except Retryable as error:
                # What is archived does not expire, and an outage of the archive's own services ends.
                ours = isinstance(error, StorageUnavailable | TopicUnavailable | ManifestUnreadable)
                if self._now() >= message.expires_at and not ours:
                    expired = Expired(f"the service has deleted the file; the last error: {error}")
                    await self._retries.give_up(message, expired)
                else:
                    await self._retries.try_again(message, error)
            except (Permanent, Expired) as error:
                await self._retries.give_up(message, error)

    async def _archive_chunk(self, message: ChunkMessage) -> None:
        chunk, prefix = message.chunk, message.prefix
        began = asyncio.get_running_loop().time()
        seen, unreadable = await self._read_manifest(prefix)
        known = seen.manifest or Manifest()
        if known.holds(chunk):
            log.info("chunk.already_archived")
            await self._complete(message, known)
            return
        if known.conflicts(chunk):
            raise ArchiveConflict(f"another document is announced as chunk {chunk.index} of this recording")
        found = None
        if message.tries or unreadable or self._now() >= message.expires_at:
            found = await self._files.recall(message)
        content, metadata = found or await self._files.fetch(message)
        if unreadable is not None:
            raise unreadable
        described = parse_metadata(metadata)
        archived = ArchivedChunk(
            index=chunk.index,
            document_id=chunk.document_id,
            end_reason=chunk.end_reason,
            start_time=described.start_time,
            duration_ms=described.duration_ms,
            archived_at=iso_time(self._now()),
            content=content,
            metadata=ArchivedMetadata(
                blob=blob_names.metadata_blob(prefix, chunk.index),
                size=len(metadata),
                sha256=hashlib.sha256(metadata).hexdigest(),
            ),
        )
        manifest = await self._archive.manifests.update(prefix, lambda now: now.archived(archived, described), seen)
        log.info("chunk.archived", blob=content.blob, bytes=content.size, status=manifest.status)
        telemetry.chunk_archived(
            content.size,
            asyncio.get_running_loop().time() - began,
            tries=message.tries + 1,
            time_left=message.expires_at - self._now(),
            format=content.blob.rpartition(".")[2],
        )
        await self._complete(message, manifest)

    async def _read_manifest(self, prefix: str) -> tuple[ManifestVersion, ManifestUnreadable | None]:
        """Return the manifest, or why it cannot be read: the files are copied all the same, before they expire."""
        try:
            return await self._archive.manifests.read(prefix), None
        except ManifestUnreadable as error:
            return NO_MANIFEST, error

    async def _complete(self, message: ChunkMessage, manifest: Manifest) -> None:
        if self._completion is not None:
            await self._completion.follow(message, manifest)


def _traced(message: ChunkMessage) -> AbstractContextManager[None]:
    return telemetry.span(
        "chunk.archive",
        parent=message.traceparent,
        recordingId=message.recording_id,
        callId=message.call_id,
        documentId=message.chunk.document_id,
        chunk=message.chunk.index,
        tries=message.tries,
    )
