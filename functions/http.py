"""HTTP requests and answers: every answer of the app is made by `answer`, problem details included."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import azure.functions as func

from shared.core import log
from shared.core.errors import ArchiverError

Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def answer(
    status: int,
    body: dict[str, Any] | str | None = None,
    *,
    headers: dict[str, str] | None = None,
    media_type: str = "application/json",
    retry_after: int | None = None,
) -> func.HttpResponse:
    """Return an answer; a `body` of text is JSON already, and `retry_after` is in seconds."""
    named = (headers or {}) | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return func.HttpResponse(text, status_code=status, headers=named, mimetype=media_type if text else None)


def path_parameter(req: func.HttpRequest, name: str) -> str:
    """Return a segment of the path, decoded: the platform leaves `%2F` encoded."""
    return unquote(req.route_params[name])


def page_asked(req: func.HttpRequest) -> dict[str, str | None]:
    """Return the query's parameters that say which page of a list is asked for."""
    return {name: req.params.get(name) for name in ("since", "cursor", "limit")}


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
            return answer(found.status, found.body, media_type=MEDIA_TYPE, headers=found.headers)

    return answering
