"""The small blobs beside the media. Each write is conditional, so any number of workers can repeat it concurrently."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContentSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import ContainerClient

JSON = ContentSettings(content_type="application/json")


class Blobs:
    """Reads and writes the small blobs of a container."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def read(self, name: str) -> bytes | None:
        """Return a small blob's content; None where there is none."""
        try:
            stream = await self._container.download_blob(name)
            return bytes(await stream.readall())
        except ResourceNotFoundError:
            return None

    async def put_once(self, name: str, content: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """Write a JSON blob unless it is there already; return whether it was written."""
        try:
            await self._container.upload_blob(
                name, content, overwrite=False, content_settings=JSON, metadata=dict(metadata or {})
            )
        except ResourceExistsError:
            return False
        return True

    async def put_first(self, name: str, content: bytes) -> bytes:
        """Write a JSON blob unless it is there already; return what is there, `content` itself if it was written."""
        if await self.put_once(name, content):
            return content
        return bytes(await (await self._container.download_blob(name)).readall())

    async def delete(self, name: str) -> None:
        """Delete a blob, if it is there."""
        with suppress(ResourceNotFoundError):
            await self._container.delete_blob(name)

    async def list(self, prefix: str) -> AsyncIterator[BlobProperties]:
        """Yield the blobs below a prefix, each with its metadata."""
        async for blob in self._container.list_blobs(name_starts_with=prefix, include=["metadata"]):
            yield blob

    async def set_metadata(self, name: str, metadata: Mapping[str, str]) -> None:
        """Replace a blob's metadata."""
        await self._container.get_blob_client(name).set_blob_metadata(dict(metadata))


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return a JSON document as the archive writes it."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return json.dumps(value, indent=2).encode() + b"\n"
