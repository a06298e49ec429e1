"""A real subscriber for the Event Grid emulator: an aiohttp server whose answers a test chooses."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.eventgrid.clock import EmulatedClock
from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.options import EventGridOptions
from local.eventgrid.subscriptions import SubscriptionSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from local.eventgrid.clock import Clock


@dataclass(slots=True, frozen=True)
class Delivery:
    """One request that the subscriber got."""

    method: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Subscriber:
    """What the subscriber answers, and what it got.

    `statuses` are answered to deliveries in turn, the last one for ever; 0 closes the connection without an answer.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    answer_seconds: float = 0.0
    handshake: str = "code"
    deliveries: list[Delivery] = field(default_factory=list)
    handshakes: list[Delivery] = field(default_factory=list)
    deletions: list[Delivery] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> list[Delivery]:
        """Wait for so many deliveries."""
        async with asyncio.timeout(10):
            while len(self.deliveries) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.deliveries

    def events(self) -> list[Any]:
        """Return every event that came, in order of arrival."""
        return [
            event
            for delivery in self.deliveries
            for event in (delivery.body if isinstance(delivery.body, list) else [delivery.body])
        ]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a handshake or a delivery."""
        sent = await request.text()
        delivery = Delivery(request.method, dict(request.headers), json.loads(sent) if sent else None)
        if request.method == "OPTIONS" or request.headers.get("aeg-event-type") == "SubscriptionValidation":
            self.handshakes.append(delivery)
            if self.handshake == "slow once" and len(self.handshakes) == 1:
                await asyncio.sleep(30)
            return self._answer_handshake(delivery)
        if request.headers.get("aeg-event-type") == "SubscriptionDeletion":
            self.deletions.append(delivery)
            return web.Response()
        self.deliveries.append(delivery)
        self._arrived.set()
        if self.answer_seconds:
            await asyncio.sleep(self.answer_seconds)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0 and request.transport is not None:
            request.transport.abort()
        headers = {"Location": str(request.url)} if 300 <= status < 400 else None
        text = "the subscriber says why" if status >= 300 else None
        return web.Response(status=status or 500, text=text, headers=headers)

    def _answer_handshake(self, delivery: Delivery) -> web.Response:
        match self.handshake, delivery.method:
            case "code" | "slow once", _:
                return _agreement(delivery)
            case "manual", _:
                return web.Response()
            case "wrong", "OPTIONS":
                return web.Response(headers={"WebHook-Allowed-Origin": "example.com"})
            case "wrong", _:
                return web.json_response({"validationResponse": "something else"})
            case status, _:
                return _agreement(delivery, int(status))


def _agreement(delivery: Delivery, status: int = 200) -> web.Response:
    if delivery.method == "OPTIONS":
        origin = delivery.headers["WebHook-Request-Origin"]
        return web.Response(status=status, headers={"WebHook-Allowed-Origin": origin})
    return web.json_response({"validationResponse": delivery.body[0]["data"]["validationCode"]}, status=status)


@asynccontextmanager
async def subscriber(port: int = 0, **behaviour: Any) -> AsyncIterator[Subscriber]:
    """Run a subscriber."""
    made = Subscriber(**behaviour)
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/hook", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def emulator(topic: str = "acs", clock: Clock | None = None, **options: Any) -> AsyncIterator[EventGridEmulator]:
    """Run an emulator on a free port, with one system topic."""
    async with EventGridEmulator(EventGridOptions(port=0, **options), clock=clock or EmulatedClock()) as made:
        await made.create_topic(topic)
        yield made


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for up to ten seconds until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def settings(endpoint: str, name: str = "archive", **more: Any) -> SubscriptionSettings:
    """Return a subscription's settings."""
    return SubscriptionSettings(name=name, endpoint=endpoint, **more)


def event(identifier: str = "1", **more: Any) -> dict[str, Any]:
    """Return an event of the Event Grid schema."""
    return {
        "id": identifier,
        "subject": "/recording/call/c",
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "eventTime": "2024-05-06T07:08:09.1234567Z",
        "data": {"recordingDurationMs": 76440},
        "dataVersion": "1.0",
        **more,
    }
