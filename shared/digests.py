"""MD5 and SHA-256 of a file, computed while its blocks pass by."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.buffers import Block


class Digests:
    """The digests of a file whose blocks are added in order.

    They are computed in threads: hashlib lets go of the interpreter's lock.

    Attributes
    ----------
    position
        Bytes added so far.
    """

    def __init__(self) -> None:
        self.position = 0
        # MD5 is what Blob Storage keeps and checks; it is no protection against anybody.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    async def add(self, pieces: Iterable[bytes | memoryview], length: int) -> None:
        """Add the file's next `length` bytes."""
        await asyncio.to_thread(self._add, pieces)
        self.position += length

    def _add(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self._md5.update(piece)
            self._sha256.update(piece)

    @property
    def md5(self) -> bytes:
        """MD5 of what was added."""
        return self._md5.digest()

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was added."""
        return self._sha256.digest()


async def block_md5(block: Block) -> bytes:
    """Return a block's own MD5, which the storage service compares with what it received."""
    return await asyncio.to_thread(_md5, block)


def _md5(block: Block) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in block.pieces():
        digest.update(piece)
    return digest.digest()
