"""A subscriber to the archive's own events: a webhook for the stack's topic."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.eventgrid.schemas import EventSchema
from local.eventgrid.subscriptions import SubscriptionSettings
from local.stack import ARCHIVE_TOPIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from local.stack import Stack


class Listener:
    """The received events, as CloudEvents in the order of arrival.

    Attributes
    ----------
    events
        Each once, by its id.
    deliveries
        The repeated ones too.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []
        self._arrived = asyncio.Condition()

    async def heard(self, wanted: Callable[[dict[str, Any]], bool], *, within: float = 30) -> dict[str, Any]:
        """Return the first event that is wanted; raises TimeoutError when none came `within` seconds."""

        def find() -> dict[str, Any] | None:
            return next(filter(wanted, self.events), None)

        async with asyncio.timeout(within), self._arrived:
            return await self._arrived.wait_for(find) or {}

    async def take(self, request: web.Request) -> web.Response:
        """Answer a handshake or a delivery."""
        if request.method == "OPTIONS":
            return web.Response(headers={"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]})
        event = await request.json()
        async with self._arrived:
            self.deliveries.append(event)
            if event["id"] not in {known["id"] for known in self.events}:
                self.events.append(event)
            self._arrived.notify_all()
        return web.Response()


@asynccontextmanager
async def listening(stack: Stack, name: str = "listener") -> AsyncIterator[Listener]:
    """Receive the archive's events while the body runs."""
    listener = Listener()
    app = web.Application()
    app.router.add_route("*", "/events", listener.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await stack.eventgrid.create_subscription(
            ARCHIVE_TOPIC,
            SubscriptionSettings(
                name=name,
                endpoint=f"http://127.0.0.1:{runner.addresses[0][1]}/events",
                event_delivery_schema=EventSchema.CLOUD_EVENTS,
            ),
        )
        try:
            yield listener
        finally:
            await stack.eventgrid.delete_subscription(ARCHIVE_TOPIC, name)
    finally:
        await runner.cleanup()
