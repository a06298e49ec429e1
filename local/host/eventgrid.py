"""The Event Grid webhook, ``/runtime/webhooks/EventGrid?functionName=…&code=…``.

Both handshakes, notifications in both schemas and in batches. Behaviour as in the Event Grid extension of the Azure
WebJobs SDK and, for OPTIONS, the HTTP 1.1 webhook specification of CloudEvents, section 4.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.host.http_trigger import presented_key
from local.host.keys import EVENT_GRID_KEY
from local.host.protocol import TypedData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.host.functions import Function
    from local.host.invocations import Invoker
    from local.host.keys import Keys
    from local.host.worker import Outcome

PATH = "/runtime/webhooks/eventgrid"
_log = logging.getLogger("host.eventgrid")


class EventGridWebhook:
    """Answers Event Grid's requests.

    Parameters
    ----------
    functions
        Those with an Event Grid trigger that are not disabled.
    keys
        What opens the webhook; None where keys are not asked for.
    invoker
        Runs them.
    """

    def __init__(self, functions: Iterable[Function], keys: Keys | None, invoker: Invoker) -> None:
        # The real host looks names up as they are written; case matters.
        self._functions = {function.name: function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a handshake or a delivery.

        401 for a wrong system key, 404 for a function that is not there, 400 for what is neither; a delivery is 202
        when all its functions succeeded and 500 with the exception's message when one failed.
        """
        if self._keys is not None and not self._keys.opens_extension(presented_key(request), EVENT_GRID_KEY):
            return web.Response(status=401)
        name = request.query.get("functionName", "")
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(self._functions)
            _log.info("cannot find function: '%s', available function names: [%s]", name, known)
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            return _allow(request)
        if request.method != "POST":
            return web.Response(status=400)
        return await self._post(request, function)

    async def _post(self, request: web.Request, function: Function) -> web.Response:
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "unsubscribe":
            return web.Response(status=202)
        if kind not in ("subscriptionvalidation", "notification"):
            return web.Response(status=400, text="the header aeg-event-type is missing or unknown")
        try:
            events = _events(await request.read())
            if kind == "subscriptionvalidation":
                return _validate(events, function.name)
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            return web.Response(status=400, text=f"the request holds no events that can be read: {exc}")
        outcomes = await asyncio.gather(*(self._run(function, event) for event in events))
        for outcome in outcomes:
            if outcome.error is not None:
                return web.Response(status=500, text=outcome.error)
        return web.Response(status=202)

    async def _run(self, function: Function, event: dict[str, Any]) -> Outcome:
        return await self._invoker.run(
            function,
            TypedData(json=json.dumps(event)),
            reason=f"EventGrid trigger fired at {datetime.now(UTC).isoformat()}",
            metadata={"data": TypedData(json=json.dumps(event.get("data")))},
        )


def _allow(request: web.Request) -> web.Response:
    origin = request.headers.get("WebHook-Request-Origin")
    if not origin:
        return web.Response(status=400, text="the header WebHook-Request-Origin is missing")
    rate = request.headers.get("WebHook-Request-Rate", "*")
    headers = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": rate, "Allow": "POST"}
    return web.Response(status=200, headers=headers)


def _events(body: bytes) -> list[dict[str, Any]]:
    parsed = json.loads(body.decode("utf-8-sig"))
    events = parsed if isinstance(parsed, list) else [parsed]
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("an event is a JSON object")
    return events


def _validate(events: list[dict[str, Any]], function: str) -> web.Response:
    data = events[0]["data"]
    if isinstance(data, str):
        # A subscription in CloudEvents form sends its data as JSON in a text.
        data = json.loads(data)
    _log.info("perform handshake with eventGrid for function: %s", function)
    return web.json_response({"validationResponse": str(data["validationCode"])})
