"""What the host can be ordered to do, over ``/admin/local``: a drain of its instance, and faults.

===================================  =================================================================
``POST /admin/local/drain``          ``{"afterSeconds": 0 to 3, "replace": true}``, both optional; 202
``GET /admin/local/faults``          the faults that are ordered
``POST /admin/local/faults``         ``{"kind": "not-run" or "poison", "queue": "…", "times": 1}`` or
                                     ``{"kind": "timer", "function": "…"}``; 201
``DELETE /admin/local/faults/{id}``  takes one back; without an id, all; 204
===================================  =================================================================

A request that cannot be carried out is answered with 400 or 404 and ``{"message": "…"}``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.host.endings import SLOWEST, Drain, platform_seconds
from local.host.faults import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from local.host.faults import Fault, Faults
    from local.host.timers import TimerListener

PATH = "/admin/local"


class OrderError(Exception):
    """An order cannot be carried out; the message names the member and what it may be."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Orders:
    """Answers under ``/admin/local``, for a caller who has shown the master key.

    Parameters
    ----------
    faults
        Where ordered faults are kept.
    queues
        The queues that functions of the app are triggered by.
    timers
        The timers of the app by function name.
    drain
        Called with a drain that is ordered.
    """

    def __init__(
        self,
        faults: Faults,
        queues: Collection[str],
        timers: Mapping[str, TimerListener],
        drain: Callable[[Drain], None],
    ) -> None:
        self._faults = faults
        self._queues = queues
        self._timers = timers
        self._drain = drain

    async def answer(self, request: web.Request, parts: list[str]) -> web.Response:
        """Answer a request; `parts` are the segments of its path after ``/admin/local``."""
        try:
            if parts == ["drain"] and request.method == "POST":
                return self._order_drain(await _body(request))
            if parts[:1] == ["faults"] and len(parts) <= 2:
                return await self._answer_faults(request, parts[1:])
        except OrderError as exc:
            return web.json_response({"message": str(exc)}, status=exc.status)
        return web.Response(status=404)

    def _order_drain(self, body: dict[str, Any]) -> web.Response:
        drain = _drain(body)
        self._drain(drain)
        return web.json_response({"afterSeconds": drain.after, "replace": drain.replace}, status=202)

    async def _answer_faults(self, request: web.Request, ids: list[str]) -> web.Response:
        match request.method, ids:
            case "GET", []:
                return web.json_response([fault.as_json() for fault in self._faults])
            case "POST", []:
                return web.json_response(self._add(await _body(request)).as_json(), status=201)
            case "DELETE", _:
                self._clear(self._of_ids(ids) if ids else list(self._faults))
                return web.Response(status=204)
        return web.Response(status=405)

    def _add(self, body: dict[str, Any]) -> Fault:
        kinds = [kind.value for kind in Kind]
        if body.get("kind") not in kinds:
            raise OrderError(f'"kind" is one of {", ".join(kinds)}, not {json.dumps(body.get("kind"))}.')
        kind = Kind(body["kind"])
        if kind is Kind.TIMER:
            _only(body, "kind", "function")
            fault = self._faults.add(kind, _one_of(body, "function", self._timers, "timer function"), 0)
            self._timers[fault.target].suspend()
            return fault
        _only(body, "kind", "queue", "times")
        times = body.get("times", 1)
        if not isinstance(times, int) or isinstance(times, bool) or times < 0:
            raise OrderError(f'"times" is a whole number, 0 for all messages, not {json.dumps(times)}.')
        return self._faults.add(kind, _one_of(body, "queue", self._queues, "queue with a trigger"), times)

    def _of_ids(self, ids: list[str]) -> list[Fault]:
        found = [fault for fault in self._faults if str(fault.id) in ids]
        if not found:
            known = ", ".join(str(fault.id) for fault in self._faults) or "none"
            raise OrderError(f"There is no ordered fault with the id {ids[0]}; there are: {known}.", status=404)
        return found

    def _clear(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._faults.remove(fault)
            if fault.kind is Kind.TIMER and not self._faults.stops(fault.target):
                self._timers[fault.target].resume()


def _drain(body: dict[str, Any]) -> Drain:
    _only(body, "afterSeconds", "replace")
    after = body.get("afterSeconds")
    if after is None:
        after = platform_seconds()
    if not isinstance(after, (int, float)) or isinstance(after, bool) or not 0 <= after <= SLOWEST:
        raise OrderError(f'"afterSeconds" is a number from 0 to {SLOWEST:g}, not {json.dumps(after)}.')
    replace = body.get("replace", True)
    if not isinstance(replace, bool):
        raise OrderError(f'"replace" is true or false, not {json.dumps(replace)}.')
    return Drain(float(after), replace)


async def _body(request: web.Request) -> dict[str, Any]:
    text = await request.read()
    try:
        body = json.loads(text) if text.strip() else {}
    except ValueError as exc:
        raise OrderError(f"The body is not JSON: {exc}.") from exc
    if not isinstance(body, dict):
        raise OrderError("The body is not a JSON object.")
    return body


def _only(body: dict[str, Any], *members: str) -> None:
    for name in body:
        if name not in members:
            raise OrderError(f'"{name}" is not a member of this order; its members are {", ".join(members)}.')


def _one_of(body: dict[str, Any], member: str, known: Collection[str], what: str) -> str:
    name = body.get(member)
    if not isinstance(name, str) or name not in known:
        raise OrderError(
            f'"{member}" names a {what}, not {json.dumps(name)}; the app has: {", ".join(sorted(known)) or "none"}.'
        )
    return name
