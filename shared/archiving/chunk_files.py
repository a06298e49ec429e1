"""A chunk's two files: copied from the service, or found in the archive where an earlier try put them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from shared.core import blob_names, log, telemetry
from shared.core.errors import CopyError, SourceNotReady
from shared.core.limits import LARGEST_METADATA
from shared.core.media_formats import Format
from shared.events.metadata_file import parse_metadata
from shared.storage.ledger import best_effort
from shared.storage.manifest import ArchivedMedia
from shared.storage.readback import recall

if TYPE_CHECKING:
    from shared.download.client import DownloadClient
    from shared.events.chunk_message import ChunkMessage
    from shared.events.recording_files import Chunk
    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger
    from shared.upload.copier import Copier

COPY_TIME = timedelta(minutes=25)
"""How long one invocation copies before the next one continues; host.json's functionTimeout is 5 minutes more."""


class ChunkFiles:
    """Copies chunks' files from `source` into the archive, and notes the progress in the ledger."""

    def __init__(self, archive: Archive, ledger: Ledger, source: DownloadClient, copier: Copier) -> None:
        self._archive = archive
        self._ledger = ledger
        self._source = source
        self._copier = copier

    async def recall(self, message: ChunkMessage) -> tuple[ArchivedMedia, bytes] | None:
        """Return what an earlier try archived: the media, and the metadata's bytes; None unless both are there."""
        return await recall(self._archive.container, message)

    async def fetch(self, message: ChunkMessage) -> tuple[ArchivedMedia, bytes]:
        """Copy a chunk's files into the archive; return the archived media and the metadata's bytes."""
        # The media expires, so it is copied even while the metadata file fails.
        metadata = await self._read_metadata(message.chunk)
        content = await self._copy_content(message)
        if isinstance(metadata, CopyError):
            raise metadata
        name = blob_names.metadata_blob(message.prefix, message.chunk.index)
        return content, await self._archive.blobs.put_first(name, metadata)

    async def _read_metadata(self, chunk: Chunk) -> bytes | CopyError:
        try:
            with telemetry.span("source.metadata"):
                content: bytes = await self._source.read(chunk.metadata_location, limit=LARGEST_METADATA)
            described = parse_metadata(content)
            if described.document_id not in {None, chunk.document_id}:
                raise SourceNotReady("the metadata file is about another document")
        except CopyError as error:
            return error
        return content

    async def _copy_content(self, message: ChunkMessage) -> ArchivedMedia:
        announced = Format(message.format) if message.format in set(Format) else None
        progress = _Progress(self._ledger, message)
        location = message.chunk.content_location
        with telemetry.span("chunk.copy"):
            async with progress, self._source.open(location, format=announced) as media:
                name = blob_names.content_blob(message.prefix, message.chunk.index, media.format)
                copied = await self._copier.copy(
                    media,
                    self._archive.container.get_blob_client(name),
                    document_id=message.chunk.document_id,
                    content_type=media.format.content_type,
                    progress=progress,
                    deadline=asyncio.get_running_loop().time() + COPY_TIME.total_seconds(),
                )
        return ArchivedMedia(blob=name, size=copied.size, md5=copied.md5, sha256=copied.sha256)


class _Progress:
    """Writes a copy's progress to log and ledger; one write at a time, and the copy never waits for it."""

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
