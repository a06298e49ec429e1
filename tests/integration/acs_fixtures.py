"""A running ACS emulator, a client that signs, and a receiver for events and callbacks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp import web

from local.acs.server import AcsEmulator, AcsOptions
from local.acs.signatures import SIGNED_HEADERS, content_hash, signature, string_to_sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def sign(method: str, url: str, host: str, key: str, body: bytes = b"") -> dict[str, str]:
    """Return the headers of a request that is signed for the resource at `host`."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    date = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
    digest = content_hash(body)
    made = signature(key, string_to_sign(method, target, date, host, digest))
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "x-ms-host": host,
        "Authorization": f"HMAC-SHA256 SignedHeaders={SIGNED_HEADERS}&Signature={made}",
    }


@dataclass(slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Bench:
    """An emulator with a client for its control and media routes."""

    acs: AcsEmulator
    session: aiohttp.ClientSession

    @property
    def host(self) -> str:
        """Host and port of the resource."""
        return urlsplit(self.acs.endpoint).netloc

    def signed(self, method: str, url: str, host: str | None = None) -> dict[str, str]:
        """Return the headers of a request signed for the emulated resource."""
        return sign(method, url, host or self.host, self.acs.options.access_key)

    async def fetch(
        self, url: str, *, method: str = "GET", headers: dict[str, str] | None = None, wanted: str | None = None
    ) -> Answer:
        """Send a request, signed unless headers are given, without following redirects."""
        sent = dict(self.signed(method, url) if headers is None else headers)
        if wanted is not None:
            sent["Range"] = wanted
        async with self.session.request(method, url, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def control(self, method: str, path: str, body: dict[str, Any] | None = None, expect: int = 200) -> Any:
        """Use a control route and return the decoded answer."""
        async with self.session.request(method, f"{self.acs.endpoint}/control/{path}", json=body) as response:
            answer = await response.json()
        assert response.status == expect, answer
        return answer

    async def recording(self, **fields: Any) -> Any:
        """Make a finished recording."""
        return await self.control("POST", "recordings", {"announce": False, **fields}, expect=201)

    async def fault(self, **fields: Any) -> Any:
        """Order a fault."""
        return await self.control("POST", "faults", fields, expect=201)

    async def truth(self, recording_id: str) -> Any:
        """Return what the control routes say about a recording."""
        return await self.control("GET", f"recordings/{quote(recording_id, safe='')}")

    async def finished(self, recording_id: str) -> Any:
        """Wait until an ended recording's files are there, and return the truth about it."""
        return await until(
            lambda: self.truth(recording_id), lambda truth: truth["processing"] in ("ready", "nothing-recorded")
        )


async def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Look again and again until what is seen is good, and return it; the test's own time limit ends it."""
    while not good(seen := await look()):
        await asyncio.sleep(0.02)
    return seen


@asynccontextmanager
async def bench(media: Path, **options: Any) -> AsyncIterator[Bench]:
    """Run an emulator on free ports."""
    settings: dict[str, Any] = {
        "port": 0,
        "second_port": 0,
        "media_dir": media,
        "publish_patience": 10.0,
        "finalize_delay": 0.0,
    }
    async with AcsEmulator(AcsOptions(**(settings | options))) as acs, aiohttp.ClientSession() as session:
        yield Bench(acs, session)


@dataclass(slots=True)
class Receiver:
    """A small web server that keeps what is posted to it. `refuse` requests are answered with 503 first."""

    url: str = ""
    refuse: int = 0
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def received(self, number: int) -> list[Any]:
        """Wait for so many bodies and return them."""

        async def look() -> list[Any]:
            return self.bodies

        bodies: list[Any] = await until(look, lambda seen: len(seen) >= number)
        return bodies


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver."""
    kept = Receiver()

    async def take(request: web.Request) -> web.Response:
        if kept.refuse:
            kept.refuse -= 1
            return web.Response(status=503)
        kept.headers.append(dict(request.headers))
        kept.bodies.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    try:
        yield kept
    finally:
        await runner.cleanup()
