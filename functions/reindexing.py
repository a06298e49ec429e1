"""The ledger is made again from the blobs."""

import azure.functions as func

from functions.http import answer, page_asked, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("reindex", methods=["POST"])
@problems_answered
async def reindex_ledger(req: func.HttpRequest) -> func.HttpResponse:
    """Put back what the blobs know, a page at a time."""
    report = await services().reindex.step(**page_asked(req))
    return answer(200, report.model_dump(mode="json", by_alias=True))
