"""A chunk's files found in the archive, where a try before put them: then the source is not needed any more."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.core import blob_names
from shared.storage.manifest import MediaFile
from shared.storage.readback import read_back

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import ContainerClient

    from shared.events.chunk_message import ChunkMessage


async def recall(container: ContainerClient, message: ChunkMessage) -> tuple[MediaFile, bytes] | None:
    """Return what the archive has of a chunk that its manifest does not name: the media, and the metadata's bytes.

    None unless both are there, and the media is of the message's document. A blob that exists is whole and checked.
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


async def _described(container: ContainerClient, blob: BlobProperties, document_id: str) -> MediaFile | None:
    stored = {key.lower(): value for key, value in (blob.metadata or {}).items()}
    if stored.get("documentid") != quote(document_id, safe=""):
        return None
    md5, sha256 = blob.content_settings.content_md5, stored.get("sha256")
    if md5 and sha256:
        return MediaFile(blob=blob.name, size=blob.size, md5=bytes(md5).hex(), sha256=sha256)
    read = await read_back(container.get_blob_client(blob.name))
    if read is None or read.offline:
        return None
    return MediaFile(blob=blob.name, size=read.size, md5=read.md5, sha256=read.sha256)
