"""A single response of the service: what its status and headers show."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

import aiohttp

from shared.core.errors import Retryable, SourceEnded, SourceNotReady, SourceRefused, SourceUnavailable
from shared.core.media_formats import describe
from shared.core.retry_policy import retry_after
from shared.core.times import utc_now
from shared.download.body import Body

HEAD_BYTES = 64 * 1024
"""Bytes of a file's beginning that are examined, and that its identity is made of."""

_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResponse:
    """A response that carries a file or a part of it.

    Attributes
    ----------
    location
        Its URL, after redirects.
    start, end
        The bytes it has; `end` is exclusive, and None where the response has no length.
    size
        The whole file's bytes, if known.
    partial
        Whether it shows that the service sends parts.
    etag
        Strong ETag, if any.
    is_text
        Whether its type is that of a page or a document.
    """

    body: Body
    location: str
    start: int
    end: int | None
    size: int | None
    partial: bool
    etag: str | None
    is_text: bool

    @classmethod
    def of(cls, response: aiohttp.ClientResponse, location: str, *, stall_seconds: float) -> Self:
        """Read a response's headers; the body may stall for `stall_seconds`.

        Raises
        ------
        SourceUnavailable
            The headers contradict one another.
        SourceNotReady
            The file is empty.
        """
        headers = response.headers
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise SourceUnavailable("the service sends an encoded body, though none was asked for")
        length = response.content_length
        # A 200 that carries a Content-Range has been seen: it is a part all the same.
        content_range = headers.get("Content-Range")
        start, end, size = (0, length, length) if content_range is None else _content_range(content_range)
        if end is not None and length is not None and end - start != length:
            raise SourceUnavailable("the service's Content-Length contradicts its Content-Range")
        if content_range is None and response.status == HTTPStatus.PARTIAL_CONTENT:
            raise SourceUnavailable("the service sends a part of a file without saying which")
        if length == 0:
            raise SourceNotReady("the service sends an empty file")
        etag = headers.get("ETag")
        kind = response.content_type
        return cls(
            body=Body(response, stall_seconds=stall_seconds),
            location=location,
            start=start,
            end=end,
            size=size,
            partial=content_range is not None,
            etag=etag if etag and not etag.startswith("W/") else None,
            is_text=kind.startswith("text/") or kind.endswith(("json", "xml")),
        )


def _content_range(value: str) -> tuple[int, int | None, int | None]:
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None or match[1] is None:
        raise SourceUnavailable("the service sends a Content-Range that cannot be read")
    start, end = int(match[1]), int(match[2]) + 1
    size = None if match[3] == "*" else int(match[3])
    if end <= start or (size is not None and end > size):
        raise SourceUnavailable("the service sends a Content-Range that contradicts itself")
    return start, end, size


async def beginning(response: aiohttp.ClientResponse, *, stall_seconds: float) -> bytes:
    """Return the beginning of a refusal's body, or nothing if it cannot be read."""
    try:
        async with asyncio.timeout(stall_seconds):
            return await response.content.read(HEAD_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""


def refusal(response: aiohttp.ClientResponse, body: bytes) -> Retryable:
    """Return the error for a response that is neither 200 nor 206, from its status and the beginning of its body."""
    status = response.status
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if match is not None and match[3] == "0":
            return SourceNotReady("the service sends an empty file")
        if match is not None and match[3] != "*":
            return SourceEnded(int(match[3]))
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return SourceNotReady("the service sends an empty file")
    if status == HTTPStatus.BAD_REQUEST and describe(body) in {"an HTML page", "a page or an XML document"}:
        return SourceNotReady("the service answered 400 with a page")
    seconds = retry_after(response.headers.get("Retry-After"), utc_now())
    return SourceRefused(f"the service answered {status}", status=status, retry_after=seconds)
