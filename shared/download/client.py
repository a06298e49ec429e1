"""Reads a recording's files from the service: signed requests, and checks of the responses.

The service sometimes sends nothing, HTML with status 200 or 400, sporadic 401s and 503s, bodies that are cut or stall,
and redirects to regional hosts. So redirects are followed here, with a signature and a check of the origin for each; a
range that breaks is requested again from where it broke; and a file's first bytes decide whether it is a media file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

import aiohttp
from yarl import URL

from shared.core.errors import SourceNotReady, SourceRefused, SourceUnavailable
from shared.core.media_formats import describe, sniff
from shared.core.retry_policy import GONE
from shared.download.media_file import MediaFile, Patience
from shared.download.response import HEAD_BYTES, FileResponse, beginning, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shared.core.media_formats import Format
    from shared.core.trusted_origins import TrustedOrigins
    from shared.download.signing import Signer

PROBE_BYTES = 256 * 1024
"""The length of the first request. Enough for a short recording, and little to read again after an interruption."""

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_HOPS = 4
_READ_AHEAD = 16 * 1024
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class DownloadClient:
    """The service's files.

    Parameters
    ----------
    session
        Shared by the whole process; its settings for redirects and decompression are not used.
    signer, origins
        Signs each request, and decides which hosts it may be sent to.
    stall_seconds
        How long a connection may send nothing before it is closed. There is no limit to the time of a whole file.
    probe_bytes
        Bytes of the first request for a media file.
    sleep
        Waits between tries; a test passes its own.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        signer: Signer,
        origins: TrustedOrigins,
        *,
        stall_seconds: float = 30,
        probe_bytes: int = PROBE_BYTES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._signer = signer
        self._origins = origins
        self._stall_seconds = stall_seconds
        self._probe_bytes = probe_bytes
        self._sleep = sleep

    async def read(self, url: str, *, limit: int) -> bytes:
        """Return a JSON file of at most `limit` bytes.

        Raises
        ------
        UntrustedOrigin
            The URL, or a redirect, is on a host that credentials must not be sent to.
        SourceUnavailable
            No answer, a refusal, or a cut body.
        SourceNotReady
            Nothing, a page, something that is not JSON, or more than `limit`.
        """
        return await self._retried(lambda: self._read(url, limit))

    @asynccontextmanager
    async def open(self, url: str, *, format: Format | None) -> AsyncIterator[MediaFile]:  # noqa: A002 - the field's name
        """Request a media file, check the first response, and give access to the rest.

        `format` is the announced one; with None, any known format is accepted. Raises what `read` raises.
        """
        media = await self._retried(lambda: self._open(url, format))
        try:
            yield media
        finally:
            media.close()

    async def delete(self, url: str) -> None:
        """Delete a file at the service; one that is gone already counts as deleted.

        Raises what `read` raises; `SourceNotReady` for a page, which does not show whether the file is deleted.
        """
        response, _ = await self._request("DELETE", url, None)
        response.close()
        if response.status not in GONE and not response.ok:
            raise refusal(response, b"")
        if response.content_type == "text/html":
            raise SourceNotReady("the service answers the deletion with a page")

    async def answer(self, url: str, start: int, end: int | None) -> FileResponse:
        """Request the bytes from `start` to before `end`, and return the response with its body still to be read."""
        response, location = await self._request("GET", url, f"bytes={start}-{'' if end is None else end - 1}")
        try:
            return await self._checked(response, location)
        except BaseException:
            response.close()
            raise

    async def _retried[T](self, action: Callable[[], Awaitable[T]]) -> T:
        patience = Patience(self._sleep)
        while True:
            try:
                return await action()
            except SourceUnavailable as error:
                await patience.wait(error)

    async def _request(self, method: str, url: str, range_: str | None) -> tuple[aiohttp.ClientResponse, str]:
        """Send a signed request, following redirects; return the answer and the address it came from."""
        for _ in range(_MAX_HOPS + 1):
            url = urldefrag(url).url
            self._origins.check(url)
            headers = {"Accept-Encoding": "identity", **(await self._signer.headers(method, url))}
            if range_ is not None:
                headers["Range"] = range_
            try:
                async with asyncio.timeout(self._stall_seconds):
                    response = await self._session.request(
                        method,
                        URL(url, encoded=True),
                        headers=headers,
                        allow_redirects=False,
                        auto_decompress=False,
                        timeout=_NO_TIMEOUT,
                        read_bufsize=_READ_AHEAD,
                    )
            except (aiohttp.ClientError, TimeoutError) as exc:
                raise SourceUnavailable(f"the service did not answer ({type(exc).__name__})") from exc
            if response.status not in _REDIRECTS:
                return response, url
            response.release()
            target = response.headers.get("Location")
            if not target:
                raise SourceRefused("the service redirects without saying where to", status=response.status)
            url = urljoin(url, target)
        raise SourceUnavailable(f"the service redirects more than {_MAX_HOPS} times")

    async def _read(self, url: str, limit: int) -> bytes:
        response, _ = await self._request("GET", url, None)
        try:
            content = await (await self._checked(response, url)).body.read(limit + 1)
            if len(content) > limit:
                raise SourceNotReady(f"the service sends more than {limit} bytes in place of the metadata file")
        finally:
            response.close()
        try:
            json.loads(content)
        except (ValueError, RecursionError) as exc:
            description = describe(content[:HEAD_BYTES])
            description = "cut or malformed JSON" if description == "a JSON document" else description
            raise SourceNotReady(f"the service sends {description} in place of the metadata file") from exc
        return content

    async def _open(self, url: str, announced: Format | None) -> MediaFile:
        began = asyncio.get_running_loop().time()
        answer = await self.answer(url, 0, self._probe_bytes)
        latency = asyncio.get_running_loop().time() - began
        try:
            head = await answer.body.read(HEAD_BYTES)
            known = _format_of(answer, head, announced)
        except BaseException:
            answer.body.close()
            raise
        answer.body.unread(head)
        digest = hashlib.sha256(head).hexdigest()
        return MediaFile(self.answer, url, answer, sleep=self._sleep, format=known, head=digest, latency=latency)

    async def _checked(self, response: aiohttp.ClientResponse, location: str) -> FileResponse:
        if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise refusal(response, await beginning(response, stall_seconds=self._stall_seconds))
        return FileResponse.of(response, location, stall_seconds=self._stall_seconds)


def _format_of(answer: FileResponse, head: bytes, announced: Format | None) -> Format:
    if answer.start != 0:
        raise SourceUnavailable("the service answers with another part of the file than was asked for")
    known = sniff(head)
    if known is None or known is not (announced or known):
        raise SourceNotReady(f"the service sends {describe(head)} in place of the {announced or 'media'} file")
    return known
