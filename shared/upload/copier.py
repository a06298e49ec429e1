"""Copies a media file into a blob.

A file of one block is one Put Blob. A larger one is staged block by block and committed once, under If-None-Match, with
its MD5, its SHA-256 and the document's id. After an interruption, the next attempt reads only the blocks that are not
staged; it commits the blob and then reads the other blocks back from it for the digests. An existing blob is compared
and never overwritten.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core.errors import ArchiveConflict, BlocksLost, Handover, Retryable
from shared.upload.block_blob import AlreadyThere, BlockBlob
from shared.upload.block_plan import MIB, BlockPlan
from shared.upload.buffers import Pool
from shared.upload.concurrency import Gate, Pace
from shared.upload.digests import Digests, Hashing
from shared.upload.pipeline import Pipeline
from shared.upload.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.storage.blob.aio import BlobClient

    from shared.download.media_file import MediaFile
    from shared.upload.block_blob import Existing
    from shared.upload.buffers import Share

BUFFER_MIB = 48
"""The memory of all copies of a process; more only if that is less than two blocks."""

MAX_SINGLE_MIB = 32
"""The largest file that is sent as one Put Blob, whatever the block size."""


@dataclass(frozen=True, slots=True)
class Copied:
    """An archived file: its bytes and hex digests.

    `resumed_bytes` were staged by an earlier attempt or another worker; `existed` is set if the blob existed before.
    """

    size: int
    md5: str
    sha256: str
    resumed_bytes: int
    existed: bool


class Copier:
    """Copies files. There is one in a process: its copies share memory and the limit of uploads.

    Parameters
    ----------
    block_mib
        MiB of a block; can be a fraction.
    concurrency
        The most connections of one copy to the source, and the most uploads of all copies.
    """

    def __init__(self, *, block_mib: float, concurrency: int) -> None:
        self._block_size = int(block_mib * MIB)
        self._limit = concurrency
        slab_bytes = min(MIB, -(-self._block_size // 4))
        self._pool = Pool(max(BUFFER_MIB * MIB, 2 * self._block_size), slab_bytes)
        self._gate = Gate(concurrency)
        self._hashing = Hashing()

    async def copy(
        self,
        media: MediaFile,
        blob: BlobClient,
        *,
        document_id: str,
        content_type: str,
        progress: Callable[[int, int | None], None] | None = None,
        deadline: float | None = None,
    ) -> Copied:
        """Copy a file into a blob.

        Parameters
        ----------
        media
            The file, opened.
        blob
            The destination.
        document_id
            The service's name for the file; stored with the blob.
        content_type
            Media type to store with the blob.
        progress
            Called with the bytes staged so far and the file's size, if known: every 2 seconds at most, and at the end.
        deadline
            When to stop, on the event loop's clock. Blocks read by then are still staged, for up to 5 seconds.

        Raises
        ------
        Handover
            The deadline came first.
        Retryable
            Source or storage failed several times; what is staged is kept.
        ArchiveConflict
            Another file is archived under this name.
        """
        staging = BlockBlob(blob, document_id=document_id, content_type=content_type, gate=self._gate)
        copy = _Copy(media, staging, document_id, self._hashing, progress)
        single = min(self._block_size, MAX_SINGLE_MIB * MIB)
        plan = BlockPlan.of(document_id, media.identity, media.size, self._block_size)
        small = media.size is not None and media.size <= single
        own = media.size if small and media.size else plan.block_size
        async with self._pool.share(own) as share:
            if small:
                return await copy.whole(share)
            return await copy.in_blocks(plan, share, self._limit, deadline)


@dataclass(frozen=True, slots=True)
class _Copy:
    """The copy of one file into one blob."""

    media: MediaFile
    staging: BlockBlob
    document_id: str
    hashing: Hashing
    progress: Callable[[int, int | None], None] | None

    async def whole(self, share: Share) -> Copied:
        """Copy a file that fits into one request."""
        size = self.media.size or 0
        reading = self.media.read(0, size)
        block = share.begin(0, [size])
        part = block.parts[0]
        try:
            while (room := await share.room(part)) and (count := await reading.into(room)):
                part.grow(count)
        finally:
            reading.close()
        digests = Digests(self.hashing)
        await digests.extend(block.pieces())
        content = b"".join(block.pieces())
        share.release(block)
        try:
            await self.staging.put(content, digests)
        except AlreadyThere:
            return await self._compare(size, digests)
        if self.progress is not None:
            self.progress(size, size)
        return _copied(size, digests)

    async def in_blocks(self, plan: BlockPlan, share: Share, limit: int, deadline: float | None) -> Copied:
        """Copy the blocks of a file that are not staged yet, and commit."""
        try:
            staged = plan.recognise(await self.staging.look())
        except AlreadyThere:
            existing = await self.staging.existing()
            if existing.document_id is not None or plan.size not in {None, existing.size}:
                return await self._accept(existing, plan.size, None)
            # Not a blob of this app, but perhaps with the same bytes: the file has to be read to compare.
            staged = {}
        digests = Digests(self.hashing)
        progress = Progress(plan, staged, skip=self.media.ranges, report=self.progress)
        pace = Pace(limit if self.media.ranges else 1)
        pipeline = Pipeline(self.media, self.staging, share=share, pace=pace, digests=digests, progress=progress)
        if not await pipeline.run(deadline):
            raise Handover(progress.staged_bytes, self.media.size)
        size = self.media.size
        names = [progress.names[index] for index in range(len(progress.names))]
        if size is None or progress.staged_bytes != size:
            raise Retryable(f"{progress.staged_bytes} bytes are staged of a file of {size}")
        complete = digests.position == size
        try:
            etag = await self.staging.commit(names, digests if complete else None)
        except (AlreadyThere, BlocksLost):
            # Lost blocks were probably committed by another worker; if not, the next attempt stages them again.
            return await self._compare(size, digests if complete else None)
        if not complete:
            await self._complete(digests, size, etag)
        return _copied(size, digests, resumed_bytes=progress.resumed_bytes)

    async def _compare(self, size: int, digests: Digests | None) -> Copied:
        return await self._accept(await self.staging.existing(), size, digests)

    async def _accept(self, existing: Existing, size: int | None, digests: Digests | None) -> Copied:
        """Accept a committed blob as this file, or raise `ArchiveConflict`.

        Its size must be the file's, and its digests those of the bytes read or, where none were read, its document.
        """
        if size is not None and existing.size != size:
            raise self._conflict(f"has {existing.size} bytes, the file {size}")
        if existing.document_id is not None and not self.staging.is_mine(existing):
            raise self._conflict("was copied from another document")
        if digests is not None:
            for name, stored, own in (("MD5", existing.md5, digests.md5), ("SHA-256", existing.sha256, digests.sha256)):
                if stored is not None and not hmac.compare_digest(stored, own.hex()):
                    raise self._conflict(f"has another {name}")
        if existing.md5 and existing.sha256:
            return Copied(existing.size, existing.md5, existing.sha256, resumed_bytes=0, existed=True)
        stored_digests = Digests(self.hashing)
        await self._complete(stored_digests, existing.size, existing.etag, existing.content_type)
        if digests is not None and stored_digests.sha256 != digests.sha256:
            raise self._conflict("has other bytes")
        return _copied(existing.size, stored_digests, existed=True)

    async def _complete(self, digests: Digests, size: int, etag: str, content_type: str | None = None) -> None:
        """Compute the rest of the digests from the committed blob, and store them with it."""
        await self.staging.read_back(digests, size, 4 * MIB, etag)
        await self.staging.describe(digests, etag, content_type)

    def _conflict(self, how: str) -> ArchiveConflict:
        return ArchiveConflict(f"the blob of document {self.document_id} exists and {how}; it was kept")


def _copied(size: int, digests: Digests, *, resumed_bytes: int = 0, existed: bool = False) -> Copied:
    return Copied(size, digests.md5.hex(), digests.sha256.hex(), resumed_bytes=resumed_bytes, existed=existed)
