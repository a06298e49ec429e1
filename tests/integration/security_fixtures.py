"""What the tests of the threat model share: a server nobody trusts, and servers that say back what they were sent."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Parrot:
    """Refuses everything, and says back the credentials that came with it, as services do that explain too much."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.port = 0
        self.credentials: list[str] = []

    @property
    def signatures(self) -> set[str]:
        """The last part of each Authorization header: what a thief would want."""
        return {header.rpartition(":")[2].rpartition("Signature=")[2] for header in self.credentials}

    async def answer(self, request: web.Request) -> web.Response:
        said = request.headers.get("Authorization", "none")
        self.credentials.append(said)
        text = f"The MAC signature found in the HTTP request '{said}' is not the same as any computed signature."
        if request.path.startswith(("/calling", "/v1")):
            body: dict[str, Any] = {"error": {"code": "Denied", "message": text}}
            return web.Response(status=self._status, text=json.dumps(body), content_type="application/json")
        if "json" in request.headers.get("Accept", ""):
            body = {"odata.error": {"code": "AuthenticationFailed", "message": {"lang": "en-US", "value": text}}}
            return web.Response(status=self._status, text=json.dumps(body), content_type="application/json")
        xml = f"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><Message>{text}</Message></Error>"
        return web.Response(
            status=self._status,
            text=xml,
            content_type="application/xml",
            headers={"x-ms-error-code": "AuthenticationFailed"},
        )


@asynccontextmanager
async def parrot(status: int) -> AsyncIterator[Parrot]:
    """A parrot on a port of its own."""
    bird = Parrot(status)
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", bird.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bird.port = runner.addresses[0][1]
    try:
        yield bird
    finally:
        await runner.cleanup()
