"""A response's body, read in pieces into the caller's buffers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from shared.core.errors import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_SCRATCH_BYTES = 256 * 1024


class Body:
    """A response's body.

    Parameters
    ----------
    response
        Its headers have just been read.
    stall_seconds
        How long a read may wait for the next bytes.

    Attributes
    ----------
    arrived
        Called with the count of each piece of bytes that comes.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, stall_seconds: float) -> None:
        self._response = response
        self._stall_seconds = stall_seconds
        self._to_skip = 0
        self._kept = memoryview(b"")
        self.arrived: Callable[[int], None] = lambda _: None

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
        """Take back what `read` returned, to be returned again."""
        self._kept = memoryview(data + bytes(self._kept))

    def skip(self, count: int) -> None:
        """Skip the next `count` bytes."""
        self._to_skip = count

    def close(self) -> None:
        """Close the connection, unless the body was read to its end: then it can serve the next request."""
        self._response.close()

    async def _next(self, view: memoryview) -> int:
        if not self._kept:
            self._kept = memoryview(await self._received())
        count = min(len(self._kept), len(view))
        view[:count] = self._kept[:count]
        self._kept = self._kept[count:]
        return count

    async def _received(self) -> bytes:
        try:
            async with asyncio.timeout(self._stall_seconds):
                # readany() would join what has arrived into one more copy.
                while True:
                    data, end_of_chunk = await self._response.content.readchunk()
                    if data or not end_of_chunk:
                        self.arrived(len(data))
                        return data
        except TimeoutError as exc:
            raise SourceUnavailable("the body stalled") from exc
        except aiohttp.ClientError as exc:
            raise SourceUnavailable(f"the body was cut ({type(exc).__name__})") from exc
