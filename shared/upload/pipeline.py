"""One copy: tasks that read blocks, tasks that stage them, and digests that follow in order.

A reader takes the next part of a block and fills it. The reader that fills a block's last part starts the block's
upload and does not wait for it. With one connection, one request is for the rest of the file. With several, each
request is for one part, and the next one is sent before this one ends, to hide the latency. Parts are smaller than
blocks, so that few blocks are in memory at a time, and smaller near the end, so that all connections work until then.
`Pace` limits the readers, `Gate` the uploads, and the copy's `Share` the memory of both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from shared.upload.concurrency import EPOCH, Window

if TYPE_CHECKING:
    from shared.download.media_file import MediaFile, RangeReader
    from shared.upload.block_blob import BlockBlob
    from shared.upload.buffers import Block, Part, Share
    from shared.upload.concurrency import Pace
    from shared.upload.digests import Digests
    from shared.upload.progress import Progress

GRACE_SECONDS = 5.0
"""How long started uploads may take after the deadline."""

PART_SLABS = 4
"""The longest request of one of several connections, in slabs."""

_WORTH_HIDING = 0.005  # seconds of latency


class Pipeline:
    """Copies a file's blocks into staging.

    Parameters
    ----------
    media, staging
        The source and the destination.
    share
        The copy's part of the process's memory.
    pace
        How many connections read.
    digests
        Are computed from the file's start up to the first block that is not read.
    progress
        The plan, and what is staged.
    """

    def __init__(
        self, media: MediaFile, staging: BlockBlob, *, share: Share, pace: Pace, digests: Digests, progress: Progress
    ) -> None:
        self._media = media
        self._staging = staging
        self._share = share
        self._pace = pace
        self._digests = digests
        self._progress = progress
        self._plan = progress.plan
        self._digested = min(progress.skips, default=None)
        self._next = 0
        self._parts: deque[Part] = deque()
        self._ended = False
        self._readers: set[asyncio.Task[None]] = set()
        self._uploads: set[asyncio.Task[None]] = set()
        self._to_digest: asyncio.Queue[None] = asyncio.Queue()
        self._full: dict[int, Block] = {}
        self._due = 0
        self._all_read = False

    async def run(self, deadline: float | None) -> bool:
        """Copy until all blocks are staged, or the deadline (on the loop's clock) is near; return whether all are.

        Raises
        ------
        CopyError
            The first error that ended a reader or an upload.
        """
        try:
            async with asyncio.TaskGroup() as group:
                digesting = group.create_task(self._digest())
                finished = await self._supervise(group, deadline)
                if not finished:
                    digesting.cancel()
                    await self._wind_up()
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        self._progress.report(self._media.size, final=True)
        return finished

    async def _supervise(self, group: asyncio.TaskGroup, deadline: float | None) -> bool:
        loop = asyncio.get_running_loop()
        window: Window | None = None
        settled = loop.time() + self._media.latency
        while True:
            while not self._is_taken() and len(self._readers) < self._pace.readers:
                task = group.create_task(self._read(group))
                self._readers.add(task)
                task.add_done_callback(self._readers.discard)
            if not self._readers:
                if self._is_taken():
                    self._all_read = True
                    self._to_digest.put_nowait(None)
                    return True
                await asyncio.sleep(0)
                continue
            now = loop.time()
            if deadline is not None and now >= deadline:
                return False
            if window is None and now >= settled:
                window = Window(now, self._media.arrived, self._share.waited(now))
            until = settled if window is None else window.began + EPOCH
            pause = until - now if deadline is None else min(until, deadline) - now
            await asyncio.wait(self._readers, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            now = loop.time()
            if window is not None and now - window.began >= EPOCH:
                rate, starved = window.result(now, self._media.arrived, self._share.waited(now), len(self._readers))
                readers = self._pace.readers
                self._pace.observe(now, rate, starved)
                window = None
                # The gain of new connections can be measured only after their first bytes.
                settled = now if self._pace.readers <= readers else now + 1.5 * self._media.latency

    async def _wind_up(self) -> None:
        """Stop reading, and wait for started uploads."""
        for task in self._readers:
            task.cancel()
        if self._uploads:
            await asyncio.wait(self._uploads, timeout=GRACE_SECONDS)
        for task in self._uploads:
            task.cancel()

    async def _read(self, group: asyncio.TaskGroup) -> None:
        reading: RangeReader | None = None
        ahead: _Ahead | None = None
        try:
            while True:
                if ahead is not None:
                    if reading is not None:
                        reading.close()
                    part, reading, ahead = ahead.part, await ahead.reading(), None
                elif len(self._readers) > self._pace.readers or (taken := self._take()) is None:
                    return
                else:
                    part = taken
                    reading = self._continue(reading, part)
                ahead = await self._fill(part, reading)
                self._filled(part, group)
        finally:
            if reading is not None:
                reading.close()
            if ahead is not None:
                ahead.close()

    def _continue(self, reading: RangeReader | None, part: Part) -> RangeReader:
        """Continue with the open request if it includes this part; else send a new one."""
        start = part.block.index * self._plan.block_size + part.offset
        if reading is not None:
            if reading.position == start and reading.goes_beyond(start):
                return reading
            reading.close()
        return self._media.read(start, self._request_end(part), refused=self._refused)

    def _request_end(self, part: Part) -> int | None:
        if self._plan.size is None or not self._media.ranges:
            return None
        index = part.block.index
        if self._pace.readers > 1:
            return index * self._plan.block_size + part.offset + part.size
        first_skip = min((skip for skip in self._progress.skips if skip > index), default=self._plan.count or 0)
        return min(self._plan.size, first_skip * self._plan.block_size)

    async def _fill(self, part: Part, reading: RangeReader) -> _Ahead | None:
        """Read a part; return the next one's request, if it was sent before this one ended."""
        loop = asyncio.get_running_loop()
        ahead: _Ahead | None = None
        began: float | None = None
        try:
            while (room := await self._share.room(part)) and (count := await reading.into(room)):
                part.grow(count)
                if began is None:
                    began, first = loop.time(), part.length
                elif ahead is None and self._hides_latency():
                    rate = (part.length - first) / max(loop.time() - began, 1e-6)
                    # This is checked once a slab: half a slab more is the nearest to the right moment.
                    if part.size - part.length <= rate * self._media.latency + self._share.slab_bytes / 2:
                        ahead = self._send_ahead()
        except BaseException:
            if ahead is not None:
                ahead.close()
            raise
        return ahead

    def _hides_latency(self) -> bool:
        return 1 < self._pace.readers >= len(self._readers) and self._media.latency > _WORTH_HIDING

    def _send_ahead(self) -> _Ahead | None:
        part = self._take()
        return None if part is None else _Ahead(part, self._continue(None, part))

    def _filled(self, part: Part, group: asyncio.TaskGroup) -> None:
        self._ended = self._ended or (self._plan.size is None and not part.is_full)
        part.block.to_fill -= 1
        if not part.block.to_fill:
            self._stage_and_digest(part.block, group)

    def _stage_and_digest(self, block: Block, group: asyncio.TaskGroup) -> None:
        if not block.length:
            self._share.end(block, 1)
            self._share.release(block)
            return
        digested = self._digested is None or block.index < self._digested
        self._due += digested
        self._share.end(block, 2 if digested else 1)
        # The upload first: its MD5 is computed before the file's digests, so that its transfer starts early.
        task = group.create_task(self._upload(block))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)
        if digested:
            self._full[block.index] = block
            self._to_digest.put_nowait(None)

    async def _upload(self, block: Block) -> None:
        md5 = await self._digests.hashing.md5(block)
        name = self._plan.name(block.index, md5)
        if not self._progress.was_staged(block.index, name):
            await self._staging.stage(block, name, md5)
        self._progress.add(block.index, name, block.length)
        self._share.release(block)
        self._progress.report(self._media.size)

    async def _digest(self) -> None:
        """Digest blocks in order; ends when all that were read are digested."""
        index = 0
        while True:
            await self._to_digest.get()
            while (block := self._full.pop(index, None)) is not None:
                await self._digests.extend(block.pieces())
                self._share.release(block)
                index += 1
            if self._all_read and index == self._due:
                return

    def _take(self) -> Part | None:
        """Return the next part that has no reader yet."""
        if not self._parts:
            while self._next in self._progress.skips:
                self._next += 1
            if self._is_taken():
                return None
            self._parts.extend(self._share.begin(self._next, self._cut(self._next)).parts)
            self._next += 1
        return self._parts.popleft()

    def _cut(self, index: int) -> list[int]:
        """Return the sizes of a block's parts."""
        length, size, readers = self._plan.length(index), self._plan.size, self._pace.readers
        if size is None or readers == 1:
            return [length]
        slab = self._share.slab_bytes
        fair = (size - index * self._plan.block_size) // (2 * readers * slab)
        part = min(max(1, fair), PART_SLABS) * slab
        return [min(part, length - offset) for offset in range(0, length, part)]

    def _is_taken(self) -> bool:
        """Whether every part of every block has a reader."""
        count = self._plan.count
        return not self._parts and (self._ended if count is None else self._next >= count)

    def _refused(self, retry_after: float | None) -> None:
        self._pace.refused(asyncio.get_running_loop().time(), retry_after)


class _Ahead:
    """A request that is sent before the one in front of it ends."""

    def __init__(self, part: Part, reading: RangeReader) -> None:
        self.part = part
        self._reading = reading
        self._sending = asyncio.create_task(reading.begin())
        self._sending.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def reading(self) -> RangeReader:
        await self._sending
        return self._reading

    def close(self) -> None:
        self._sending.cancel()
        self._reading.close()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure; the others follow from it."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
