"""The host's own routes: ``/admin/functions``, ``/admin/local`` and the page at ``/``."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.host import functions as kinds
from local.host.http_trigger import presented_key
from local.host.protocol import TypedData
from local.host.timers import trigger_data

if TYPE_CHECKING:
    from local.host.functions import Function
    from local.host.invocations import Invoker
    from local.host.keys import Keys
    from local.host.orders import Orders

_HOME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Functions host</title></head>
<body><h1>The function app is running</h1>
<p>This is the local Functions host. Its functions are listed at <code>/admin/functions</code>.</p></body></html>
"""


class Admin:
    """Answers under ``/admin`` and at ``/``.

    Parameters
    ----------
    functions
        All functions of the app.
    prefix
        host.json's routePrefix.
    keys
        The master key among them opens ``/admin``; None where keys are not asked for.
    invoker
        Runs functions on demand.
    orders
        Answers under ``/admin/local``.
    base_url
        Where callers reach the host.
    """

    def __init__(  # noqa: PLR0917 - each is a part of the host
        self,
        functions: list[Function],
        prefix: str,
        keys: Keys | None,
        invoker: Invoker,
        orders: Orders,
        base_url: str,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._prefix = prefix
        self._keys = keys
        self._invoker = invoker
        self._orders = orders
        self._base_url = base_url
        self._started: set[asyncio.Task[object]] = set()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request: 401 without the master key, 404 for what is not there."""
        parts = [part for part in request.path.split("/") if part]
        if not parts:
            return web.Response(text=_HOME, content_type="text/html")
        if self._keys is not None and not self._keys.opens_everything(presented_key(request)):
            return web.Response(status=401)
        match [parts[0].lower(), *(part.lower() for part in parts[1:])], request.method:
            case ["admin", "local", *rest], _:
                return await self._orders.answer(request, rest)
            case ["admin", "functions"], "GET":
                return web.json_response([self._describe(function) for function in self._functions.values()])
            case ["admin", "functions", name], ("GET" | "POST") as method if name in self._functions:
                function = self._functions[name]
                return (
                    web.json_response(self._describe(function))
                    if method == "GET"
                    else await self._run(request, function)
                )
            case _:
                return web.Response(status=404)

    def _describe(self, function: Function) -> dict[str, Any]:
        http = function.kind == kinds.HTTP
        return {
            "name": function.name,
            "href": f"{self._base_url}/admin/functions/{function.name}",
            "invoke_url_template": f"{self._base_url}/{function.route(self._prefix)}" if http else None,
            "language": "python",
            "isDisabled": function.disabled,
            "isDirect": http,
            "config": {"name": function.name, "language": "python", "bindings": function.bindings},
        }

    async def _run(self, request: web.Request, function: Function) -> web.Response:
        """Start a function that is not HTTP with the given input; the answer does not wait for it."""
        if function.kind == kinds.HTTP:
            url = f"{self._base_url}/{function.route(self._prefix)}"
            return web.json_response({"message": f"'{function.name}' is an HTTP function: call {url}"}, status=400)
        try:
            data = _input(function, await request.read())
            metadata = _metadata(function)
        except (ValueError, TypeError, AttributeError) as exc:
            message = (
                f'The body is {{"input": "…"}}, for an Event Grid function with the event as JSON in a text: {exc}'
            )
            return web.json_response({"message": message}, status=400)
        task = asyncio.create_task(self._invoker.run(function, data, metadata=metadata))
        self._started.add(task)
        task.add_done_callback(self._started.discard)
        return web.Response(status=202)


def _metadata(function: Function) -> dict[str, TypedData]:
    """Make up a queue message's properties, for a queue function that runs without a message."""
    if function.kind != kinds.QUEUE:
        return {}
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "Id": str(uuid.uuid4()),
        "DequeueCount": 1,
        "PopReceipt": "",
        "InsertionTime": now.isoformat(),
        "ExpirationTime": (now + timedelta(days=7)).isoformat(),
        "NextVisibleTime": now.isoformat(),
    }
    return {name: TypedData(json=json.dumps(value)) for name, value in values.items()}


def _input(function: Function, body: bytes) -> TypedData:
    """Make a trigger's value of ``{"input": …}``."""
    given = json.loads(body).get("input") if body.strip() else None
    match function.kind:
        case kinds.TIMER:
            return trigger_data(datetime.now(UTC), None, past_due=False)
        case kinds.EVENT_GRID:
            event = json.loads(given) if isinstance(given, str) else given
            if not isinstance(event, dict):
                raise TypeError("there is no event in it")
            return TypedData(json=json.dumps(event))
        case _:
            return TypedData(string=given if isinstance(given, str) else json.dumps(given))
