"""Control of recordings over HTTP."""

import os
from urllib.parse import quote, urlsplit

import azure.functions as func

from functions.http import answer, path_parameter, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("recordings", methods=["POST"])
@problems_answered
async def start_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording a call."""
    key = req.headers.get("Idempotency-Key")
    started = await services().recordings.start(req.get_body(), by=_caller(req), idempotency_key=key)
    location = f"{urlsplit(req.url).path.rstrip('/')}/{quote(started.body['recordingId'], safe='')}"
    return answer(201, started.body, headers={"Location": location})


@blueprint.route("recordings/{recordingId}", methods=["GET"])
@problems_answered
async def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Return what is known of a recording."""
    found = await services().recordings.get(path_parameter(req, "recordingId"))
    return answer(200, found.body, retry_after=found.retry_after)


@blueprint.route("recordings/{recordingId}/pause", methods=["POST"])
@problems_answered
async def pause_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Pause a recording."""
    done = await services().recordings.pause(path_parameter(req, "recordingId"), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


@blueprint.route("recordings/{recordingId}/resume", methods=["POST"])
@problems_answered
async def resume_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a paused recording."""
    done = await services().recordings.resume(path_parameter(req, "recordingId"), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


@blueprint.route("recordings/{recordingId}/stop", methods=["POST"])
@problems_answered
async def stop_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Stop a recording."""
    done = await services().recordings.stop(path_parameter(req, "recordingId"), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


def _caller(req: func.HttpRequest) -> str:
    """Return who asks: the platform's authentication names a principal where it is on, else a key was given.

    Where it is off, the platform lets the header through from callers, who could put any name into it.
    """
    authenticated = os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
    return (authenticated and req.headers.get("x-ms-client-principal-name")) or "function key"
