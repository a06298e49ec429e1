"""What `recordings doctor` is tested with: the command as a process, storage that refuses, and Azure's answers."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.eventgrid.retries import EndpointType
from local.eventgrid.subscriptions import DeadLetterDestination, EventFilter, RetryPolicy, SubscriptionSettings
from local.provisioning import DEAD_LETTER_CONTAINER
from local.stack import EVENT_FUNCTION, SUBSCRIPTION, TOPIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from local.stack import Stack

EVENT_TYPE = "Microsoft.Communication.RecordingFileStatusUpdated"


@dataclass(frozen=True, slots=True)
class Run:
    """How the command ended."""

    code: int
    output: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--json` wrote."""
        shown: dict[str, Any] = json.loads(self.output)
        return shown

    def checks(self, status: str) -> dict[str, str]:
        """The checks that ended so: what was found, by id."""
        return {found["check"]: found["detail"] for found in self.report["checks"] if found["status"] == status}


async def recordings(*arguments: str, environment: Mapping[str, str] | None = None) -> Run:
    """Run the command `recordings`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *arguments),
        env={"PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1", "COLUMNS": "200", **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return Run(process.returncode or 0, output.decode(), errors.decode())


async def doctor(stack: Stack, *arguments: str, url: str | None = None, folder: Path | None = None) -> Run:
    """Examine the stack, or another host on it."""
    return await recordings(
        *("doctor", "--local", "--json", "--folder", str(folder or stack.options.folder)),
        *("--host-port", str(URL(url or stack.url).port), "--eventgrid-port", str(URL(stack.eventgrid.endpoint).port)),
        *("--blob-port", str(stack.azurite.ports[0])),
        *arguments,
    )


async def subscribe(
    stack: Stack,
    url: str | None = None,
    *,
    types: tuple[str, ...] = (EVENT_TYPE,),
    ttl_minutes: int = 120,
    dead_letters: str | None = DEAD_LETTER_CONTAINER,
) -> None:
    """Subscribe a host to the stack's events, in place of what is subscribed; `stack.subscribe()` puts it right."""
    keys = stack.keys
    await stack.eventgrid.create_subscription(
        TOPIC,
        SubscriptionSettings(
            name=SUBSCRIPTION,
            endpoint=(
                f"{url or stack.url}/runtime/webhooks/EventGrid?functionName={EVENT_FUNCTION}"
                f"&code={keys.event_grid_key}"
            ),
            endpoint_type=EndpointType.AZURE_FUNCTION,
            filter=EventFilter(included_event_types=types),
            retry_policy=RetryPolicy(event_time_to_live_in_minutes=ttl_minutes),
            dead_letter=None
            if dead_letters is None
            else DeadLetterDestination.model_validate({"connectionString": stack.storage, "container": dead_letters}),
        ),
    )


@asynccontextmanager
async def host_with(stack: Stack, **settings: str) -> AsyncIterator[str]:
    """Another Functions host on the stack with other settings, subscribed in place of the stack's; yields its URL."""
    host = await stack.add_host(settings=settings)
    try:
        await subscribe(stack, host.url)
        yield host.url
    finally:
        await stack.subscribe()
        await host.stop()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests of `method` whose path holds `path` are refused as Storage refuses."""

    method: str
    path: str
    status: int
    code: str


class StorageProxy:
    """Stands between the app and Azurite, and refuses some requests or answers with another time.

    `async with` starts and stops it.

    Attributes
    ----------
    refusals
        What is refused.
    clock_offset
        How far its clock is off.
    """

    def __init__(self, connection_string: str) -> None:
        self.refusals: list[Refusal] = []
        self.clock_offset = timedelta()
        self._parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
        self._session: aiohttp.ClientSession
        self._runners: list[web.AppRunner] = []
        self._endpoints: dict[str, str] = {}

    @property
    def connection_string(self) -> str:
        """Leads the app here."""
        return ";".join(f"{name}={value}" for name, value in {**self._parts, **self._endpoints}.items())

    async def __aenter__(self) -> StorageProxy:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        for name in ("BlobEndpoint", "QueueEndpoint", "TableEndpoint"):
            target = URL(self._parts[name])
            application = web.Application(client_max_size=1 << 26)
            application.router.add_route("*", "/{path:.*}", self._handler(target.origin()))
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._endpoints[name] = f"http://127.0.0.1:{runner.addresses[0][1]}{target.path}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._session.close()

    def _handler(self, target: URL) -> Any:
        async def answer(request: web.Request) -> web.Response:
            for refusal in self.refusals:
                if request.method == refusal.method and refusal.path in request.path:
                    return _refused(refusal)
            headers = CIMultiDict(request.headers)
            headers.popall("Host", None)
            url = URL(f"{target}{request.rel_url.raw_path_qs}", encoded=True)
            async with self._session.request(
                request.method,
                url,
                headers=headers,
                data=await request.read() or None,
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
            ) as response:
                answered = CIMultiDict(response.headers)
                for name in ("Transfer-Encoding", "Content-Length", "Connection"):
                    answered.popall(name, None)
                answered["Date"] = format_datetime(datetime.now(UTC) + self.clock_offset, usegmt=True)
                body = await response.read()
                if request.method == "HEAD":
                    answered["Content-Length"] = response.headers.get("Content-Length", "0")
                return web.Response(status=response.status, headers=answered, body=body)

        return answer


def _refused(refusal: Refusal) -> web.Response:
    headers = {"x-ms-error-code": refusal.code}
    if refusal.path == "/diagnostics":  # tables answer in OData's way
        error = {"odata.error": {"code": refusal.code, "message": {"lang": "en-US", "value": "no"}}}
        return web.json_response(error, status=refusal.status, headers=headers)
    body = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{refusal.code}</Code><Message>no</Message></Error>"
    return web.Response(status=refusal.status, headers=headers, body=body.encode(), content_type="application/xml")
