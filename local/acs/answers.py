"""Answers that a fault puts in place of the true one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from local.acs.faults import Encoding, FaultKind, FaultOrder
from local.acs.gate import service_error
from local.acs.transmission import close_connection, reset_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>Service</title></head>"
    "<body><h1>Our services aren't available right now</h1></body></html>"
)
#: Longer than any client waits.
UNTIL_CLIENT_LEAVES = 24 * 3600.0


async def broken_answer(request: web.Request, order: FaultOrder) -> web.StreamResponse | None:
    """Return the answer for a fault that needs no file, None for one that does."""
    match order.kind:
        case FaultKind.STATUS | FaultKind.JSON_ERROR:
            otherwise = 200 if order.kind is FaultKind.JSON_ERROR else 503
            status = order.status or otherwise
            code, message = order.code or str(status), order.message or "The service cannot answer now."
            response = service_error(status, code, message)
            response.headers.update(_retry_after(order))
            return response
        case FaultKind.HTML:
            return _page(order)
        case FaultKind.HANG | FaultKind.CLOSE:
            if order.kind is FaultKind.HANG:
                await asyncio.sleep(UNTIL_CLIENT_LEAVES if order.stall_seconds is None else order.stall_seconds)
            close_connection(request)
            return web.Response(status=500)
        case FaultKind.RESET if not order.after_bytes:
            reset_connection(request)
            return web.Response(status=500)
        case FaultKind.REDIRECT if order.location is not None:
            return web.Response(status=order.status or 302, headers={"Location": order.location})
        case _:
            return None


def _page(order: FaultOrder) -> web.Response:
    encoding = order.encoding or Encoding.UTF_8
    content_type = order.content_type or f"text/html; charset={encoding}"
    headers = {"Content-Type": content_type, **_retry_after(order)}
    return web.Response(status=order.status or 200, body=HTML_PAGE.encode(encoding), headers=headers)


def _retry_after(order: FaultOrder) -> Mapping[str, str]:
    if order.retry_after is None:
        return {}
    if order.retry_after_as_date and isinstance(order.retry_after, int):
        moment = datetime.now(UTC) + timedelta(seconds=order.retry_after)
        return {"Retry-After": format_datetime(moment, usegmt=True)}
    return {"Retry-After": str(order.retry_after)}
