"""What an operator must look at, over HTTP."""

import azure.functions as func

from functions.http import answer, path_parameter, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("attention", methods=["GET"])
@problems_answered
async def list_attention(req: func.HttpRequest) -> func.HttpResponse:
    """List the incidents, the most severe first."""
    return answer(200, {"findings": await services().incidents.by_severity()})


@blueprint.route("attention/{id}", methods=["DELETE"])
@problems_answered
async def settle_attention(req: func.HttpRequest) -> func.HttpResponse:
    """Take an incident off the list."""
    settled = await services().incidents.settle(path_parameter(req, "id"))
    return answer(200, {"settled": settled})


@blueprint.route("attention/{id}/retry", methods=["POST"])
@problems_answered
async def retry_attention(req: func.HttpRequest) -> func.HttpResponse:
    """Retry an incident."""
    retried = await services().manual_retry.retry(path_parameter(req, "id"))
    return answer(202, retried.as_json())
