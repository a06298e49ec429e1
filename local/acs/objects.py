"""Media and metadata under `/v1/objects/{documentId}`, on both origins."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from local.acs.answers import UNTIL_CLIENT_LEAVES, broken_answer
from local.acs.bodies import Body
from local.acs.documents import METADATA_NAME
from local.acs.faults import FaultKind, Framing, Target
from local.acs.gate import HINT, RECORD, Gate
from local.acs.ordered import MetFaults
from local.acs.ranges import UnsatisfiableRangeError, parse_range
from local.acs.transmission import Manner, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.acs.documents import Chunk
    from local.acs.faults import FaultOrder
    from local.acs.ordered import Faults
    from local.acs.service import RecordingService

_CACHE_CONTROL = "no-cache, max-age=0, s-maxage=0, private"


class ObjectRoutes:
    """Serves stored objects.

    Parameters
    ----------
    hosts
        Names of the resource that a signature may have been made for.
    second_origin
        Where redirects lead; a function, since its port is known late.
    """

    def __init__(
        self,
        service: RecordingService,
        gate: Gate,
        faults: Faults,
        hosts: Callable[[], frozenset[str]],
        second_origin: Callable[[], str],
    ) -> None:
        self._service = service
        self._gate = gate
        self._faults = faults
        self._hosts = hosts
        self._second_origin = second_origin

    def add_to(self, app: web.Application, *, second: bool = False) -> None:
        """Add the routes to an application."""

        async def get(request: web.Request) -> web.StreamResponse:
            return await self._get(request, second=second)

        async def delete(request: web.Request) -> web.StreamResponse:
            return await self._delete(request, second=second)

        app.router.add_get("/v1/objects/{document_id}/content/{name}", get)
        app.router.add_delete("/v1/objects/{document_id}", delete)

    async def _get(self, request: web.Request, *, second: bool) -> web.StreamResponse:
        options = self._service.options
        name = request.match_info["name"]
        target = Target.METADATA if name == METADATA_NAME else Target.CONTENT
        met, answer = await self._before(request, target, options.latency)
        if answer is not None:
            return answer
        chunk = self._chunk(request)
        if chunk is None or name not in (METADATA_NAME, chunk.name):
            return _missing(request)
        order = met.main
        redirected = order is not None and order.kind is FaultKind.REDIRECT
        if not second and (redirected or options.redirect_content):
            return self._to_second_origin(request, order)
        body = chunk.content if target is Target.CONTENT else Body.of_bytes(chunk.metadata)
        return await self._send(request, body, chunk.available, met)

    async def _send(self, request: web.Request, body: Body, stored: int, met: MetFaults) -> web.StreamResponse:
        body = _as_ordered(body, met)
        size = body.length
        ignored = self._service.options.ignore_range or FaultKind.IGNORE_RANGE in met.modifiers or size == 0
        headers = {"Content-Type": "application/octet-stream", "Cache-Control": _CACHE_CONTROL}
        try:
            wanted = None if ignored else parse_range(request.headers.get("Range"), size)
        except UnsatisfiableRangeError:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Last-Modified"] = format_datetime(datetime.fromtimestamp(stored // 1000, UTC), usegmt=True)
        start, stop = wanted or (0, size)
        order = met.main
        total = size + (order.delta or 0 if order is not None and order.kind is FaultKind.WRONG_TOTAL else 0)
        if not ignored:
            # The service says which bytes they are even where all were asked for.
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        status = 200 if wanted is None or FaultKind.RANGE_200 in met.modifiers else 206
        if status == 206:
            headers["Accept-Ranges"] = "bytes"
        response = web.StreamResponse(status=status, headers=headers)
        request[RECORD].status = status
        return await send(request, response, body.part(start, stop), self._manner(met))

    def _manner(self, met: MetFaults) -> Manner:
        slow = met.modifiers.get(FaultKind.RATE)
        rate = self._service.options.rate if slow is None else slow.bytes_per_second
        order = met.main
        match order.kind if order else None:
            case (FaultKind.CUT | FaultKind.RESET) as kind if order is not None:
                return Manner(rate, stop_after=order.after_bytes, reset=kind is FaultKind.RESET)
            case FaultKind.STALL if order is not None:
                after = order.after_bytes or 0
                if order.stall_seconds is None:
                    return Manner(rate, stop_after=after, stall=UNTIL_CLIENT_LEAVES)
                return Manner(rate, stop_after=after, stall=order.stall_seconds, resume=True)
            case FaultKind.SHORT if order is not None:
                return Manner(rate, stop_after=order.after_bytes, framing=order.framing or Framing.CHUNKED)
            case FaultKind.WRONG_LENGTH if order is not None:
                return Manner(rate, length_delta=order.delta or 0)
            case _:
                return Manner(rate)

    def _to_second_origin(self, request: web.Request, order: FaultOrder | None) -> web.Response:
        status = 302 if order is None or order.status is None else order.status
        location = f"{self._second_origin()}{request.raw_path}"
        return web.Response(status=status, headers={"Location": location, "Cache-Control": _CACHE_CONTROL})

    async def _delete(self, request: web.Request, *, second: bool) -> web.StreamResponse:
        met, answer = await self._before(request, Target.DELETE, 0.0)
        if answer is not None:
            return answer
        order = met.main
        chunk = self._chunk(request)
        if not second and order is not None and order.kind is FaultKind.REDIRECT:
            return self._to_second_origin(request, order)
        if chunk is None:
            return web.Response(status=404)
        chunk.deleted = True
        return web.Response(status=200)

    async def _before(
        self, request: web.Request, target: Target, latency: float
    ) -> tuple[MetFaults, web.StreamResponse | None]:
        """Check the signature and meet the faults; the second value is the answer where that decides it.

        Requests that are not signed meet no fault and so use up none.
        """
        record = request[RECORD]
        record.target, record.document_id = target, request.match_info["document_id"]
        if (refusal := await self._refuse(request)) is not None:
            return MetFaults(), refusal
        met = record.met(self._faults.meet(target, record.document_id))
        await asyncio.sleep(met.latency(latency))
        order = met.main
        if order is None:
            return met, None
        if order.carried_out and target is Target.DELETE and (chunk := self._chunk(request)) is not None:
            chunk.deleted = True
        return met, await broken_answer(request, order)

    def _chunk(self, request: web.Request) -> Chunk | None:
        chunk = self._service.recordings.stored(request.match_info["document_id"])
        gone = chunk is None or chunk.deleted or self._service.now() >= chunk.expires
        return None if gone else chunk

    async def _refuse(self, request: web.Request) -> web.Response | None:
        """Return the 401 for a request that is not signed for the resource itself.

        The signed host is the resource's, named in `x-ms-host`, whatever origin serves the object.
        """
        named = request.headers.get("x-ms-host")
        known = self._hosts()
        host = (named or "").strip().lower()
        no_host = ""
        if host in known:
            # The SDK leaves the port out of x-ms-host and signs with it; both are taken.
            name = host.rpartition(":")[0] if ":" in host else host
            hosts = frozenset(other for other in known if other in (host, name) or other.startswith(f"{name}:"))
        else:
            # A bearer token passes all the same: nothing of it depends on a host.
            hosts = frozenset()
            no_host = "x-ms-host is missing." if named is None else f"x-ms-host {named} is not the resource's host."
        problem = await self._gate.signature_problem(request, hosts, no_host=no_host)
        return None if problem is None else web.Response(status=401, headers={HINT: problem})


def _as_ordered(body: Body, met: MetFaults) -> Body:
    """Return the file as the service has it now: nothing yet, or only its beginning, where that was ordered."""
    order = met.main
    match order.kind if order else None:
        case FaultKind.EMPTY:
            return Body(())
        case FaultKind.GROW if order is not None:
            return body.part(0, (order.after_bytes or 0) + (order.delta or 0) * met.hit)
        case _:
            return body


def _missing(request: web.Request) -> web.Response:
    document_id = request.match_info["document_id"]
    trace_id = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    problem = {
        "title": "The document not found.",
        "status": 404,
        "detail": (
            f"The document identified by '{document_id}' was not found because it does not exist "
            "or it is already deleted."
        ),
        "instance": f"/microsoft/ic3/ams/emulated/trace-id/{trace_id}",
        "message": "The document not found.",
        "traceId": trace_id,
    }
    return web.json_response(problem, status=404)
