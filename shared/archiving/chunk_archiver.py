"""The archive: brings the chunks that events announced into the container.

`ChunkArchiver.archive` handles one queue message: it copies the chunk's media and metadata, then notes in the manifest
what arrived. It can be repeated, run twice at once, or be cut off anywhere, and ends in the same archive.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from shared.core import blob_names, log, telemetry
from shared.core.errors import (
    ArchiveConflict,
    CopyError,
    Expired,
    Handover,
    InvalidEvent,
    ManifestUnreadable,
    Permanent,
    Retryable,
    SourceNotReady,
    StorageUnavailable,
    TopicUnavailable,
)
from shared.core.media_formats import Format
from shared.core.retry_policy import delay_after
from shared.core.times import iso_time
from shared.events.chunk_message import ChunkMessage
from shared.events.metadata_file import METADATA_LIMIT, parse_metadata
from shared.incidents.incidents import Incident, IncidentKind, chunk_incident
from shared.storage.archived_files import recall
from shared.storage.blobs import NO_MANIFEST, storage_errors_told
from shared.storage.ledger import best_effort
from shared.storage.manifest import ArchivedChunk, Manifest, MediaFile, MetadataFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from azure.storage.blob.aio import ContainerClient

    from shared.archiving.source_deletion import Completion
    from shared.download.client import DownloadClient
    from shared.events.recording_files import Chunk
    from shared.incidents.incidents import Incidents
    from shared.storage.blobs import Catalog, ManifestVersion
    from shared.storage.chunk_queue import ChunkQueue
    from shared.storage.ledger import Ledger
    from shared.upload.copier import Copier

COPY_TIME = timedelta(minutes=25)
"""How long one invocation copies before it hands the rest on; host.json's functionTimeout is 5 minutes more."""


