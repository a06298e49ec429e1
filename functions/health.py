"""Health, for probes and people, and the whole diagnosis, for `recordings doctor`."""

import azure.functions as func

from functions.http import answer, problems_answered
from shared.app import diagnose, services

blueprint = func.Blueprint()


@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@problems_answered
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Report which dependency cannot be reached."""
    findings = await services().health.check()
    healthy = all(finding.ok for finding in findings.values())
    return answer(
        200 if healthy else 503,
        {
            "status": "ok" if healthy else "failed",
            "dependencies": {name: finding.as_json() for name, finding in findings.items()},
        },
    )


# Level function, not admin: admin takes the master key, which opens every function. A key of this function is enough.
@blueprint.route("diagnostics", methods=["GET"])
@problems_answered
async def diagnostics(req: func.HttpRequest) -> func.HttpResponse:
    """Try everything that the app needs, and report what is wrong and how to fix it."""
    return answer(200, (await diagnose()).as_json())
