"""Reading back what is archived: one blob of any size in little memory, or both files of a chunk."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError

from shared.core import blob_names
from shared.storage.manifest import ArchivedMedia

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient, ContainerClient

    from shared.events.chunk_message import ChunkMessage

_PIECE = 4 * 1024 * 1024
_READ_AHEAD = 3


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A blob as it was read. Digests are hex.

    Attributes
    ----------
    size
        Bytes.
    md5, sha256
        Of what was read.
    stored_md5
        The blob's Content-MD5; None where it has none.
    document_id
        The document that it was copied from, percent-encoded as the copy engine stores it; None where none is stored.
    offline
        Whether it is in the archive tier, where nothing can be read; the digests are of nothing then.
    """

    size: int
    md5: str
    sha256: str
    stored_md5: str | None
    document_id: str | None
    offline: bool


async def read_back(blob: BlobClient) -> ReadBack | None:
    """Read a blob whole; None where there is none.

    Raises
    ------
    AzureError
        Storage refused, or the blob was replaced meanwhile.
    """
    try:
        properties = await blob.get_blob_properties()
    except ResourceNotFoundError:
        return None
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    offline = properties.blob_tier == "Archive"
    if not offline:
        async with aclosing(_pieces(blob, properties.size, properties.etag)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(md5.update, piece)
                await asyncio.to_thread(sha256.update, piece)
    stored = properties.content_settings.content_md5
    metadata = {key.lower(): value for key, value in (properties.metadata or {}).items()}
    return ReadBack(
        size=properties.size,
        md5=md5.hexdigest(),
        sha256=sha256.hexdigest(),
        stored_md5=bytes(stored).hex() if stored else None,
        document_id=metadata.get("documentid"),
        offline=offline,
    )


async def recall(container: ContainerClient, message: ChunkMessage) -> tuple[ArchivedMedia, bytes] | None:
    """Return what the archive has of a chunk that its manifest does not name: the media, and the metadata's bytes.

    An earlier try put them there. None unless both are there, and the media is of the message's document. A blob that
    exists is whole and checked.
    """
    chunk = message.chunk
    metadata_name = blob_names.metadata_blob(message.prefix, chunk.index)
    start = metadata_name.removesuffix("metadata.json")
    blobs = [blob async for blob in container.list_blobs(name_starts_with=start, include=["metadata"])]
    media = [blob for blob in blobs if blob.name != metadata_name]
    if len(media) != 1 or len(blobs) != 2:
        return None
    content = await _described(container, media[0], chunk.document_id)
    if content is None:
        return None
    stream = await container.download_blob(metadata_name)
    return content, bytes(await stream.readall())


async def _pieces(blob: BlobClient, size: int, etag: str) -> AsyncGenerator[bytes]:
    """Yield a blob's bytes in order, a few pieces of them read ahead."""

    async def fetch(offset: int) -> bytes:
        length = min(_PIECE, size - offset)
        stream = await blob.download_blob(
            offset, length, etag=etag, match_condition=MatchConditions.IfNotModified, max_concurrency=1
        )
        return bytes(await stream.readall())

    offsets = iter(range(0, size, _PIECE))
    ahead = [asyncio.create_task(fetch(offset)) for offset in islice(offsets, _READ_AHEAD)]
    try:
        while ahead:
            piece = await ahead.pop(0)
            if (offset := next(offsets, None)) is not None:
                ahead.append(asyncio.create_task(fetch(offset)))
            yield piece
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _described(container: ContainerClient, blob: BlobProperties, document_id: str) -> ArchivedMedia | None:
    stored = {key.lower(): value for key, value in (blob.metadata or {}).items()}
    if stored.get("documentid") != quote(document_id, safe=""):
        return None
    md5, sha256 = blob.content_settings.content_md5, stored.get("sha256")
    if md5 and sha256:
        return ArchivedMedia(blob=blob.name, size=blob.size, md5=bytes(md5).hex(), sha256=sha256)
    read = await read_back(container.get_blob_client(blob.name))
    if read is None or read.offline:
        return None
    return ArchivedMedia(blob=blob.name, size=read.size, md5=read.md5, sha256=read.sha256)
