"""One copy under way: connections that read blocks, uploads that stage them, and digests that follow in order.

A reader takes the next part of a block that nobody has taken, and fills it; who fills a block's last part hands the
block on, and nobody waits for the upload. With one connection the request runs on through the file. With several, each
request is for one part, and the next one is sent while the last bytes of this one are still to come, so that latency
costs no throughput; parts are smaller than blocks, so that few blocks are under way at a time, and smaller still
towards the end, so that all connections are busy to the last. How many readers there are is for `Pace` to say, how many
uploads for `Gate`; what both can hold in memory is bounded by the copy's `Share`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.upload.concurrency import EPOCH, Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.download.media_file import MediaFile, RangeReader
    from shared.upload.block_blob import BlockBlob
    from shared.upload.block_plan import BlockPlan
    from shared.upload.buffers import Block, Part, Share
    from shared.upload.concurrency import Gate
    from shared.upload.digests import Digests, Hashing

PROGRESS_SECONDS = 2.0
"""How often progress is told at most."""

GRACE_SECONDS = 5.0
"""How long uploads under way may take to finish after the deadline."""

PART_SLABS = 4
"""The most that one of several connections is asked for at a time."""

_WORTH_HIDING = 0.005


class Pipeline:
    """Copies a file's blocks into staging.

    Parameters
    ----------
    media, staging
        From where, to where.
    plan
        How the file is cut.
    staged
        Names of the blocks that are staged already, by index. Where the source cannot serve parts they are read all
        the same, but not sent again.
    share, gate
        Memory and uploads, both shared with the process's other copies.
    limit
        The most connections to the source.
    digests
        Follow the blocks from the file's start, up to the first block that is not read.
    hashing
        Computes them.
    progress
        Told of the bytes staged, and the file's size where it is known.
    """

    def __init__(
        self,
        media: MediaFile,
        staging: BlockBlob,
        plan: BlockPlan,
        staged: Mapping[int, str],
        *,
        share: Share,
        gate: Gate,
        limit: int,
        digests: Digests,
        hashing: Hashing,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self._media = media
        self._staging = staging
        self._plan = plan
        self._staged = staged
        self._share = share
        self._gate = gate
        self._digests = digests
        self._hashing = hashing
        self._progress = progress
        self._pace = Pace(limit if media.ranges else 1)
        self._skips = set(staged) if media.ranges else set()
        self._digested = min(self._skips, default=None)
        self._next = 0
        self._parts: deque[Part] = deque()
        self._ended = False
        self._readers: set[asyncio.Task[None]] = set()
        self._uploads: set[asyncio.Task[None]] = set()
        self._to_digest: asyncio.Queue[None] = asyncio.Queue()
        self._full: dict[int, Block] = {}
        self._due = 0
        self._all_read = False
        self._told = 0.0
        self.names: dict[int, str] = {index: staged[index] for index in self._skips}
        self.staged_bytes = sum(plan.length(index) for index in self._skips)
        self.resumed_bytes = self.staged_bytes

    async def run(self, deadline: float | None) -> bool:
        """Copy until all blocks are staged, or the deadline (on the loop's clock) is near; return whether all are.

        Raises
        ------
        CopyError
            The first that a reader or an upload could not get over.
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
        self._tell(final=True)
        return finished

    async def _supervise(self, group: asyncio.TaskGroup, deadline: float | None) -> bool:
        loop = asyncio.get_running_loop()
        window: _Window | None = None
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
                window = _Window(now, self._media.arrived, self._share.waited(now))
            until = settled if window is None else window.began + EPOCH
            pause = until - now if deadline is None else min(until, deadline) - now
            await asyncio.wait(self._readers, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            now = loop.time()
            if window is not None and now - window.began >= EPOCH:
                rate, starved = window.shows(now, self._media.arrived, self._share.waited(now), len(self._readers))
                readers = self._pace.readers
                self._pace.observe(now, rate, starved)
                window = None
                # What new connections gain shows only once they have their first bytes.
                settled = now if self._pace.readers <= readers else now + 1.5 * self._media.latency

    async def _wind_up(self) -> None:
        """Stop reading; let uploads finish that are under way."""
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
        """Read on with the open request where it comes to this part; ask anew where it does not."""
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
        first_skip = min((skip for skip in self._skips if skip > index), default=self._plan.count or 0)
        return min(self._plan.size, first_skip * self._plan.block_size)

    async def _fill(self, part: Part, reading: RangeReader) -> _Ahead | None:
        """Read a part; return the next one's request, if it was worth sending before this one ended."""
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
                    # The next chance to look is a slab from now: the nearer of the two to the right moment.
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
            self._hand_on(part.block, group)

    def _hand_on(self, block: Block, group: asyncio.TaskGroup) -> None:
        if not block.length:
            self._share.end(block, 1)
            self._share.release(block)
            return
        digested = self._digested is None or block.index < self._digested
        self._due += digested
        self._share.end(block, 2 if digested else 1)
        # The upload first: its MD5 is computed before the file's digests, so that storage has work early.
        task = group.create_task(self._upload(block))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)
        if digested:
            self._full[block.index] = block
            self._to_digest.put_nowait(None)

    async def _upload(self, block: Block) -> None:
        md5 = await self._hashing.md5(block)
        name = self._plan.name(block.index, md5)
        if self._staged.get(block.index) == name:
            self.resumed_bytes += block.length
        else:
            async with self._gate.enter():
                await self._staging.stage(block, name, md5)
        self.names[block.index] = name
        self.staged_bytes += block.length
        self._share.release(block)
        self._tell()

    async def _digest(self) -> None:
        """Digest blocks in order; ends when all that were read are digested."""
        index = 0
        while True:
            await self._to_digest.get()
            while (block := self._full.pop(index, None)) is not None:
                await self._hashing.extend(self._digests, block.pieces())
                self._share.release(block)
                index += 1
            if self._all_read and index == self._due:
                return

    def _take(self) -> Part | None:
        """Return the next part that nobody has taken."""
        if not self._parts:
            self._pass_over_staged()
            if self._is_taken():
                return None
            self._parts.extend(self._share.begin(self._next, self._cut(self._next)).parts)
            self._next += 1
        return self._parts.popleft()

    def _cut(self, index: int) -> list[int]:
        """Return the sizes of a block's parts."""
        length, size, readers, slab = (
            self._plan.length(index),
            self._plan.size,
            self._pace.readers,
            self._share.slab_bytes,
        )
        if size is None or readers == 1:
            return [length]
        fair = (size - index * self._plan.block_size) // (2 * readers * slab)
        part = min(max(1, fair), PART_SLABS) * slab
        return [min(part, length - offset) for offset in range(0, length, part)]

    def _pass_over_staged(self) -> None:
        while self._next in self._skips:
            self._next += 1

    def _is_taken(self) -> bool:
        """Whether every part of every block was given to a reader."""
        if self._parts:
            return False
        if self._plan.count is None:
            return self._ended
        return self._next >= self._plan.count

    def _refused(self, retry_after: float | None) -> None:
        self._pace.refused(asyncio.get_running_loop().time(), retry_after)

    def _tell(self, *, final: bool = False) -> None:
        if self._progress is None:
            return
        now = asyncio.get_running_loop().time()
        if final or now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._progress(self.staged_bytes, self._media.size)


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of time over which throughput is measured."""

    began: float
    received: int
    waited: float

    def shows(self, now: float, received: int, waited: float, readers: int) -> tuple[float, float]:
        """Bytes a second, and the share of the readers' time spent waiting for buffers."""
        took = now - self.began
        return (received - self.received) / took, (waited - self.waited) / (took * max(1, readers))


class _Ahead:
    """A request sent before its block's turn."""

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
    """Return the first failure; what else was cancelled because of it does not matter."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
