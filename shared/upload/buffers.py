"""The memory of the copy engine, limited for the whole process.

A block's bytes are in slabs. The network writes into them, and digests and uploads read them, so the bytes are never
copied. Slabs are large, so that few calls are needed. They are allocated one at a time, so that a slow connection holds
little memory, and they are used again. Several readers can fill a block, each one part of it.

All copies of the process share one budget. Each copy has the memory of one block reserved, for the lowest block that is
still being read; the rest is given in the order of the requests. Digests take blocks in order, so the lowest block must
always be able to continue; with the reserved memory it can, and no copy waits forever.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from shared.upload.changes import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


class Part:
    """A stretch of a block, filled by one reader from its start on.

    Attributes
    ----------
    block
        The block that it is a part of.
    offset, size
        Its first byte in the block, and how many bytes it can have.
    length
        Bytes so far.
    """

    def __init__(self, block: Block, offset: int, size: int) -> None:
        self.block = block
        self.offset = offset
        self.size = size
        self.length = 0
        self.slabs: list[bytearray] = []

    @property
    def room(self) -> memoryview:
        """Where the next bytes are written: the rest of the last slab; empty where it is full."""
        free = sum(map(len, self.slabs)) - self.length
        return memoryview(self.slabs[-1])[-free:] if free else memoryview(b"")

    @property
    def is_full(self) -> bool:
        """Whether it has all its bytes."""
        return self.length == self.size

    def grow(self, count: int) -> None:
        """Add to the bytes that were written into `room`."""
        self.length += count

    def pieces(self) -> Iterator[memoryview]:
        """Return the bytes, a slab at a time."""
        left = self.length
        for slab in self.slabs:
            yield memoryview(slab)[:left]
            left -= len(slab)


class Block:
    """A block's bytes.

    Attributes
    ----------
    index
        Which block of the file it is.
    parts
        In order; only the last one can stay short.
    to_fill
        How many parts are not filled yet.
    """

    def __init__(self, index: int, sizes: Sequence[int]) -> None:
        self.index = index
        self.holders = 1
        self.parts = [
            Part(self, offset, size) for offset, size in zip(accumulate(sizes, initial=0), sizes, strict=False)
        ]
        self.to_fill = len(sizes)

    @property
    def length(self) -> int:
        """Bytes so far."""
        return sum(part.length for part in self.parts)

    @property
    def slabs(self) -> list[bytearray]:
        """The slabs of all parts."""
        return [slab for part in self.parts for slab in part.slabs]

    def pieces(self) -> Iterator[memoryview]:
        """Return the bytes, a slab at a time."""
        for part in self.parts:
            yield from part.pieces()

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        """Return the bytes as the body of a request; unlike a generator, it can be sent again at a retry."""
        for piece in self.pieces():
            yield piece


class Pool:
    """The process's memory for copies.

    Parameters
    ----------
    size
        Bytes that may be used at a time; more only if a single copy needs more.
    slab_bytes
        Bytes of every slab but a part's last one, which can be shorter.
    """

    def __init__(self, size: int, slab_bytes: int) -> None:
        self.slab_bytes = slab_bytes
        self._size = size
        self._promised = 0
        self._spare: list[bytearray] = []
        self.open = size
        self.changes = Changes()

    @asynccontextmanager
    async def share(self, own: int) -> AsyncIterator[Share]:
        """Reserve `own` bytes for a copy; waits while too many copies run."""
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
            if not self._promised:
                self._spare.clear()  # an idle process keeps no memory
            self.changes.notify()

    def slab(self, length: int) -> bytearray:
        """Return a slab with undefined content."""
        return self._spare.pop() if length == self.slab_bytes and self._spare else bytearray(length)

    def take_back(self, slabs: list[bytearray]) -> None:
        """Keep slabs for the next blocks."""
        self._spare += [slab for slab in slabs if len(slab) == self.slab_bytes]


class Share:
    """One copy's part in the pool."""

    def __init__(self, pool: Pool, own: int) -> None:
        self._pool = pool
        self._own = own
        self._own_left = own
        self._reading: set[int] = set()
        self._blocks: set[Block] = set()
        self._waits: dict[Part, float] = {}
        self._waited = 0.0

    @property
    def slab_bytes(self) -> int:
        """Bytes of a slab: the most that is received, digested and sent at a time."""
        return self._pool.slab_bytes

    def waited(self, now: float) -> float:
        """Seconds that readers have waited for room, up to `now` on the loop's clock."""
        return self._waited + sum(now - since for since in self._waits.values())

    def begin(self, index: int, sizes: Sequence[int]) -> Block:
        """Return a new block of parts of these sizes. Blocks are begun in the order of their indexes."""
        block = Block(index, sizes)
        self._reading.add(index)
        self._blocks.add(block)
        return block

    async def room(self, part: Part) -> memoryview:
        """Return where a part's next bytes are written, after waiting for memory; empty if the part is full."""
        if not part.room and not part.is_full:
            length = min(self._pool.slab_bytes, part.size - part.length)
            if not self._take(part.block, length):
                await self._wait(part, length)
            part.slabs.append(self._pool.slab(length))
        return part.room

    def end(self, block: Block, holders: int) -> None:
        """Note that a block is read, and that `holders` will each release it."""
        self._reading.discard(block.index)
        block.holders = holders
        self._pool.changes.notify()

    def release(self, block: Block) -> None:
        """Release a block; the last release frees its memory."""
        block.holders -= 1
        if block.holders <= 0 and block in self._blocks:
            self._blocks.discard(block)
            self._free(block)
            self._pool.changes.notify()

    def drop(self) -> None:
        """Free all memory of the copy."""
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

    async def _wait(self, part: Part, count: int) -> None:
        loop = asyncio.get_running_loop()
        began = self._waits[part] = loop.time()
        try:
            await self._pool.changes.until(lambda: self._take(part.block, count))
        finally:
            del self._waits[part]
            self._waited += loop.time() - began

    def _free(self, block: Block) -> None:
        slabs = block.slabs
        held = sum(map(len, slabs))
        own = min(held, self._own - self._own_left)
        self._own_left += own
        self._pool.open += held - own
        self._pool.take_back(slabs)
        for part in block.parts:
            part.slabs = []
