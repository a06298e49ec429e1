from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.buffers import PIECE_BYTES, Block, Pool


async def begin(pool: Pool, own: int) -> None:
    async with pool.share(own):
        await asyncio.sleep(0)


@given(st.lists(st.binary(min_size=1, max_size=100_000), max_size=20))
def test_a_block_holds_what_was_added(parts: list[bytes]) -> None:
    block = Block(0)
    for part in parts:
        block.append(memoryview(part))
    assert b"".join(block.pieces()) == b"".join(parts)
    assert block.length == sum(map(len, parts))


def test_small_pieces_are_gathered() -> None:
    block = Block(0)
    for _ in range(1024):
        block.append(b"x" * 1400)
    assert len(list(block.pieces())) <= 1024 * 1400 / PIECE_BYTES + 1


async def test_a_block_can_be_sent_again() -> None:
    block = Block(0)
    block.append(b"x" * 100_000)
    assert [bytes(piece) async for piece in block] == [bytes(piece) async for piece in block] != []


async def test_a_reader_waits_for_room_and_goes_on_when_there_is_some() -> None:
    pool = Pool(100)
    async with pool.share(40) as share:
        for index in range(3):
            share.claim(index)
        first, second = share.begin(0), share.begin(1)
        await share.fill(second, b"x" * 60)
        waiting = asyncio.create_task(share.fill(second, b"x" * 10))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert share.waited(asyncio.get_running_loop().time() + 5) >= 5

        await share.fill(first, b"x" * 40)
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
        await share.fill(high, b"x" * 60)
        low = share.begin(0)
        async with asyncio.timeout(5):
            await share.fill(low, b"x" * 40)


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
        await share.fill(share.begin(0), b"x" * 300)
    assert pool.open == 100


async def test_what_a_failed_copy_held_is_free_again() -> None:
    pool = Pool(100)
    with pytest.raises(ValueError, match="failed"):
        async with pool.share(40) as share:
            share.claim(0)
            await share.fill(share.begin(0), b"x" * 90)
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
