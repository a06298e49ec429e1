"""Media and metadata under `/v1/objects/{documentId}`, on both origins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from local.acs.bodies import Body
from local.acs.faults import FaultKind, FaultOrder, Faults, Mischief, Target
from local.acs.gate import RECORD, Gate, service_error
from local.acs.ranges import UnsatisfiableRangeError, parse_range
from local.acs.transmission import Manner, reset_connection, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.acs.recordings import Chunk
    from local.acs.service import RecordingService

HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>Service</title></head>"
    "<body><h1>Our services aren't available right now</h1></body></html>"
)
#: Query that addresses on the second origin carry. It is part of what is signed: an old signature does not fit there.
SECOND_QUERY = "region=second"

_STALL_UNTIL_CLIENT_LEAVES = 24 * 3600.0


def mischievous_answer(request: web.Request, order: FaultOrder) -> web.StreamResponse | None:
    """Return the answer for a fault that needs no body, None for one that does."""
    retry = {} if order.retry_after is None else {"Retry-After": str(order.retry_after)}
    match order.kind:
        case FaultKind.STATUS:
            status = order.status or 503
            response: web.Response = service_error(status, str(status), "The service cannot answer now.")
            response.headers.update(retry)
            return response
        case FaultKind.HTML:
            return web.Response(status=order.status or 200, text=HTML_PAGE, content_type="text/html", headers=retry)
        case FaultKind.RESET if not order.after_bytes:
            reset_connection(request)
            return web.Response(status=500)
        case FaultKind.REDIRECT if order.location is not None:
            return web.Response(status=order.status or 302, headers={"Location": order.location})
        case _:
            return None


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

        async def content(request: web.Request) -> web.StreamResponse:
            return await self._get(request, Target.CONTENT, second=second)

        async def metadata(request: web.Request) -> web.StreamResponse:
            return await self._get(request, Target.METADATA, second=second)

        async def delete(request: web.Request) -> web.StreamResponse:
            return await self._delete(request, second=second)

        app.router.add_get("/v1/objects/{document_id}/content/video", content)
        app.router.add_get("/v1/objects/{document_id}/content/acsmetadata", metadata)
        app.router.add_delete("/v1/objects/{document_id}", delete)

    async def _get(self, request: web.Request, target: Target, *, second: bool) -> web.StreamResponse:
        options = self._service.options
        mischief, answer = await self._before(request, target, options.latency)
        if answer is not None:
            return answer
        chunk = self._chunk(request)
        if chunk is None:
            return _missing()
        order = mischief.main
        redirected = order is not None and order.kind is FaultKind.REDIRECT
        if not second and (redirected or (options.redirect_content and target is Target.CONTENT)):
            return self._to_second_origin(request, order)
        body = chunk.content if target is Target.CONTENT else Body.of_bytes(chunk.metadata)
        return await self._send(request, body, mischief)

    async def _send(self, request: web.Request, body: Body, mischief: Mischief) -> web.StreamResponse:
        options = self._service.options
        order = mischief.main
        if order is not None and order.kind is FaultKind.EMPTY:
            body = Body(())
        whole = options.ignore_range or FaultKind.IGNORE_RANGE in mischief.modifiers or body.length == 0
        headers = {"Content-Type": "application/octet-stream"}
        try:
            wanted = None if whole else parse_range(request.headers.get("Range"), body.length)
        except UnsatisfiableRangeError:
            return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{body.length}"})
        status = 200
        labelled = FaultKind.RANGE_200 in mischief.modifiers
        if wanted is not None or labelled:
            start, stop = wanted or (0, body.length)
            wrong_total = order is not None and order.kind is FaultKind.WRONG_TOTAL
            total = body.length + (order.delta or 0 if wrong_total and order is not None else 0)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
            status = 200 if labelled else 206
            body = body.part(start, stop)
        elif order is not None and order.kind is FaultKind.WRONG_TOTAL:
            headers["Content-Range"] = f"bytes 0-{body.length - 1}/{body.length + (order.delta or 0)}"
        response = web.StreamResponse(status=status, headers=headers)
        request[RECORD].status = status
        return await send(request, response, body, self._manner(mischief))

    def _manner(self, mischief: Mischief) -> Manner:
        slow = mischief.modifiers.get(FaultKind.RATE)
        rate = self._service.options.rate if slow is None else slow.bytes_per_second
        order = mischief.main
        match order.kind if order else None:
            case FaultKind.CUT:
                return Manner(rate, stop_after=order.after_bytes if order else None)
            case FaultKind.RESET:
                return Manner(rate, stop_after=order.after_bytes if order else None, reset=True)
            case FaultKind.STALL if order is not None:
                after = order.after_bytes or 0
                if order.stall_seconds is None:
                    return Manner(rate, stop_after=after, stall=_STALL_UNTIL_CLIENT_LEAVES)
                return Manner(rate, stop_after=after, stall=order.stall_seconds, resume=True)
            case FaultKind.WRONG_LENGTH if order is not None:
                return Manner(rate, length_delta=order.delta or 0)
            case _:
                return Manner(rate)

    def _to_second_origin(self, request: web.Request, order: FaultOrder | None) -> web.Response:
        status = 302 if order is None or order.status is None else order.status
        location = f"{self._second_origin()}{request.path}?{SECOND_QUERY}"
        return web.Response(status=status, headers={"Location": location})

    async def _delete(self, request: web.Request, *, second: bool) -> web.StreamResponse:
        mischief, answer = await self._before(request, Target.DELETE, 0.0)
        order = mischief.main
        chunk = self._chunk(request)
        if answer is not None:
            if chunk is not None and order is not None and order.carried_out:
                chunk.deleted = True
            return answer
        if not second and order is not None and order.kind is FaultKind.REDIRECT:
            return self._to_second_origin(request, order)
        if chunk is None:
            return _missing()
        chunk.deleted = True
        return web.Response(status=200)

    async def _before(
        self, request: web.Request, target: Target, latency: float
    ) -> tuple[Mischief, web.StreamResponse | None]:
        """Check the signature and meet the faults; the second value is the answer where that decides it.

        Requests that are not signed meet no fault, so that a stranger does not use up what was ordered.
        """
        record = request[RECORD]
        record.target, record.document_id = target, request.match_info["document_id"]
        if (refusal := await self._refuse(request)) is not None:
            return Mischief(), refusal
        mischief = record.met(self._faults.meet(target, record.document_id))
        await asyncio.sleep(mischief.latency(latency))
        return mischief, None if mischief.main is None else mischievous_answer(request, mischief.main)

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
        if host not in known:
            # A bearer token passes all the same: nothing of it depends on a host.
            problem = "x-ms-host is missing." if named is None else f"x-ms-host {named} is not the resource's host."
            return await self._gate.refuse_unsigned(request, frozenset(), no_host=problem)
        # The SDK leaves the port out of x-ms-host and signs with it; both are taken.
        name = host.rpartition(":")[0] if ":" in host else host
        same = {other for other in known if other in (host, name) or other.startswith(f"{name}:")}
        return await self._gate.refuse_unsigned(request, same)


def _missing() -> web.Response:
    return service_error(404, "NotFound", "The object does not exist.")
