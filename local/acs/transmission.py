"""Sends bodies: as fast as the machine can, or slowly, cut, stalled, mislabelled when that was ordered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.acs.faults import Framing

if TYPE_CHECKING:
    from aiohttp import web

    from local.acs.bodies import Body, Piece

log = logging.getLogger(__name__)

# A throttled body goes out in this many portions a second.
_PORTIONS = 50
_FOREVER = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a body is sent.

    Parameters
    ----------
    rate
        Bytes a real second; None for no limit.
    stop_after
        Bytes after which sending stops.
    stall
        Real seconds of silence when it stops, or at the end.
    reset
        Reset the connection where it stops, in place of closing it.
    resume
        Send the rest after the stall.
    length_delta
        What is added to the true Content-Length.
    framing
        Send no Content-Length, and end after `stop_after` bytes as if that were the whole body.
    """

    rate: float | None = None
    stop_after: int | None = None
    stall: float = 0.0
    reset: bool = False
    resume: bool = False
    length_delta: int = 0
    framing: Framing | None = None


def close_connection(request: web.Request) -> None:
    """Close the connection, so that the client sees its end and no answer."""
    if request.transport is not None:
        request.transport.close()


def reset_connection(request: web.Request) -> None:
    """Drop the connection so that the client sees a reset."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


async def send(request: web.Request, response: web.StreamResponse, body: Body, manner: Manner) -> web.StreamResponse:
    """Send `body` as the body of a response whose status and headers are set; returns the response."""
    if manner.framing is not None:
        return await _send_without_length(request, response, body.part(0, manner.stop_after or 0), manner.framing)
    promised = max(body.length + manner.length_delta, 0)
    response.content_length = promised
    stop = min(body.length, promised, body.length if manner.stop_after is None else manner.stop_after)
    try:
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await _send_part(request, response, body.part(0, stop), manner.rate)
        if manner.stall:
            await asyncio.sleep(min(manner.stall, _FOREVER))
        if manner.resume:
            await _send_part(request, response, body.part(stop, body.length), manner.rate)
            stop = body.length
    except ConnectionError:
        log.info("the client went away in the middle of %s %s", request.method, request.path)
        return response
    if manner.reset:
        reset_connection(request)
    elif stop < promised or manner.length_delta:
        response.force_close()
        if request.transport is not None:
            request.transport.close()
    return response


async def _send_without_length(
    request: web.Request, response: web.StreamResponse, body: Body, framing: Framing
) -> web.StreamResponse:
    if framing is Framing.CHUNKED:
        response.enable_chunked_encoding()
        await response.prepare(request)
        for block in body.read():
            await response.write(block)
        return response
    # aiohttp gives every HTTP/1.1 response a length or chunks; a body that ends with the connection is written by hand.
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
        lines = [f"HTTP/1.1 {response.status} {response.reason}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for block in body.read():
            transport.write(block)
        transport.close()
    return response


async def _send_part(request: web.Request, response: web.StreamResponse, part: Body, rate: float | None) -> None:
    portion = part.length if rate is None else max(int(rate / _PORTIONS), 1)
    begun = time.monotonic()
    for position in range(0, part.length, max(portion, 1)):
        end = min(position + portion, part.length)
        if rate is not None:
            # Bytes go out when their time is over, so that short bodies are not faster than the limit.
            await asyncio.sleep(max(begun + end / rate - time.monotonic(), 0))
        for piece in part.part(position, end).pieces:
            await _send_piece(request, response, piece)


async def _send_piece(request: web.Request, response: web.StreamResponse, piece: Piece) -> None:
    if piece.path is None:
        await response.write(piece.data)
        return
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client went away")
    with piece.path.open("rb") as file:
        await asyncio.get_running_loop().sendfile(transport, file, piece.offset, piece.length)
