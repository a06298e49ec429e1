"""How a publisher is answered when it meets an ordered fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from local.eventgrid.errors import EventGridError
from local.eventgrid.faults import FaultKind

if TYPE_CHECKING:
    from local.eventgrid.faults import FaultOrder

_LOOK_AGAIN = 0.05  # real seconds between two looks whether a stalled publisher is still there


async def answer(request: web.Request, order: FaultOrder) -> web.Response:
    """Answer a publisher as the fault wants it."""
    match order.kind:
        case FaultKind.STATUS:
            status = order.status or 503
            retry = {} if order.retry_after is None else {"Retry-After": str(order.retry_after)}
            error = EventGridError(
                "The topic cannot take events now: a fault was ordered.", status=status, code="Fault"
            )
            return web.json_response(error.body(), status=status, headers=retry)
        case FaultKind.RESET:
            if request.transport is not None:
                request.transport.abort()
        case FaultKind.STALL:
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - none says so
                await asyncio.sleep(_LOOK_AGAIN)
        case FaultKind.LATENCY:
            await asyncio.sleep(order.latency_seconds or 0)
    return web.Response()
