"""A media file at the service, and the reading of its parts, with retries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.core.errors import Retryable, SourceChanged, SourceEnded, SourceNotReady, SourceRefused, SourceUnavailable
from shared.core.retry_policy import GONE, SOURCE_BACKOFF, THROTTLED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.core.media_formats import Format
    from shared.download.response import FileResponse


class MediaFile:
    """A media file at the service, described by its first response.

    Attributes
    ----------
    size
        Bytes; None while it is not known.
    ranges
        Whether the service sends parts of it.
    format
        The format that its first bytes show.
    identity
        Differs where the content differs, as far as the size, a strong ETag and the first 64 KiB show it.
    latency
        Seconds between a request and its response, the least of late.
    arrived
        Bytes received on all connections, whether or not they were requested.
    """

    def __init__(
        self,
        request: Callable[[str, int, int | None], Awaitable[FileResponse]],
        url: str,
        first: FileResponse,
        *,
        sleep: Callable[[float], Awaitable[None]],
        format: Format,  # noqa: A002 - the field's name
        head: str,
        latency: float,
    ) -> None:
        self._request = request
        self._sleep = sleep
        self._url = url
        self._location = first.location
        self._first: FileResponse | None = first
        self._etag = first.etag
        self._is_text = first.is_text
        self.size = first.size
        self.ranges = first.partial
        self.format = format
        self.identity = f"{first.size}:{first.etag or ''}:{head}"
        self.latency = latency
        self.arrived = 0

    def read(
        self, start: int, end: int | None, *, refused: Callable[[float | None], None] | None = None
    ) -> RangeReader:
        """Return a reader of the bytes from `start` to before `end` (None: the file's end).

        `refused` is called for each 429 and 503 of the service, with the seconds of its Retry-After.
        """
        return RangeReader(self, start, end, Patience(self._sleep, refused))

    async def answer(self, start: int, end: int | None) -> FileResponse:
        """Request a part of the file; the body may begin before `start` where the service ignores ranges.

        Raises
        ------
        SourceChanged
            Size or ETag are not those of the first response.
        """
        if start == 0 and self._first is not None:
            answer, self._first = self._first, None
            return answer
        began = asyncio.get_running_loop().time()
        answer = await self._fresh(start, end)
        self.latency = min(asyncio.get_running_loop().time() - began, self.latency * 1.25)
        try:
            self._check(answer, start)
        except Retryable:
            answer.body.close()
            raise
        return answer

    def _check(self, answer: FileResponse, start: int) -> None:
        if answer.is_text and not self._is_text:
            raise SourceNotReady("the service answers with a page in place of a part of the file")
        if self.size is not None and answer.size is None and not answer.partial:
            raise SourceUnavailable("the service answers without a length, though it named one before")
        if self.size is not None and answer.size is not None and answer.size != self.size:
            raise SourceChanged(f"the file had {self.size} bytes, now it has {answer.size}")
        if self._etag and answer.etag and answer.etag != self._etag:
            raise SourceChanged("the file's ETag changed while it was being read")
        if answer.start > start or (answer.end is not None and answer.end <= start):
            raise SourceUnavailable("the service answers with another part of the file than was asked for")

    async def _fresh(self, start: int, end: int | None) -> FileResponse:
        """Request from the address of the last response; if that refuses, from the file's own address."""
        if self._location != self._url:
            try:
                return await self._request(self._location, start, end)
            except SourceUnavailable:
                self._location = self._url
        answer = await self._request(self._url, start, end)
        self._location = answer.location
        return answer

    def count(self, arrived: int) -> None:
        """Add to the bytes received."""
        self.arrived += arrived

    def ended(self, size: int) -> None:
        """Set the size of a file whose size was not known."""
        self.size = size

    def close(self) -> None:
        """Close the first response, if it was not read."""
        if self._first is not None:
            self._first.body.close()
            self._first = None


class RangeReader:
    """Reads a part of a file in order, with a new request where a connection breaks.

    `position` is the offset in the file of the next byte.
    """

    def __init__(self, media: MediaFile, start: int, end: int | None, patience: Patience) -> None:
        self.position = start
        self._media = media
        self._end = end
        self._patience = patience
        self._answer: FileResponse | None = None

    def goes_beyond(self, offset: int) -> bool:
        """Whether this part of the file includes the byte at `offset`."""
        return self._end is None or offset < self._end

    async def begin(self) -> FileResponse:
        """Send the request, so that the body arrives before `into` is called."""
        while self._answer is None:
            try:
                answer = await self._media.answer(self.position, self._end)
            except (SourceUnavailable, SourceNotReady) as error:
                await self._patience.wait(error)
            else:
                answer.body.skip(self.position - answer.start)
                answer.body.arrived = self._media.count
                self._answer = answer
        return self._answer

    async def into(self, view: memoryview) -> int:
        """Write the next bytes into a buffer; return how many: 0 at the end of the part or of the file.

        Raises
        ------
        Retryable
            Several tries in a row brought no byte.
        """
        while self._end is None or self.position < self._end:
            if self.position == self._media.size:
                break
            try:
                answer = await self.begin()
            except SourceEnded as error:
                if self._media.size is not None or error.size != self.position:
                    raise
                self._media.ended(self.position)
                break
            wanted = len(view) if self._end is None else min(len(view), self._end - self.position)
            try:
                count = await answer.body.into(view[:wanted])
            except SourceUnavailable as error:
                self.close()
                await self._patience.wait(error)
                continue
            if count:
                self.position += count
                self._patience.renew()
                return count
            self.close()
            if answer.end is None or answer.end == self._media.size:
                if self._media.size is None:
                    self._media.ended(self.position)
                if self.position >= (self._media.size or 0):
                    break
                raise SourceChanged(f"the file had {self._media.size} bytes, now it ends after {self.position}")
        self.close()
        return 0

    def close(self) -> None:
        """Close the connection, unless its body was read to the end."""
        if self._answer is not None:
            self._answer.body.close()
            self._answer = None


class Patience:
    """Retries in place, before the message goes back to the queue.

    Parameters
    ----------
    sleep
        Waits for seconds.
    refused
        Called for each 429 and 503.
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]], refused: Callable[[float | None], None] | None = None
    ) -> None:
        self._sleep = sleep
        self._refused = refused
        self._failures = 0

    async def wait(self, error: Retryable) -> None:
        """Wait before the next try, or raise `error` when there is none."""
        if isinstance(error, SourceRefused):
            if error.status in THROTTLED and self._refused:
                self._refused(error.retry_after)
            if error.status in GONE:
                raise error
        self._failures += 1
        delay = SOURCE_BACKOFF.delay(self._failures, error.retry_after or None)
        if delay is None:
            raise error
        await self._sleep(delay)

    def renew(self) -> None:
        """Start to count anew, since bytes have arrived."""
        self._failures = 0
