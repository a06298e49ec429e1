"""The description of the HTTP API, for tools."""

import azure.functions as func

from functions.http import answer

blueprint = func.Blueprint()


# Anonymous: it holds nothing that the project's public documentation does not, and tools fetch it without a key.
@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def openapi_document(req: func.HttpRequest) -> func.HttpResponse:
    """Describe the API as OpenAPI 3.1."""
    from shared.api.openapi import document  # noqa: PLC0415 - not needed to index the app

    return answer(200, document())
