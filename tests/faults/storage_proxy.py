"""Stands between the app and Azurite, and fails the requests that were ordered: before they are carried out, or after.

A request that was carried out and whose answer is lost is the nasty one: whoever sent it does not know, and asks again.
The signature of a request covers neither host nor port, so requests pass on as they are.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from local.azurite import ACCOUNT, KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}
_MESSAGE_TEXT = re.compile(rb"<MessageText>([^<]*)</MessageText>")
_MESSAGE = re.compile(rb"<MessageId>([^<]*)</MessageId>.*?<MessageText>([^<]*)</MessageText>", re.DOTALL)
_LARGEST = 128 * 1024 * 1024


class Operation(StrEnum):
    """What a request to storage does."""

    PUT_BLOB = "Put Blob"
    PUT_BLOCK = "Put Block"
    PUT_BLOCK_LIST = "Put Block List"
    GET_BLOB = "Get Blob"
    LOOK_AT_BLOB = "look at a blob"
    PUT_MESSAGE = "Put Message"
    GET_MESSAGES = "Get Messages"
    UPDATE_MESSAGE = "Update Message"
    DELETE_MESSAGE = "Delete Message"
    WRITE_ENTITY = "write of an entity"
    READ_ENTITIES = "read of entities"
    OTHER = "other"


class When(StrEnum):
    """Whether the request was carried out when it fails."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(slots=True, kw_only=True)
class StorageFault:
    """A fault that requests meet.

    Attributes
    ----------
    operation
        Which requests meet it.
    needle
        What their path, or their message's or entity's text, holds; empty for all.
    status
        What they are answered; None for a connection that is reset.
    when
        Whether they are carried out all the same.
    times
        How many meet it.
    passing
        How many of them pass before it begins.
    strike
        Called when one is met, before anything is answered.
    spoils
        Nothing fails, but the last byte of what is read is another.
    """

    operation: Operation
    needle: str = ""
    status: int | None = None
    when: When = When.BEFORE
    times: float = 1
    passing: int = 0
    strike: Callable[[], Awaitable[None]] | None = None
    spoils: bool = False
    hits: int = 0

    @property
    def kind(self) -> str:
        """What it is called in reports."""
        if self.spoils:
            return f"storage spoils {self.operation}"
        what = "killed" if self.strike else "reset" if self.status is None else str(self.status)
        return f"storage {what} {self.when} {self.operation}"

    def met_by(self, operation: Operation, text: str) -> bool:
        """Whether this request meets it; counts."""
        if operation is not self.operation or self.needle not in text or self.hits >= self.times:
            return False
        if self.passing > 0:
            self.passing -= 1
            return False
        self.hits += 1
        return True


