"""The Event Grid emulator: the service behind an HTTP server, for publishers and tests."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

from local.eventgrid.dead_letters import DeadLetterStore
from local.eventgrid.delivery import DeliveryParts
from local.eventgrid.destinations import Destinations
from local.eventgrid.errors import StartError
from local.eventgrid.server import build_app
from local.eventgrid.service import EventGridService

if TYPE_CHECKING:
    import random
    from types import TracebackType

    from local.eventgrid.clock import Clock
    from local.eventgrid.options import EventGridOptions


class EventGridEmulator(EventGridService):
    """Event Grid on one machine.

    Use it as an async context manager; it listens from entry to exit.

    Parameters
    ----------
    options
        See `EventGridOptions`.
    clock
        Emulated time for retries, time to live and dead letters; may be shared with other emulators.
    randomness
        Source of jitter and shuffling, replaceable for repeatable tests.
    """

    def __init__(
        self,
        options: EventGridOptions | None = None,
        *,
        clock: Clock | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        super().__init__(options, clock=clock, randomness=randomness)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises
        ------
        StartError
            If the port is taken or the host is not an address of this machine.
        """
        self._runner = web.AppRunner(build_app(self), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.options.host, self.options.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise _cannot_listen(self.options, error) from error
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        self._parts = DeliveryParts(
            clock=self.clock,
            options=self.options,
            destinations=Destinations(self._session, self.options),
            dead_letters=DeadLetterStore(),
            randomness=self._randomness,
            on_settled=self._on_settled,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and delivering."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self.stop()
        if self._session is not None:
            await self._session.close()


def _cannot_listen(options: EventGridOptions, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"Port {options.port} on {options.host} is taken: stop what listens there, or choose another with --port."
        )
    return StartError(f"The Event Grid emulator cannot listen on {options.host}:{options.port}: {error.strerror}.")
