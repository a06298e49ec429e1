from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.buffers import SLAB_BYTES, Block, Pool, Share


async def begin(pool: Pool, own: int) -> None:
    async with pool.share(own):
        await asyncio.sleep(0)


async def fill(share: Share, block: Block, content: bytes) -> None:
    """Write bytes into a block as a reader does."""
    end = block.length + len(content)
    while block.length < end:
        room = await share.room(block, end - block.length)
        count = min(len(room), end - block.length)
        room[:count] = content[:count]
        content = content[count:]
        block.grow(count)


@given(st.lists(st.integers(1, 3 * SLAB_BYTES // 2), min_size=1, max_size=6))
async def test_a_block_holds_what_was_written(sizes: list[int]) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    pool = Pool(16 * SLAB_BYTES)
    async with pool.share(16 * SLAB_BYTES) as share:
        share.claim(0)
        block = share.begin(0)
        for part in parts:
            await fill(share, block, part)
        assert b"".join(block.pieces()) == b"".join(parts)
        assert block.length == sum(sizes)


async def test_a_block_can_be_sent_again() -> None:
    async with Pool(100).share(100) as share:
        share.claim(0)
        block = share.begin(0)
        await fill(share, block, b"x" * 100)
        assert [bytes(piece) async for piece in block] == [bytes(piece) async for piece in block] == [b"x" * 100]


async def test_slabs_are_used_again_until_nobody_copies() -> None:
    pool = Pool(4 * SLAB_BYTES)
    async with pool.share(SLAB_BYTES) as share:
        used: list[bytearray] = []
        for index in range(10):
            share.claim(index)
            block = share.begin(index)
            await fill(share, block, bytes(SLAB_BYTES))
            used += block.slabs
            share.end(block, 1)
            share.release(block)
    assert len(used) == 10
    assert all(slab is used[0] for slab in used)
    assert pool.slab(SLAB_BYTES) is not used[0]
    assert pool.open == 4 * SLAB_BYTES


async def test_a_reader_waits_for_room_and_goes_on_when_there_is_some() -> None:
    pool = Pool(100)
    async with pool.share(40) as share:
        for index in range(3):
            share.claim(index)
        first, second = share.begin(0), share.begin(1)
        await fill(share, second, b"x" * 60)
        waiting = asyncio.create_task(fill(share, second, b"x" * 10))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert share.waited(asyncio.get_running_loop().time() + 5) >= 5

        await fill(share, first, b"x" * 40)
        share.end(first, 1)
        share.release(first)
        await waiting
        assert second.length == 70


async def test_the_lowest_block_always_goes_on_with_the_copys_own_part() -> None:
    pool = Pool(100)
    async with pool.share(40) as share:
        share.claim(0)
        share.claim(1)
        high = share.begin(1)
        await fill(share, high, b"x" * 60)
        low = share.begin(0)
        async with asyncio.timeout(5):
            await fill(share, low, b"x" * 40)


async def test_a_copy_is_admitted_when_another_ends() -> None:
    pool = Pool(100)
    async with pool.share(70):
        second = asyncio.create_task(begin(pool, 70))
        await asyncio.sleep(0)
        assert not second.done()
    async with asyncio.timeout(5):
        await second
    assert pool.open == 100


async def test_a_copy_that_needs_more_than_all_is_admitted_alone() -> None:
    pool = Pool(100)
    async with asyncio.timeout(5), pool.share(300) as share:
        share.claim(0)
        await fill(share, share.begin(0), b"x" * 300)
    assert pool.open == 100


async def test_what_a_failed_copy_held_is_free_again() -> None:
    pool = Pool(100)
    with pytest.raises(ValueError, match="failed"):
        async with pool.share(40) as share:
            share.claim(0)
            await fill(share, share.begin(0), b"x" * 90)
            raise ValueError("failed")
    assert pool.open == 100


async def test_a_cancelled_waiter_does_not_keep_others_waiting() -> None:
    pool = Pool(100)
    async with pool.share(70):
        cancelled = asyncio.create_task(begin(pool, 70))
        second = asyncio.create_task(begin(pool, 70))
        await asyncio.sleep(0)
        cancelled.cancel()
    async with asyncio.timeout(5):
        await second
