"""Health, for probes and people."""

import azure.functions as func

from functions.answers import answer, problems_answered
from shared.services import services

blueprint = func.Blueprint()


@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@problems_answered
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say which dependency cannot be reached."""
    findings = await services().health.check()
    healthy = all(finding.ok for finding in findings.values())
    return answer(
        200 if healthy else 503,
        {
            "status": "ok" if healthy else "failed",
            "dependencies": {name: finding.to_wire() for name, finding in findings.items()},
        },
    )
