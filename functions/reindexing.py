"""Rebuilding the ledger from the blobs."""

import azure.functions as func

from functions.http import answer, page_asked, problems_answered
from shared.app import services

blueprint = func.Blueprint()


@blueprint.route("reindex", methods=["POST"])
@problems_answered
async def reindex_ledger(req: func.HttpRequest) -> func.HttpResponse:
    """Rebuild one page of the ledger."""
    report = await services().reindex.step(**page_asked(req))
    return answer(200, report.model_dump(mode="json", by_alias=True))
