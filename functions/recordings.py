"""Control of recordings over HTTP."""

from urllib.parse import quote, unquote, urlsplit

import azure.functions as func

from functions.answers import answer, problems_answered
from shared.services import services

blueprint = func.Blueprint()


@blueprint.route("recordings", methods=["POST"])
@problems_answered
async def start_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Start recording a call."""
    recording = await services().control.start(req.get_body())
    location = f"{urlsplit(req.url).path.rstrip('/')}/{quote(recording.recording_id, safe='')}"
    return answer(201, recording.to_wire(), Location=location)


@blueprint.route("recordings/{recordingId}", methods=["GET"])
@problems_answered
async def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Say how a recording is."""
    return answer(200, (await services().control.get(_recording_id(req))).to_wire())


@blueprint.route("recordings/{recordingId}/pause", methods=["POST"])
@problems_answered
async def pause_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Pause a recording."""
    recording_id = _recording_id(req)
    await services().control.pause(recording_id)
    return answer(202, {"recordingId": recording_id})


@blueprint.route("recordings/{recordingId}/resume", methods=["POST"])
@problems_answered
async def resume_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a paused recording."""
    recording_id = _recording_id(req)
    await services().control.resume(recording_id)
    return answer(202, {"recordingId": recording_id})


@blueprint.route("recordings/{recordingId}/stop", methods=["POST"])
@problems_answered
async def stop_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Stop a recording for good."""
    recording_id = _recording_id(req)
    await services().control.stop(recording_id)
    return answer(202, {"recordingId": recording_id})


def _recording_id(req: func.HttpRequest) -> str:
    """Return the id in the path; the platform leaves `%2F` encoded, lest it end the segment."""
    return unquote(req.route_params["recordingId"])
