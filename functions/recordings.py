"""Control of recordings over HTTP."""

import os
from urllib.parse import quote, unquote, urlsplit

import azure.functions as func

from functions.http import answer, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("recordings", methods=["POST"])
@problems_answered
async def start_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording a call."""
    key = req.headers.get("Idempotency-Key")
    started = await services().recordings.start(req.get_body(), by=_caller(req), idempotency_key=key)
    location = f"{urlsplit(req.url).path.rstrip('/')}/{quote(started.body['recordingId'], safe='')}"
    return answer(201, started.body, Location=location)


@blueprint.route("recordings/{recordingId}", methods=["GET"])
@problems_answered
async def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Say what state a recording is in."""
    found = await services().recordings.get(_recording_id(req))
    return answer(200, found.body, retry_after=found.retry_after)


@blueprint.route("recordings/{recordingId}/pause", methods=["POST"])
@problems_answered
async def pause_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Pause a recording."""
    done = await services().recordings.pause(_recording_id(req), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


@blueprint.route("recordings/{recordingId}/resume", methods=["POST"])
@problems_answered
async def resume_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a paused recording."""
    done = await services().recordings.resume(_recording_id(req), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


@blueprint.route("recordings/{recordingId}/stop", methods=["POST"])
@problems_answered
async def stop_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Stop a recording for good."""
    done = await services().recordings.stop(_recording_id(req), by=_caller(req))
    return answer(202, done.body, retry_after=done.retry_after)


def _recording_id(req: func.HttpRequest) -> str:
    """Return the id in the path; the platform leaves `%2F` encoded, lest it end the segment."""
    return unquote(req.route_params["recordingId"])


def _caller(req: func.HttpRequest) -> str:
    """Return who asks: the platform's authentication names a principal where it is on, else a key was given.

    Where it is off, the platform lets the header through from callers, who could put any name into it.
    """
    authenticated = os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
    return (authenticated and req.headers.get("x-ms-client-principal-name")) or "function key"
