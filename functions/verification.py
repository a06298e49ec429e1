"""Reading the archive back: what it holds, and whether it is what it was."""

import azure.functions as func

from functions.http import answer, page_asked, path_parameter, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("archive", methods=["GET"])
@problems_answered
async def list_archive(req: func.HttpRequest) -> func.HttpResponse:
    """List the recordings that the archive holds, a page at a time."""
    page = await services().listing.page(**page_asked(req))
    return answer(200, page.as_json())


@blueprint.route("recordings/{recordingId}/verify", methods=["POST"])
@problems_answered
async def verify_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Read a recording back and compare it with its manifest."""
    report = await services().verification.verify(path_parameter(req, "recordingId"), req.params.get("chunk"))
    return answer(200, report.as_json())
