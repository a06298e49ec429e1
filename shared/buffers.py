"""The memory of the copy engine: bounded for the whole process, however large the files and however many of them.

A block keeps its bytes in the pieces in which they arrived, so that they are not copied on their way; only small pieces
are gathered into larger ones. All copies of the process draw on one budget. Each copy has one block's worth to itself,
for the lowest block that is still being read; the rest is first come, first served. Digests take blocks in order, so
the lowest block is the one that must always be able to go on: with its own part it can, and no copy waits for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PIECE_BYTES = 256 * 1024
"""About what one read from a socket brings, and what small pieces are gathered to."""

_SMALL = 32 * 1024


class Block:
    """A block's bytes, as they arrive.

    Attributes
    ----------
    index
        Which block of the file it is.
    length
        Bytes so far.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.length = 0
        self.holders = 1
        self._pieces: list[bytes | bytearray | memoryview] = []

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes; they are kept as they are, not copied, unless they are few."""
        self.length += len(data)
        if len(data) >= _SMALL:
            self._pieces.append(data)
            return
        last = self._pieces[-1] if self._pieces else None
        if not isinstance(last, bytearray) or len(last) >= PIECE_BYTES:
            last = bytearray()
            self._pieces.append(last)
        last += data

    def pieces(self) -> Iterator[memoryview]:
        """Return the bytes, in as many pieces as they lie in."""
        for piece in self._pieces:
            yield memoryview(piece)

    def clear(self) -> None:
        """Let go of the bytes."""
        self._pieces.clear()

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        """Return the bytes as the body of a request; unlike a generator, it can be sent again at a retry."""
        for piece in self.pieces():
            yield piece


class Pool:
    """The process's budget.

    Parameters
    ----------
    size
        Bytes that may be held at a time; more only while a single copy needs more for itself.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._promised = 0
        self.open = size
        self.changes = Changes()

    @asynccontextmanager
    async def share(self, own: int) -> AsyncIterator[Share]:
        """Admit a copy that needs `own` bytes to be sure to go on; waits while too many copies run."""
        await self.changes.until(lambda: self._promised == 0 or self._promised + own <= self._size)
        self._promised += own
        self.open -= own
        share = Share(self, own)
        try:
            yield share
        finally:
            share.drop()
            self.open += own
            self._promised -= own
            self.changes.tell()


class Share:
    """One copy's part in the pool."""

    def __init__(self, pool: Pool, own: int) -> None:
        self._pool = pool
        self._own = own
        self._own_left = own
        self._reading: set[int] = set()
        self._blocks: set[Block] = set()
        self._waits: dict[Block, float] = {}
        self._waited = 0.0

    def waited(self, now: float) -> float:
        """Seconds that readers have waited for room, up to `now` on the loop's clock."""
        return self._waited + sum(now - since for since in self._waits.values())

    def claim(self, index: int) -> None:
        """Note that a block will be read. Blocks are claimed in the order of their indexes."""
        self._reading.add(index)

    def begin(self, index: int) -> Block:
        """Begin a block that was claimed."""
        block = Block(index)
        self._blocks.add(block)
        return block

    async def fill(self, block: Block, data: bytes | memoryview) -> None:
        """Add bytes to a block, waiting until there is room for them."""
        if not self._take(block, len(data)):
            await self._wait(block, len(data))
        block.append(data)

    def end(self, block: Block, holders: int) -> None:
        """Note that a block is read, and that `holders` will each release it."""
        self._reading.discard(block.index)
        block.holders = holders
        self._pool.changes.tell()

    def release(self, block: Block) -> None:
        """Let go of a block; with the last holder its bytes are freed."""
        block.holders -= 1
        if block.holders <= 0 and block in self._blocks:
            self._blocks.discard(block)
            self._free(block)
            self._pool.changes.tell()

    def drop(self) -> None:
        """Free everything, when the copy is over or has failed."""
        for block in self._blocks:
            self._free(block)
        self._blocks.clear()

    def _take(self, block: Block, count: int) -> bool:
        room = max(0, self._pool.open)
        own = max(0, count - room)
        if own and (own > self._own_left or block.index != min(self._reading)):
            return False
        self._pool.open -= count - own
        self._own_left -= own
        return True

    async def _wait(self, block: Block, count: int) -> None:
        loop = asyncio.get_running_loop()
        began = self._waits[block] = loop.time()
        try:
            await self._pool.changes.until(lambda: self._take(block, count))
        finally:
            del self._waits[block]
            self._waited += loop.time() - began

    def _free(self, block: Block) -> None:
        own = min(block.length, self._own - self._own_left)
        self._own_left += own
        self._pool.open += block.length - own
        block.clear()