class StorageProxy:
    """Listens in front of Azurite's three services; `async with` starts and stops it.

    Parameters
    ----------
    targets
        The ports of Azurite's services, on 127.0.0.1: blob, queue, table.

    Attributes
    ----------
    latency
        Seconds that each request of the blob service waits.
    bytes_per_second
        How fast bodies go to the blob service; None for no limit.
    answers
        How often each operation was answered with which status.
    requests
        How many requests came in.
    read
        When each blob was read first, by its path, on the clock of `time.monotonic`.
    on_request
        Called with that number at each request.
    """

    def __init__(self, targets: Mapping[str, int]) -> None:
        self._targets = targets
        self._faults: list[StorageFault] = []
        self._runners: list[web.AppRunner] = []
        self._ports: dict[str, int] = {}
        self._session: aiohttp.ClientSession | None = None
        self._messages: dict[str, str] = {}
        self.latency = 0.0
        self.bytes_per_second: float | None = None
        self.answers: Counter[tuple[Operation, int]] = Counter()
        self.requests = 0
        self.read: dict[str, float] = {}
        self.on_request: Callable[[int], None] | None = None

    @property
    def connection_string(self) -> str:
        """Connection string of the account behind it."""
        addresses = "".join(
            f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};"
            for service, port in self._ports.items()
        )
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{addresses}"

    @property
    def hits(self) -> Counter[str]:
        """How often each kind of fault was met."""
        return Counter({fault.kind: 0 for fault in self._faults}) + Counter(
            {kind: sum(f.hits for f in self._faults if f.kind == kind) for kind in {f.kind for f in self._faults}}
        )

    def order(self, fault: StorageFault) -> StorageFault:
        """Take a fault."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    async def __aenter__(self) -> Self:
        # Node closes a connection that was idle for 5 seconds: none must be used again just then.
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        for service in self._targets:
            app = web.Application(client_max_size=_LARGEST)
            app.router.add_route("*", "/{path:.*}", self._handler(service))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, auto_decompress=False)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._ports[service] = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def _handler(self, service: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests += 1
            if self.on_request is not None:
                self.on_request(self.requests)
            try:
                body = await request.read()
            except ConnectionError:  # who sent it was killed
                return web.Response()
            operation = _operation(service, request)
            if service == "blob":
                await self._slow_down(len(body))
            text = self._searchable(service, request, body)
            fault = next((fault for fault in self._faults if fault.met_by(operation, text)), None)
            if fault is None or fault.spoils:
                return await self._forward(service, operation, request, body, spoilt=fault is not None)
            if fault.when is When.AFTER:
                await self._forward(service, operation, request, body)
            if fault.strike is not None:
                await fault.strike()
            return self._failed(request, operation, None if fault.strike else fault.status)

        return handle

    def _searchable(self, service: str, request: web.Request, body: bytes) -> str:
        """Return the text in which a fault's needle is looked for."""
        path = unquote(request.raw_path)
        match service:
            case "blob":
                return path
            case "queue" if (message := _MESSAGE_TEXT.search(body)) is not None:
                return _decoded(message[1])
            case "queue":
                return self._messages.get(request.path.rpartition("/")[2], path)
            case _:
                return f"{path} {body.decode('utf-8', 'replace')}"

    async def _slow_down(self, length: int) -> None:
        seconds = self.latency + (length / self.bytes_per_second if self.bytes_per_second else 0)
        if seconds:
            await asyncio.sleep(seconds)

    async def _forward(
        self, service: str, operation: Operation, request: web.Request, body: bytes, *, spoilt: bool = False
    ) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("enter the proxy first")
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        try:
            async with self._session.request(
                request.method,
                URL(f"http://127.0.0.1:{self._targets[service]}{request.raw_path}", encoded=True),
                headers=headers,
                data=io.BytesIO(body) if body else None,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientError:
            return self._failed(request, operation, None)
        self.answers[operation, answer.status] += 1
        if operation is Operation.GET_BLOB and answer.ok and not spoilt:
            self.read.setdefault(request.path, time.monotonic())
        if operation is Operation.GET_MESSAGES:
            self._messages |= {found[1].decode(): _decoded(found[2]) for found in _MESSAGE.finditer(content)}
        passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        if request.method == "HEAD" and (length := answer.headers.get("Content-Length")):
            passed["Content-Length"] = length
        if spoilt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return web.Response(status=answer.status, headers=passed, body=content or None)

    def _failed(self, request: web.Request, operation: Operation, status: int | None) -> web.StreamResponse:
        if status is not None:
            self.answers[operation, status] += 1
            return web.Response(status=status, headers={"x-ms-error-code": _CODES.get(status, "InternalError")})
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


_CODES = {403: "AuthorizationFailure", 429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy"}


def _operation(service: str, request: web.Request) -> Operation:  # noqa: C901, PLR0911 - a table
    match service, request.method, request.query.get("comp"):
        case "blob", "PUT", "block":
            return Operation.PUT_BLOCK
        case "blob", "PUT", "blocklist":
            return Operation.PUT_BLOCK_LIST
        case "blob", "PUT", None if "restype" not in request.query:
            return Operation.PUT_BLOB
        case "blob", "GET", None if "restype" not in request.query:
            return Operation.GET_BLOB
        case "blob", "GET" | "HEAD", None | "blocklist" if "restype" not in request.query:
            return Operation.LOOK_AT_BLOB
        case "queue", "POST", _:
            return Operation.PUT_MESSAGE
        case "queue", "GET", None:
            return Operation.GET_MESSAGES
        case "queue", "PUT", None if "/messages/" in request.path:
            return Operation.UPDATE_MESSAGE
        case "queue", "DELETE", None if "/messages/" in request.path:
            return Operation.DELETE_MESSAGE
        case "table", "POST" | "PATCH" | "MERGE" | "PUT", _:
            return Operation.WRITE_ENTITY
        case "table", "GET", _:
            return Operation.READ_ENTITIES
        case _:
            return Operation.OTHER


def _decoded(message: bytes) -> str:
    try:
        return base64.b64decode(message).decode("utf-8", "replace")
    except binascii.Error:
        return message.decode("utf-8", "replace")
