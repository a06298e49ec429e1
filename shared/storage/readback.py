"""Reads an archived blob back, whatever its size, in little memory: what it holds now, and what is stored with it."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from azure.storage.blob.aio import BlobClient

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
        Whether it is in the archive tier, where nothing can be read; then the digests mean nothing.
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
    digests = _Digests()
    offline = properties.blob_tier == "Archive"
    if not offline:
        async with aclosing(_pieces(blob, properties.size, properties.etag)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(digests.update, piece)
    stored = properties.content_settings.content_md5
    metadata = {key.lower(): value for key, value in (properties.metadata or {}).items()}
    return ReadBack(
        size=properties.size,
        md5=digests.md5.hexdigest(),
        sha256=digests.sha256.hexdigest(),
        stored_md5=bytes(stored).hex() if stored else None,
        document_id=metadata.get("documentid"),
        offline=offline,
    )


class _Digests:
    def __init__(self) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        self.md5.update(piece)
        self.sha256.update(piece)


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
