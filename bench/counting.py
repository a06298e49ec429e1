"""A proxy in front of the storage emulator that counts what the app asks of it, by kind of request."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from local import ports
from local.azurite import ACCOUNT, KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_QUEUE_TRIGGER = re.compile(r"^(GET messages|(DELETE|PUT) messages/\*)$")
_PLAIN_ARCHIVE = (
    (re.compile(r"^calls/"), "calls/*"),
    (re.compile(r"/events/[^/]+$"), "events/*"),
    (re.compile(r"/manifest\.json$"), "manifest.json"),
    (re.compile(r"/\d{4}\.metadata\.json$"), "0000.metadata.json"),
    (re.compile(r"/\d{4}\.\w+$"), "media"),
    (re.compile(r"^attention/"), "attention/*"),
)


class Counting:
    """What was asked for.

    Attributes
    ----------
    connection_string
        Leads through the proxy.
    asked
        Requests by service and kind, such as ``blob PUT manifest.json``.
    """

    def __init__(self, connection_string: str) -> None:
        self.connection_string = connection_string
        self.asked: Counter[str] = Counter()

    @property
    def of_the_app(self) -> Counter[str]:
        """All but what the queue trigger does to fetch, renew and delete messages."""
        return Counter({kind: count for kind, count in self.asked.items() if not kind.startswith("trigger ")})


@contextlib.asynccontextmanager
async def counting(blob: int, queue: int, table: int) -> AsyncIterator[Counting]:
    """Run a proxy for each service of an Azurite on 127.0.0.1, given by their ports."""
    services = {"blob": blob, "queue": queue, "table": table}
    own = {service: ports.free_port() for service in services}
    parts = "".join(
        f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};" for service, port in own.items()
    )
    count = Counting(f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{parts}")
    async with contextlib.AsyncExitStack() as exits:
        session = await exits.enter_async_context(
            aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        )
        for service, port in services.items():
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{path:.*}", _Forward(service, port, session, count.asked).answer)
            runner = web.AppRunner(app, access_log=None, auto_decompress=False)
            await runner.setup()
            exits.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", own[service]).start()
        yield count


class _Forward:
    def __init__(self, service: str, port: int, session: aiohttp.ClientSession, asked: Counter[str]) -> None:
        self._service = service
        self._port = port
        self._session = session
        self._asked = asked

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on as it is; signatures do not cover the port."""
        self._asked[_kind(self._service, request)] += 1
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        # As it came, to the letter: both the path and Content-Type are signed.
        url = URL(f"http://127.0.0.1:{self._port}{request.raw_path}", encoded=True)
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, skip_auto_headers=_AUTOMATIC, allow_redirects=False
        ) as answer:
            content = await answer.read()
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            response = web.Response(status=answer.status, body=content)
            for name, value in kept:
                if name.lower() != "content-length" or request.method == "HEAD":
                    response.headers[name] = value
            return response


def _kind(service: str, request: web.Request) -> str:
    path = request.path.removeprefix(f"/{ACCOUNT}/")
    comp = request.query.get("comp")
    what = f" comp={comp}" if comp else ""
    match service:
        case "blob":
            _, _, blob = path.partition("/")
            name = next((short for pattern, short in _PLAIN_ARCHIVE if pattern.search(blob)), blob or "container")
            return f"blob {request.method} {name}{what}"
        case "queue":
            _, _, rest = path.partition("/")
            request_name = f"{request.method} {re.sub(r'^messages/.+', 'messages/*', rest) or 'queue'}"
            return f"trigger {request_name}" if _QUEUE_TRIGGER.match(request_name) else f"queue {request_name}{what}"
        case _:
            return f"table {request.method} {re.sub(r'\(.*', '(…)', path)}"
