"""A recording's host as the tests need it: a real HTTP server that serves one file, well or as badly as it is told."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

MP4_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41"
WAV_HEAD = b"RIFF\x24\x00\x00\x00WAVEfmt "
MP3_HEAD = b"\xff\xfb\x90\x44\x00\x00\x00\x00"
HTML = b"<!DOCTYPE html><html><body>Service unavailable</body></html>"


def recording(size: int, seed: int = 0) -> bytes:
    """An mp4, as far as its first bytes show, of so many bytes; another `seed` gives other bytes after the head."""
    pattern = bytes((value * 31 + seed * 7 + value // 251) % 256 for value in range(65_521))
    body = MP4_HEAD + pattern * (size // len(pattern) + 1)
    return body[:size]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers with a status, headers and a body of its own."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Promises the whole part, sends so many bytes of it, and drops the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class Stalls:
    """Promises the whole part, sends so many bytes of it, and then nothing."""

    after: int


@dataclass(frozen=True, slots=True)
class Refuses:
    """Accepts the request and drops the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Hangs:
    """Accepts the request and never answers."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Serves the file, but with other headers."""

    headers: Mapping[str, str]
    status: int | None = None


type Fault = Answers | Cuts | Stalls | Refuses | Hangs | Overrides


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in, and what was sent in answer."""

    method: str
    path: str
    range: str | None
    headers: Mapping[str, str]
    first: int
    asked: int


class SourceServer:
    """Serves `content` at `url`.

    Attributes
    ----------
    content
        The file.
    ranges
        Whether it serves parts.
    says_length
        Whether it says how long the file is.
    etag
        Sent as ETag.
    faults
        What the next requests get, in their order; None stands for a good answer.
    connections
        The callers' ports, one for each connection that brought a request.
    hold
        While it is not None, bodies wait for it after `hold_after` bytes.
    """

    def __init__(self, content: bytes = b"", *, tls: ssl.SSLContext | None = None) -> None:
        self.content = content
        self._tls = tls
        self.ranges = True
        self.says_length = True
        self.etag: str | None = None
        self.faults: deque[Fault | None] = deque()
        self.hold: asyncio.Event | None = None
        self.hold_after = 0
        self.requests: list[Request] = []
        self.connections: set[int] = set()
        self.sent = 0
        self.url = ""
        self.origin = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        self.url = f"{self.origin}/v1/objects/0-eus-d1-1/content/video"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.release_bodies()
        assert self._runner is not None
        await self._runner.cleanup()

    def hold_bodies(self, after: int) -> None:
        """Let bodies wait after so many bytes."""
        self.hold, self.hold_after = asyncio.Event(), after

    def release_bodies(self) -> None:
        """Let bodies that wait, and those to come, go on."""
        if self.hold is not None:
            self.hold.set()
        self.hold = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        first, end = self._part(request)
        self.requests.append(
            Request(
                request.method,
                request.path_qs,
                request.headers.get("Range"),
                dict(request.headers),
                first,
                max(0, end - first),
            )
        )
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername")[1])
        fault = self.faults.popleft() if self.faults else None
        match fault:
            case Answers(status, body, headers):
                return web.Response(status=status, body=body, headers=headers)
            case Refuses():
                _drop(request)
                return web.Response()
            case Hangs():
                await self._closing.wait()
                return web.Response()
        if request.method == "DELETE":
            return web.Response(status=200)
        if self.ranges and first >= len(self.content):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(self.content)}"})
        return await self._send(request, first, end, fault)

    async def _send(
        self, request: web.Request, first: int, end: int, fault: Cuts | Stalls | Overrides | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=206 if self.ranges and "Range" in request.headers else 200)
        response.content_type = "application/octet-stream"
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(self.content)}"
        if self.says_length:
            response.content_length = end - first
        if self.etag:
            response.headers["ETag"] = self.etag
        if isinstance(fault, Overrides):
            response.headers.update(fault.headers)
            if fault.status is not None:
                response.set_status(fault.status)
        await response.prepare(request)
        position = first
        stop = min(end, first + fault.after) if isinstance(fault, Cuts | Stalls) else end
        while position < stop:
            if self.hold is not None and position - first >= self.hold_after:
                await self.hold.wait()
            piece = self.content[position : min(stop, position + 65_536)]
            await response.write(piece)
            position += len(piece)
            self.sent += len(piece)
        if isinstance(fault, Stalls):
            await self._closing.wait()
        if isinstance(fault, Cuts):
            _drop(request)
        else:
            await response.write_eof()
        return response

    def _part(self, request: web.Request) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if match is None or not self.ranges:
            return 0, len(self.content)
        return int(match[1]), min(int(match[2] or len(self.content)) + (1 if match[2] else 0), len(self.content))


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
