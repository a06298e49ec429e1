"""How a file is divided into blocks, and the blocks' names.

A block's name is made of the document, the identity of its content, the block size, the block's index and the MD5 of
its bytes. So a worker recognises the blocks that another one has staged, and never uses a block of other content.

Source of the limits: "Put Block" and "Put Block List", Azure Storage REST reference.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from shared.core.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azure.storage.blob import BlobBlock

MIB = 1024 * 1024
MAX_BLOCKS = 50_000
"""The most blocks a block blob can have. Azurite allows more; Azure does not."""

MAX_BLOCK_MIB = 4000
"""The largest block that Put Block takes."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """How one file is divided.

    Attributes
    ----------
    identity
        32 hex digits that stand for document, content and block size.
    size
        The file's bytes; None while it is not known.
    block_size
        Bytes of every block but the last.
    """

    identity: str
    size: int | None
    block_size: int

    @classmethod
    def of(cls, document_id: str, content: str, size: int | None, block_size: int) -> Self:
        """Divide a file; blocks are larger than `block_size` where the file would have more than 50,000 of them.

        Raises
        ------
        Permanent
            The file is larger than a block blob can be.
        """
        if size is not None and size > block_size * MAX_BLOCKS:
            block_size = -(-size // MAX_BLOCKS // MIB) * MIB
        if block_size > MAX_BLOCK_MIB * MIB:
            raise Permanent(f"a file of {size} bytes is larger than a block blob can be")
        text = "\0".join((document_id, content, str(size), str(block_size)))
        return cls(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32], size, block_size)

    @property
    def count(self) -> int | None:
        """The number of blocks; None while the size is not known."""
        return None if self.size is None else -(-self.size // self.block_size)

    def length(self, index: int) -> int:
        """Return how many bytes block `index` has, or can have where the size is not known."""
        if self.size is None:
            return self.block_size
        return min(self.block_size, self.size - index * self.block_size)

    def name(self, index: int, md5: bytes) -> str:
        """Return a block's name: always 61 ASCII characters; the service allows 64 and requires equal lengths.

        Raises
        ------
        Permanent
            A block blob has no block of this index.
        """
        if index >= MAX_BLOCKS:
            raise Permanent(f"the file has more than {MAX_BLOCKS} blocks: raise COPY_BLOCK_MIB")
        return ".".join((self.identity, f"{index:05d}", base64.urlsafe_b64encode(md5).decode().rstrip("=")))

    def recognise(self, staged: Iterable[BlobBlock]) -> dict[int, str]:
        """Return the names of this file's completely staged blocks, by index.

        A block staged with two different contents counts as not staged: it is read again to learn which is right.
        """
        blocks: dict[int, set[str]] = {}
        for block in staged:
            identity, _, rest = block.id.partition(".")
            number, _, _ = rest.partition(".")
            if identity != self.identity or not number.isdecimal():
                continue
            index = int(number)
            if (self.count is None or index < self.count) and (
                block.size == self.length(index) or (self.size is None and block.size <= self.block_size)
            ):
                blocks.setdefault(index, set()).add(block.id)
        return {index: names.pop() for index, names in blocks.items() if len(names) == 1}
