from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upload.buffers import Part, Pool, Share

if TYPE_CHECKING:
    from random import Random


SLAB_BYTES = 1000


async def begin(pool: Pool, own: int) -> None:
    async with pool.share(own):
        await asyncio.sleep(0)


async def fill(share: Share, part: Part, content: bytes) -> None:
    """Write bytes into a part, as a reader does."""
    while content:
        room = await share.room(part)
        count = min(len(room), len(content))
        room[:count] = content[:count]
        content = content[count:]
        part.grow(count)


@given(st.lists(st.integers(1, 3 * SLAB_BYTES // 2), min_size=1, max_size=6), st.randoms())
async def test_a_block_holds_what_was_written_into_its_parts(sizes: list[int], random: Random) -> None:
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    pool = Pool(16 * SLAB_BYTES, SLAB_BYTES)
    async with pool.share(16 * SLAB_BYTES) as share:
        block = share.begin(0, sizes)
        parts = list(zip(block.parts, contents, strict=True))
        random.shuffle(parts)
        for part, content in parts:
            await fill(share, part, content)
            assert not await share.room(part)
        assert b"".join(block.pieces()) == b"".join(contents)
        assert block.length == sum(sizes)


async def test_a_block_can_be_sent_again() -> None:
    async with Pool(100, 50).share(100) as share:
        block = share.begin(0, [60, 40])
        for part in block.parts:
            await fill(share, part, b"x" * part.size)
        assert (
            [bytes(piece) async for piece in block]
            == [bytes(piece) async for piece in block]
            == [b"x" * 50, b"x" * 10, b"x" * 40]
        )


async def test_slabs_are_used_again_until_no_copy_runs() -> None:
    pool = Pool(4 * SLAB_BYTES, SLAB_BYTES)
    async with pool.share(SLAB_BYTES) as share:
        used: list[bytearray] = []
        for index in range(10):
            block = share.begin(index, [SLAB_BYTES])
            await fill(share, block.parts[0], bytes(SLAB_BYTES))
            used += block.slabs
            share.end(block, 1)
            share.release(block)
    assert len(used) == 10
    assert all(slab is used[0] for slab in used)
    assert pool.slab(SLAB_BYTES) is not used[0]
    assert pool.open == 4 * SLAB_BYTES


async def test_a_reader_waits_for_room_and_continues_when_there_is_some() -> None:
    pool = Pool(100, 50)
    async with pool.share(40) as share:
        first, second = share.begin(0, [40]), share.begin(1, [60, 10, 10])
        await fill(share, second.parts[0], b"x" * 60)
        waiting = [asyncio.create_task(fill(share, part, b"x" * 10)) for part in second.parts[1:]]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        assert share.waited(asyncio.get_running_loop().time() + 5) >= 5

        await fill(share, first.parts[0], b"x" * 40)
        share.end(first, 1)
        share.release(first)
        await asyncio.gather(*waiting)
        assert second.length == 80


async def test_the_lowest_block_always_continues_with_the_copys_reserved_memory() -> None:
    pool = Pool(100, 50)
    async with pool.share(40) as share:
        low, high = share.begin(0, [40]), share.begin(1, [60])
        await fill(share, high.parts[0], b"x" * 60)
        async with asyncio.timeout(5):
            await fill(share, low.parts[0], b"x" * 40)


async def test_a_copy_is_admitted_when_another_ends() -> None:
    pool = Pool(100, 50)
    async with pool.share(70):
        second = asyncio.create_task(begin(pool, 70))
        await asyncio.sleep(0)
        assert not second.done()
    async with asyncio.timeout(5):
        await second
    assert pool.open == 100


async def test_a_copy_that_needs_more_than_all_is_admitted_alone() -> None:
    pool = Pool(100, 50)
    async with asyncio.timeout(5), pool.share(300) as share:
        await fill(share, share.begin(0, [300]).parts[0], b"x" * 300)
    assert pool.open == 100


async def test_a_failed_copy_frees_its_memory() -> None:
    pool = Pool(100, 50)
    with pytest.raises(ValueError, match="failed"):
        async with pool.share(40) as share:
            await fill(share, share.begin(0, [90]).parts[0], b"x" * 90)
            raise ValueError("failed")
    assert pool.open == 100


async def test_a_cancelled_waiter_does_not_keep_others_waiting() -> None:
    pool = Pool(100, 50)
    async with pool.share(70):
        cancelled = asyncio.create_task(begin(pool, 70))
        second = asyncio.create_task(begin(pool, 70))
        await asyncio.sleep(0)
        cancelled.cancel()
    async with asyncio.timeout(5):
        await second
