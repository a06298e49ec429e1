"""Reads a recording's files from the service: signed requests, and a judgement of what comes back.

The service has been seen to answer with nothing, with HTML under status 200 or 400, with sporadic 401s and 503s, with
bodies that are cut or stall, and with redirects to regional hosts. So redirects are followed here, one signature and
one check of the origin a hop; a range that breaks is asked for again from where it broke; and a file's first bytes
decide whether it is one.
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
"""How much the first request asks for. Enough for a short recording, little to have read in vain when resuming."""

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_HOPS = 4
_READ_AHEAD = 16 * 1024
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class DownloadClient:
    """The service's files.

    Parameters
    ----------
    session
        Shared by the whole process. Nothing of its settings is relied on: bodies are never decompressed, redirects
        never followed by it.
    signer
        Signs each request.
    origins
        Where requests may be sent.
    stall_seconds
        How long a connection may bring nothing before it is cut. There is no limit to how long a file may take.
    probe_bytes
        How much of a media file the first request asks for.
    sleep
        Waits between tries; replaceable in tests.
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
        """Return a small JSON file whole.

        Parameters
        ----------
        url
            Where it is.
        limit
            The most bytes it may have.

        Raises
        ------
        UntrustedOrigin
            The URL, or a redirect, leads where credentials must not go.
        SourceUnavailable
            No answer, a refusal, or a cut body.
        SourceNotReady
            Nothing, a page, something that is not JSON, or more than `limit`.
        """
        patience = Patience(self._sleep)
        while True:
            try:
                return await self._read(url, limit)
            except SourceUnavailable as error:
                await patience.wait(error)

    @asynccontextmanager
    async def open(self, url: str, *, format: Format | None) -> AsyncIterator[MediaFile]:  # noqa: A002 - the field's name
        """Ask for a media file, judge the first answer, and give access to the rest.

        Parameters
        ----------
        url
            Where it is.
        format
            The format it was announced with; None when nothing was said, then any known one will do.

        Raises
        ------
        UntrustedOrigin
            The URL, or a redirect, leads where credentials must not go.
        SourceUnavailable
            No answer, a refusal (`SourceRefused` has its `status`), or a cut body.
        SourceNotReady
            Nothing, a page, or a file of another format.
        """
        patience = Patience(self._sleep)
        while True:
            try:
                media = await self._open(url, format)
                break
            except SourceUnavailable as error:
                await patience.wait(error)
        try:
            yield media
        finally:
            media.close()

    async def delete(self, url: str) -> None:
        """Delete a file at the service; one that is gone already counts as deleted.

        Raises
        ------
        UntrustedOrigin
            The URL, or a redirect, leads where credentials must not go.
        SourceUnavailable
            No answer, or a refusal.
        SourceNotReady
            A page in place of an answer: whether it is deleted, nobody knows.
        """
        response, _ = await self._request("DELETE", url, None)
        response.close()
        if response.status not in GONE and not response.ok:
            raise refusal(response, b"")
        if response.content_type == "text/html":
            raise SourceNotReady("the service answers the deletion with a page")

    async def answer(self, url: str, start: int, end: int | None) -> FileResponse:
        """Ask for the bytes from `start` to before `end`, and return the answer with its body still to be read."""
        response, location = await self._request("GET", url, f"bytes={start}-{'' if end is None else end - 1}")
        try:
            return await self._judged(response, location)
        except BaseException:
            response.close()
            raise

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
            content = await (await self._judged(response, url)).body.read(limit + 1)
            if len(content) > limit:
                raise SourceNotReady(f"the service sends more than {limit} bytes in place of the metadata file")
        finally:
            response.close()
        try:
            json.loads(content)
        except (ValueError, RecursionError) as exc:
            found = describe(content[:HEAD_BYTES])
            found = "cut or malformed JSON" if found == "a JSON document" else found
            raise SourceNotReady(f"the service sends {found} in place of the metadata file") from exc
        return content

    async def _open(self, url: str, announced: Format | None) -> MediaFile:
        began = asyncio.get_running_loop().time()
        answer = await self.answer(url, 0, self._probe_bytes)
        latency = asyncio.get_running_loop().time() - began
        try:
            head = await answer.body.read(HEAD_BYTES)
            found = _recognised(answer, head, announced)
        except BaseException:
            answer.body.close()
            raise
        answer.body.unread(head)
        digest = hashlib.sha256(head).hexdigest()
        return MediaFile(self.answer, url, answer, sleep=self._sleep, format=found, head=digest, latency=latency)

    async def _judged(self, response: aiohttp.ClientResponse, location: str) -> FileResponse:
        if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise refusal(response, await beginning(response, stall_seconds=self._stall_seconds))
        return FileResponse.of(response, location, stall_seconds=self._stall_seconds)


def _recognised(answer: FileResponse, head: bytes, announced: Format | None) -> Format:
    if answer.start != 0:
        raise SourceUnavailable("the service answers with another part of the file than was asked for")
    found = sniff(head)
    if found is None or (announced is not None and found is not announced):
        raise SourceNotReady(f"the service sends {describe(head)} in place of the {announced or 'media'} file")
    return found
