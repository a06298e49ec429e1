"""The service reports the state of a recording."""

import azure.functions as func

from functions.http import answer, problems_answered
from shared.app import services

blueprint = func.Blueprint()


# Anonymous, because the service sends no key: the token in the address authenticates it.
@blueprint.route("callbacks/{reference}/{token}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@problems_answered
async def recording_state_callback(req: func.HttpRequest) -> func.HttpResponse:
    """Take a report in."""
    await services().callbacks.take(req.route_params["reference"], req.route_params["token"], req.get_body())
    return answer(200)
