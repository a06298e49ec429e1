"""What follows once a chunk is archived: the recording's event is published, and the service's copy is deleted.

Both are optional, come after the manifest's commit, and are repeated with the message; nothing is copied again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shared.core import log, telemetry
from shared.core.errors import ArchiveConflict, SourceNotReady, SourceRefused, SourceUnavailable
from shared.core.limits import LARGEST_METADATA
from shared.core.retry_policy import GONE
from shared.core.times import Now, iso_time, utc_now
from shared.storage.manifest import ManifestStatus

if TYPE_CHECKING:
    from shared.archiving.publisher import Publisher
    from shared.archiving.verification import Verification
    from shared.download.client import DownloadClient
    from shared.events.chunk_message import ChunkMessage
    from shared.events.recording_files import Chunk
    from shared.storage.archive import Archive
    from shared.storage.manifest import ArchivedChunk, Manifest


class Completion:
    """Publishes complete recordings, and deletes sources that are archived.

    Parameters
    ----------
    verification
        Reads archived chunks back before their source is deleted.
    publisher
        None where no events are wanted.
    delete_sources
        Whether the service's copies are deleted.
    """

    def __init__(
        self,
        archive: Archive,
        verification: Verification,
        source: DownloadClient,
        *,
        publisher: Publisher | None = None,
        delete_sources: bool = False,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._verification = verification
        self._source = source
        self._publisher = publisher
        self._delete_sources = delete_sources
        self._now = now

    async def follow(self, message: ChunkMessage, manifest: Manifest) -> None:
        """Do what follows; the manifest holds the message's chunk.

        Raises
        ------
        TopicUnavailable
            The event may not have been published.
        SourceUnavailable, SourceNotReady
            The service did not delete its copy.
        ArchiveConflict
            The archived files differ from the manifest or from the service's copy, which was not deleted.
        """
        if self._publisher is not None and manifest.status is ManifestStatus.COMPLETE:
            await self._publisher.archived(message.prefix, manifest)
        archived = manifest.chunk(message.chunk.index)
        if self._delete_sources and archived is not None and archived.source_deleted_at is None:
            try:
                await self._delete(message, archived)
            except (SourceUnavailable, SourceNotReady) as error:
                if self._now() < message.expires_at:
                    raise
                log.info("source.kept", reason=f"it has expired; the service's last error: {error}")

    async def _delete(self, message: ChunkMessage, archived: ArchivedChunk) -> None:
        chunk = message.chunk
        if chunk.delete_location is None:
            log.info("source.kept", reason="the event names no deleteLocation")
            return
        if self._now() >= message.expires_at:
            log.info("source.kept", reason="it has expired: the service deletes it")
            return
        with telemetry.span("source.delete", documentId=chunk.document_id):
            differences = [
                *await self._verification.differences(message.prefix, archived),
                *await self._changes(chunk, archived),
            ]
            if differences:
                raise ArchiveConflict(f"the source was not deleted, because of chunk {chunk.index}: {differences[0]}")
            await self._source.delete(chunk.delete_location)
        at = iso_time(self._now())
        await self._archive.manifests.update(message.prefix, lambda known: known.source_deleted(chunk, at))
        log.info("source.deleted", chunk=chunk.index)

    async def _changes(self, chunk: Chunk, archived: ArchivedChunk) -> list[str]:
        """Return how the service's metadata differs from what is archived: another worker may have archived it."""
        try:
            metadata = await self._source.read(chunk.metadata_location, limit=LARGEST_METADATA)
        except SourceRefused as error:
            if error.status in GONE:
                return []
            raise
        if archived.metadata is not None and hashlib.sha256(metadata).hexdigest() == archived.metadata.sha256:
            return []
        return ["the service's metadata file is not the one that is archived"]
