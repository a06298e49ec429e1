"""Bodies that are read into the caller's buffers, from a real server on the loopback."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.errors import SourceUnavailable
from shared.download.body import Body
from tests.source_server import Cuts, SourceServer, Stalls, recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = 3_000_000
ASYNCIO_READ = 256 * 1024
"""Most bytes that asyncio reads from a socket at a time (`asyncio.selector_events`)."""


@pytest.fixture
async def server() -> AsyncIterator[SourceServer]:
    async with SourceServer(recording(SIZE)) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


async def ask(session: aiohttp.ClientSession, server: SourceServer, *, stall_seconds: float = 10) -> Body:
    return Body(await session.get(server.url), stall_seconds=stall_seconds)


async def into(body: Body, step: int) -> bytes:
    """Read a body to its end by buffers of `step` bytes."""
    room = memoryview(bytearray(step))
    received = bytearray()
    while count := await body.into(room):
        received += room[:count]
    return bytes(received)


@pytest.mark.parametrize("says_length", [True, False])
@given(
    sizes=st.tuples(st.integers(1, 400_000) | st.integers(1, 3_000_000), st.integers(0, 70_000)),
    step=st.integers(1000, 2_000_000),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_body_arrives_as_it_was_sent(
    session: aiohttp.ClientSession, server: SourceServer, says_length: bool, sizes: tuple[int, int], step: int
) -> None:
    size, head = sizes
    server.content, server.says_length = recording(size), says_length
    body = await ask(session, server)
    arrived: list[int] = []
    body.arrived = arrived.append
    beginning = await body.read(head)
    assert beginning == server.content[:head]
    body.unread(beginning)
    assert await into(body, step) == server.content
    assert sum(arrived) <= size


async def test_what_is_skipped_is_not_given_out(session: aiohttp.ClientSession, server: SourceServer) -> None:
    body = await ask(session, server)
    body.skip(1_234_567)
    assert await into(body, 100_000) == server.content[1_234_567:]


async def test_a_connection_serves_one_request_after_another(
    session: aiohttp.ClientSession, server: SourceServer
) -> None:
    for _ in range(5):
        assert await into(await ask(session, server), 1_000_000) == server.content
    async with session.get(server.url) as answer:
        assert await answer.read() == server.content
    assert len(server.requests) == 6
    assert len(server.connections) == 1


async def test_a_body_that_is_dropped_takes_its_connection_with_it(
    session: aiohttp.ClientSession, server: SourceServer
) -> None:
    for _ in range(2):
        body = await ask(session, server)
        await body.read(500_000)
        body.close()
    assert len(server.connections) == 2


async def test_little_more_is_received_than_was_read(session: aiohttp.ClientSession, server: SourceServer) -> None:
    server.content = recording(64_000_000)
    body = await ask(session, server)
    arrived: list[int] = []
    body.arrived = arrived.append
    await body.read(1_000_000)
    await asyncio.sleep(0.2)
    assert sum(arrived) <= 1_000_000 + ASYNCIO_READ
    assert server.sent < len(server.content)
    body.close()


async def test_a_cut_body_gives_what_came_and_then_says_so(
    session: aiohttp.ClientSession, server: SourceServer
) -> None:
    server.faults.append(Cuts(1_500_000))
    body = await ask(session, server)
    room = memoryview(bytearray(SIZE))
    length = 0
    with pytest.raises(SourceUnavailable, match="cut"):
        while count := await body.into(room[length:]):
            length += count
    assert bytes(room[:length]) == server.content[:length]
    with pytest.raises(SourceUnavailable, match="cut"):
        await body.into(room)
    body.close()


@pytest.mark.parametrize("says_length", [True, False])
async def test_a_stalled_body_gives_what_came_and_then_says_so(
    session: aiohttp.ClientSession, server: SourceServer, says_length: bool
) -> None:
    server.says_length = says_length
    server.faults.append(Stalls(1_500_000))
    body = await ask(session, server, stall_seconds=1)
    room = memoryview(bytearray(SIZE))
    length = 0
    with pytest.raises(SourceUnavailable, match="stalled"):
        while count := await body.into(room[length:]):
            length += count
    assert bytes(room[:length]) == server.content[:1_500_000]
    body.close()


async def test_a_slow_body_is_not_a_stalled_one(session: aiohttp.ClientSession, server: SourceServer) -> None:
    server.hold_bodies(after=1_500_000)
    body = await ask(session, server)
    reading = asyncio.create_task(into(body, SIZE))
    while server.sent < 1_500_000:
        await asyncio.sleep(0.01)
    server.release_bodies()
    assert await reading == server.content


async def test_a_cancelled_read_leaves_no_trace(session: aiohttp.ClientSession, server: SourceServer) -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        server.hold_bodies(after=1_000_000)
        body = await ask(session, server)
        reading = asyncio.create_task(into(body, SIZE))
        while server.sent < 1_000_000:
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        server.release_bodies()
        await asyncio.sleep(0.1)
        body.close()
        assert await into(await ask(session, server), SIZE) == server.content
    finally:
        loop.set_exception_handler(before)
    assert complaints == []


@asynccontextmanager
async def behind_tls() -> AsyncIterator[tuple[aiohttp.ClientSession, SourceServer]]:
    authority = trustme.CA()
    here, there = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(here)
    authority.issue_cert("127.0.0.1").configure_cert(there)
    connector = aiohttp.TCPConnector(ssl=here)
    async with (
        SourceServer(recording(SIZE), tls=there) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield session, server


async def test_bodies_behind_tls_arrive_as_they_were_sent() -> None:
    async with behind_tls() as (session, server):
        for step in (100_000, 1_000_000, 2 * SIZE):
            assert await into(await ask(session, server), step) == server.content
        assert len(server.connections) == 1


async def test_a_body_behind_tls_that_is_cut_says_so() -> None:
    async with behind_tls() as (session, server):
        server.faults.append(Cuts(1_500_000))
        body = await ask(session, server)
        with pytest.raises(SourceUnavailable, match="cut"):
            await into(body, 1_000_000)
        body.close()
