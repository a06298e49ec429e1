"""A single answer of the service: what its status and headers say."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

import aiohttp

from shared.core.errors import Retryable, SourceEnded, SourceNotReady, SourceRefused, SourceUnavailable
from shared.core.media_formats import describe
from shared.core.retry_policy import retry_after
from shared.download.body import Body

HEAD_BYTES = 64 * 1024
"""How much of a file's beginning is looked at, and goes into its identity: two seconds of the plainest audio."""

_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResponse:
    """A response that carries a file or a part of it.

    Attributes
    ----------
    body
        What follows the headers.
    location
        Where it came from after redirects.
    start, end
        The bytes it carries; `end` is exclusive, and None where no length was said.
    size
        The whole file's bytes, if known.
    partial
        Whether it shows that parts can be asked for.
    etag
        Strong ETag, if any.
    is_text
        Whether it says to be a page or a document.
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
        """Judge a response's headers; the body may stall for so long.

        Raises
        ------
        SourceUnavailable
            They contradict one another.
        SourceNotReady
            There is nothing in it.
        """
        headers = response.headers
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise SourceUnavailable("the service sends an encoded body, though none was asked for")
        length = response.content_length
        # A 200 that carries a Content-Range has been seen: it is a part all the same.
        said = headers.get("Content-Range")
        start, end, size = (0, length, length) if said is None else _content_range(said)
        if end is not None and length is not None and end - start != length:
            raise SourceUnavailable("the service's Content-Length contradicts its Content-Range")
        if said is None and response.status == HTTPStatus.PARTIAL_CONTENT:
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
            partial=said is not None,
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
    """Return what can be had of a refusal's body, to see what it is."""
    try:
        async with asyncio.timeout(stall_seconds):
            return await response.content.read(HEAD_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""


def refusal(response: aiohttp.ClientResponse, body: bytes) -> Retryable:
    """Say what an answer means that is neither 200 nor 206, from its status and the beginning of its body."""
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
    seconds = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return SourceRefused(f"the service answered {status}", status=status, retry_after=seconds)
