"""A response's body, received straight into the memory that it is meant for.

aiohttp hands a body out in pieces, each of them copied on its way; at hundreds of megabytes a second the copies are a
good part of what reading costs. So once the headers of a long answer are read, its connection is lent to a protocol of
asyncio's that lets the socket write into the caller's buffer. At the body's end the connection is given back, and
serves the next request as if nothing had been: aiohttp makes a new parser for each.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp

from shared.core.errors import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp.client_proto import ResponseHandler

_WORTH_LENDING = 128 * 1024
_SCRATCH_BYTES = 256 * 1024


class Body:
    """A response's body.

    Parameters
    ----------
    response
        Whose headers have just been read.
    stall_seconds
        How long nothing may arrive while somebody waits for it.

    Attributes
    ----------
    arrived
        Told of bytes as they come in, also while a buffer is still being filled.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, stall_seconds: float) -> None:
        self._response = response
        self._stall_seconds = stall_seconds
        self._to_skip = 0
        self._loan: _Loan | None = None
        self.arrived: Callable[[int], None] = _tell_nobody
        self._kept = memoryview(self._borrow())

    async def into(self, view: memoryview) -> int:
        """Write the body's next bytes into a buffer; return how many: 0 at the body's end, and only there.

        Raises
        ------
        SourceUnavailable
            The body was cut, or stalled.
        """
        while self._to_skip:
            skipped = await self._next(memoryview(bytearray(min(_SCRATCH_BYTES, self._to_skip))))
            if not skipped:
                return 0
            self._to_skip -= skipped
        return await self._next(view)

    async def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the body's end."""
        content = bytearray()
        room = memoryview(bytearray(min(count, _SCRATCH_BYTES)))
        while len(content) < count and (more := await self.into(room[: count - len(content)])):
            content += room[:more]
        return bytes(content)

    def unread(self, data: bytes) -> None:
        """Give back what `read` returned, to be returned again."""
        self._kept = memoryview(data + bytes(self._kept))

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        self._to_skip = count

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end: then it can serve the next request."""
        self._response.close()

    async def _next(self, view: memoryview) -> int:
        if not self._kept:
            if self._loan is not None:
                return await self._loan.into(view)
            self._kept = memoryview(await self._received())
        count = min(len(self._kept), len(view))
        view[:count] = self._kept[:count]
        self._kept = self._kept[count:]
        return count

    def _borrow(self) -> bytes:
        """Borrow the connection, where that is worth it; return what aiohttp has received of the body so far."""
        response = self._response
        content, length, connection = response.content, response.content_length, response.connection
        if length is None or length - content.total_bytes < _WORTH_LENDING or "Transfer-Encoding" in response.headers:
            return b""
        pieces: list[bytes] = []
        with _faults_told():
            # Emptying its buffer can make aiohttp parse what it had held back; hence until there is nothing more.
            while piece := content.read_nowait():
                pieces.append(piece)
        left = length - content.total_bytes
        if left and connection is not None and connection.protocol is not None and connection.transport is not None:
            self._loan = _Loan(
                response,
                connection.protocol,
                connection.transport,
                left=left,
                stall_seconds=self._stall_seconds,
                arrived=self._count,
            )
        return b"".join(pieces)

    async def _received(self) -> bytes:
        with _faults_told():
            async with asyncio.timeout(self._stall_seconds):
                # readany() would join what has arrived into one more copy.
                while True:
                    data, end_of_chunk = await self._response.content.readchunk()
                    if data or not end_of_chunk:
                        self._count(len(data))
                        return data

    def _count(self, arrived: int) -> None:
        self.arrived(arrived)


class _Loan(asyncio.BufferedProtocol):
    """A connection that is lent for the rest of a body.

    Parameters
    ----------
    response
        Whose body it is.
    owner, transport
        The connection's own protocol, and its transport.
    left
        Bytes of the body that are still to come.
    stall_seconds
        How long nothing may arrive.
    arrived
        Told of each count of bytes that come.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        owner: ResponseHandler,
        transport: asyncio.Transport,
        *,
        left: int,
        stall_seconds: float,
        arrived: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._response = response
        self._owner = owner
        self._transport = transport
        self._left = left
        self._stall_seconds = stall_seconds
        self._arrived = arrived
        self._view = memoryview(b"")
        self._count = 0
        self._waiter = self._loop.create_future()
        self._fault: str | None = None
        transport.pause_reading()
        transport.set_protocol(self)

    async def into(self, view: memoryview) -> int:
        """Fill a buffer; return how many bytes came: fewer than it takes only where the body ends, or breaks."""
        if not self._left:
            return 0
        if self._fault is not None:
            raise SourceUnavailable(self._fault)
        self._view, self._count, self._waiter = view[: self._left], 0, self._loop.create_future()
        self._watch(-1)
        self._transport.resume_reading()
        try:
            await self._waiter
        finally:
            self._alarm.cancel()
            if self._left:
                self._transport.pause_reading()
            self._view = memoryview(b"")
        if not self._count:
            raise SourceUnavailable(self._fault or "the body was cut")
        return self._count

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        del sizehint
        return self._view[self._count :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that have come."""
        self._count += nbytes
        self._left -= nbytes
        self._arrived(nbytes)
        if not self._left:
            self._give_back()
        elif self._count == len(self._view):
            self._transport.pause_reading()
            self._wake()

    def eof_received(self) -> None:
        """Take note that nothing more comes; the transport closes."""
        self._break("the body was cut")

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._break(f"the body was cut ({type(exc).__name__})" if exc else "the body was cut")
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on to the connection's own protocol."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on to the connection's own protocol."""
        self._owner.resume_writing()

    def _give_back(self) -> None:
        self._transport.set_protocol(self._owner)
        # To aiohttp the body ends here; its connection goes back to the pool.
        self._response.content.feed_eof()
        self._wake()

    def _watch(self, seen: int) -> None:
        """Break when nothing has come since `seen`; a look now and then costs less than a timer for each piece."""
        if self._count == seen:
            self._break("the body stalled")
        else:
            self._alarm = self._loop.call_later(self._stall_seconds, self._watch, self._count)

    def _break(self, fault: str) -> None:
        self._fault = self._fault or fault
        self._wake()

    def _wake(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise SourceUnavailable("the body stalled") from exc
    except aiohttp.ClientError as exc:
        raise SourceUnavailable(f"the body was cut ({type(exc).__name__})") from exc


def _tell_nobody(count: int) -> None:
    del count
