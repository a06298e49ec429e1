"""What happens to every request before it reaches its route: logged, its signature verified, its headers answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local.acs.requests import RequestLog, RequestRecord
from local.acs.signatures import SignatureError, SignedRequest, Verifier
from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.typedefs import Handler, Middleware

    from local.acs.service import RecordingService

RECORD = web.RequestKey("record", RequestRecord)


#: Where the emulator says what differs in a request that it refuses; the service has no such header.
HINT = "X-Emulator-Hint"


def service_error(status: int, code: str, message: str, *, target: str | None = None) -> web.Response:
    """Return an error as the service words it."""
    error = {"code": code, "message": message}
    if target is not None:
        error["target"] = target
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
            except web.HTTPMethodNotAllowed as exc:
                record.status = exc.status
                return _not_allowed(exc)
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

    async def signature_problem(self, request: web.Request, hosts: Collection[str], *, no_host: str = "") -> str | None:
        """Return why a request is not signed for one of `hosts`, None for one that is.

        `no_host` says why there is no host that the request could be signed for, where that is so.
        """
        record = request[RECORD]
        signed = SignedRequest(request.method, request.raw_path, request.headers, await request.read())
        try:
            record.signed = self._verifier.verify(signed, hosts)
        except SignatureError as exc:
            record.signature_problem = str(exc) if hosts else f"{exc} {no_host}"
        return record.signature_problem


def _not_allowed(problem: web.HTTPMethodNotAllowed) -> web.Response:
    message = f"The requested resource does not support http method '{problem.method}'."
    allowed = ", ".join(sorted(problem.allowed_methods))
    return web.json_response({"message": message}, status=405, headers={"Allow": allowed})