class ChunkArchiver:
    """Brings recordings into the container.

    Parameters
    ----------
    container
        The archive's container.
    catalog
        Its bookkeeping.
    ledger
        Told how chunks get on.
    attention
        Told of what cannot be archived.
    queue
        Takes the tries that are to come.
    source, transfer
        Where files are read from, and what moves them.
    completion
        Does what follows once a chunk is archived; nothing by default.
    first_retry
        How long to wait after a chunk's first failed try.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        container: ContainerClient,
        *,
        catalog: Catalog,
        ledger: Ledger,
        attention: Incidents,
        queue: ChunkQueue,
        source: DownloadClient,
        transfer: Copier,
        completion: Completion | None = None,
        first_retry: timedelta = timedelta(seconds=15),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._catalog = catalog
        self._ledger = ledger
        self._attention = attention
        self._queue = queue
        self._source = source
        self._transfer = transfer
        self._completion = completion
        self._first_retry = first_retry
        self._now = now

    async def archive(self, body: str) -> None:
        """Archive the chunk of one queue message.

        A failed try is followed by another, later, until the source has expired. What no retry can mend is kept under
        `attention/` with the reason. Either way the message counts as done.

        Raises
        ------
        StorageUnavailable
            Not even the next try could be put into the queue; the message should come again.
        """
        with storage_errors_told():
            await self._archive(body)

    async def _archive(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._refuse_message(body, error)
            return
        with log.fields(recordingId=message.recording_id, callId=message.call_id, documentId=message.chunk.document_id):
            if message.due_at is not None:
                telemetry.work_began(self._now() - message.due_at)
            try:
                with storage_errors_told(), _traced(message):
                    await self._archive_chunk(message)
            except Retryable as error:
                # What is archived already does not expire, and the archive's own services come back.
                ours = isinstance(error, StorageUnavailable | TopicUnavailable | ManifestUnreadable)
                if self._now() >= message.expires_at and not ours:
                    await self._give_up(message, Expired(f"the service has deleted the file; last it said: {error}"))
                else:
                    await self._try_again(message, error)
            except (Permanent, Expired) as error:
                await self._give_up(message, error)

    async def _try_again(self, message: ChunkMessage, error: Retryable) -> None:
        if isinstance(error, Handover):
            log.info("chunk.handed_over", reason=str(error))
            await self._send(message, timedelta())
            return
        tries, time_left = message.tries + 1, message.expires_at - self._now()
        delay = delay_after(
            tries,
            first=self._first_retry,
            retry_after=error.retry_after,
            # Once it is over only our own services are waited for, and no deadline presses any more.
            time_left=time_left if time_left > timedelta() else timedelta.max,
            random=random.random,
        )
        log.warning(
            "chunk.postponed",
            tries=tries,
            seconds=round(delay.total_seconds()),
            error=type(error).__name__,
            reason=str(error),
        )
        await self._send(message.model_copy(update={"tries": tries}), delay)
        name = blob_names.ledger_name(message.recording_id, message.prefix)
        next_try = self._now() + delay
        await best_effort(self._ledger.failed(name, message.chunk.index, tries, str(error), next_try))

    async def _send(self, message: ChunkMessage, delay: timedelta) -> None:
        await self._queue.send(message.model_copy(update={"due_at": self._now() + delay}).to_json(), delay)

    async def _archive_chunk(self, message: ChunkMessage) -> None:
        chunk, prefix = message.chunk, message.prefix
        began = asyncio.get_running_loop().time()
        seen, unreadable = await self._read_manifest(prefix)
        known = seen.manifest or Manifest()
        if known.holds(chunk):
            log.info("chunk.already_archived")
            await self._follow(message, known)
            return
        if known.conflicts(chunk):
            raise ArchiveConflict(f"another document is announced as chunk {chunk.index} of this recording")
        found = None
        if message.tries or unreadable or self._now() >= message.expires_at:
            found = await recall(self._container, message)
        content, metadata = found or await self._fetch(message)
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
            metadata=MetadataFile(
                blob=blob_names.metadata_blob(prefix, chunk.index),
                size=len(metadata),
                sha256=hashlib.sha256(metadata).hexdigest(),
            ),
        )
        manifest = await self._catalog.update_manifest(prefix, lambda now: now.archived(archived, described), seen)
        log.info("chunk.archived", blob=content.blob, bytes=content.size, status=manifest.status)
        telemetry.chunk_archived(
            content.size,
            asyncio.get_running_loop().time() - began,
            tries=message.tries + 1,
            time_left=message.expires_at - self._now(),
            format=content.blob.rpartition(".")[2],
        )
        await self._follow(message, manifest)

    async def _read_manifest(self, prefix: str) -> tuple[ManifestVersion, ManifestUnreadable | None]:
        """Return the manifest, or why it cannot be read: the files cannot be had again, and are copied all the same."""
        try:
            return await self._catalog.read_manifest(prefix), None
        except ManifestUnreadable as error:
            return NO_MANIFEST, error

    async def _fetch(self, message: ChunkMessage) -> tuple[MediaFile, bytes]:
        """Copy a chunk's files into the archive, and return what the media became, and the metadata."""
        # The media is what cannot be had again, so it is copied even while the metadata file fails.
        metadata = await self._read_metadata(message.chunk)
        content = await self._copy_content(message)
        if isinstance(metadata, CopyError):
            raise metadata
        name = blob_names.metadata_blob(message.prefix, message.chunk.index)
        return content, await self._catalog.put_first(name, metadata)

    async def _follow(self, message: ChunkMessage, manifest: Manifest) -> None:
        if self._completion is not None:
            await self._completion.follow(message, manifest)

    async def _read_metadata(self, chunk: Chunk) -> bytes | CopyError:
        try:
            with telemetry.span("source.metadata"):
                content: bytes = await self._source.read(chunk.metadata_location, limit=METADATA_LIMIT)
            described = parse_metadata(content)
            if described.document_id not in {None, chunk.document_id}:
                raise SourceNotReady("the metadata file is about another document")
        except CopyError as error:
            return error
        return content

    async def _copy_content(self, message: ChunkMessage) -> MediaFile:
        announced = Format(message.format) if message.format in set(Format) else None
        progress = _Progress(self._ledger, message)
        location = message.chunk.content_location
        with telemetry.span("chunk.copy"):
            async with progress, self._source.open(location, format=announced) as media:
                name = blob_names.content_blob(message.prefix, message.chunk.index, media.format)
                copied = await self._transfer.copy(
                    media,
                    self._container.get_blob_client(name),
                    document_id=message.chunk.document_id,
                    content_type=media.format.content_type,
                    progress=progress,
                    deadline=asyncio.get_running_loop().time() + COPY_TIME.total_seconds(),
                )
        return MediaFile(blob=name, size=copied.size, md5=copied.md5, sha256=copied.sha256)

    async def _refuse_message(self, body: str, error: InvalidEvent) -> None:
        log.error("message.refused", reason=str(error))
        await self._attention.report(
            Incident(
                kind=IncidentKind.MESSAGE,
                identifier=blob_names.digest(body),
                reason=str(error),
                error=type(error).__name__,
                evidence={"message": body},
            )
        )

    async def _give_up(self, message: ChunkMessage, error: CopyError) -> None:
        log.error("chunk.given_up", reason=str(error), error=type(error).__name__)
        await self._attention.report(chunk_incident(message, str(error), type(error).__name__))
        name = blob_names.ledger_name(message.recording_id, message.prefix)
        await best_effort(self._ledger.give_up(name, message.chunk.index, str(error)))


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


class _Progress:
    """Tells the log and the ledger how far a copy is; one write at a time, and the copy never waits for it."""

    def __init__(self, ledger: Ledger, message: ChunkMessage) -> None:
        self._ledger = ledger
        self._name = blob_names.ledger_name(message.recording_id, message.prefix)
        self._index = message.chunk.index
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, done: int, size: int | None) -> None:
        if done == size:
            return
        log.info("chunk.progress", bytes=done, of=size)
        if self._writing is None or self._writing.done():
            writing = best_effort(self._ledger.progress(self._name, self._index, done, size))
            self._writing = asyncio.create_task(writing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await self._writing
