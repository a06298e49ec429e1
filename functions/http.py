"""HTTP answers: JSON, and problem details for everything that goes wrong."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from shared.core import log
from shared.core.errors import ArchiverError

Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answer(status: int, body: dict[str, Any], retry_after: int | None = None, **headers: str) -> func.HttpResponse:
    """Return an answer with a JSON body; `retry_after` says in seconds when it pays to ask again."""
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return func.HttpResponse(json.dumps(body), status_code=status, headers=headers, mimetype="application/json")


def problems_answered(handler: Handler) -> Handler:
    """Answer the errors that a handler raises as problem details."""

    @functools.wraps(handler)
    async def answering(req: func.HttpRequest) -> func.HttpResponse:
        try:
            with log.fields(recordingId=req.route_params.get("recordingId")):
                return await handler(req)
        except ArchiverError as error:
            from shared.api.problems import MEDIA_TYPE, problem  # noqa: PLC0415 - not needed to index the app

            found = problem(error)
            log.warning("request.refused", status=found.status, problem=found.body["type"], reason=str(error))
            return func.HttpResponse(
                json.dumps(found.body), status_code=found.status, headers=found.headers, mimetype=MEDIA_TYPE
            )

    return answering
