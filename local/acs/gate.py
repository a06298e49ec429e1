"""What happens to every request before it reaches its route: logged, its signature verified, its headers answered."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import web

from local.acs.requests import RequestLog, RequestRecord
from local.acs.signatures import SignatureError, SignedRequest, Verifier
from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.typedefs import Handler, Middleware

    from local.acs.service import RecordingService

RECORD = web.RequestKey("record", RequestRecord)


def service_error(status: int, code: str, message: str, *, hint: str | None = None) -> web.Response:
    """Return an error as the service words it; `hint` is the emulator's own, in `innererror`."""
    error: dict[str, Any] = {"code": code, "message": message}
    if hint is not None:
        error["innererror"] = {"code": "EmulatorHint", "message": hint}
    return web.json_response({"error": error}, status=status)


class Gate:
    """Shared by both origins.

    Parameters
    ----------
    service
        For the emulated time.
    verifier
        Checks signatures.
    log
        Where requests are remembered.
    """

    def __init__(self, service: RecordingService, verifier: Verifier, log: RequestLog) -> None:
        self._service = service
        self._verifier = verifier
        self._log = log

    def middleware(self, origin: str) -> Middleware:
        """Return a middleware that logs requests as coming to `origin`."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/control"):
                try:
                    return await handler(request)
                except web.HTTPException as exc:
                    message = f"{request.method} {request.path} is not a control route: {exc.reason}."
                    return web.json_response({"error": {"message": message}}, status=exc.status)
            path, _, query = request.raw_path.partition("?")
            record = RequestRecord(
                time=stamp(self._service.now()),
                origin=origin,
                method=request.method,
                path=path,
                query=query,
                range=request.headers.get("Range"),
                authorized="Authorization" in request.headers,
            )
            request[RECORD] = record
            self._log.add(record)
            try:
                response = await handler(request)
            except web.HTTPException as exc:
                # No such route: the log says so too.
                record.status = exc.status
                raise
            else:
                record.status = record.status or response.status
                return response
            finally:
                self._log.on_answered(record)

        return middleware

    async def refuse_unsigned(
        self, request: web.Request, hosts: Collection[str], *, no_host: str = ""
    ) -> web.Response | None:
        """Return the 401 for a request that is not signed for one of `hosts`, None for one that is.

        `no_host` says why there is no host that the request could be signed for, where that is so.
        """
        record = request[RECORD]
        signed = SignedRequest(request.method, request.raw_path, request.headers, await request.read())
        try:
            record.signed = self._verifier.verify(signed, hosts)
        except SignatureError as exc:
            record.signature_problem = str(exc) if hosts else f"{exc} {no_host}"
            return service_error(401, "Denied", "Denied by the resource provider.", hint=record.signature_problem)
        return None


async def add_service_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the ids that the service puts on every answer; a signal handler for `on_response_prepare`."""
    response.headers.setdefault("MS-CV", f"{secrets.token_urlsafe(16)}.0")
    response.headers.setdefault("x-ms-request-id", str(uuid4()))
    client_id = request.headers.get("x-ms-client-request-id")
    if client_id is not None:
        response.headers["x-ms-client-request-id"] = client_id
