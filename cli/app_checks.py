"""What a deployment reports: whether it answers, whether it accepts the key, and the results of its own diagnosis."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.errors import Unreachable
from cli.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.deployment import Answer, Deployment

CHECKS = ("app.reachable", "app.key", "app.diagnosis", "app.health", "app.functions")
FUNCTIONS = (
    "archive_chunk",
    "diagnostics",
    "get_recording",
    "health",
    "pause_recording",
    "recording_file_status_updated",
    "resume_recording",
    "start_recording",
    "stop_recording",
    "sweep",
)
"""Functions without which recordings are not started or archived, or failures are not repaired."""

_NO_KEY = "give one with --key or RECORDINGS_KEY"
_SEE_LOG = "see why in the app's log (az webapp log tail), then deploy again"


@dataclass(frozen=True, slots=True)
class SelfDiagnosis:
    """Findings, and the facts that the app reports; no facts if it did not examine itself."""

    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)


async def check_app(app: Deployment) -> SelfDiagnosis:
    """Ask a deployment for its health and its own diagnosis."""
    try:
        health = await app.ask("GET", "/api/health")
    except Unreachable as reason:
        fix = "check the address, that the app runs, and that it allows your address"
        return SelfDiagnosis([Finding.failed("app.reachable", str(reason), fix)])
    if (wrong := _not_the_app(health, app.url)) is not None:
        return SelfDiagnosis([wrong])
    reachable = Finding.ok("app.reachable", f"{app.url} answers")
    asked = await _self_diagnosis(app)
    # Health needs no key: it is all that is known if the app did not examine itself.
    further = [] if asked.facts else [_health(health)]
    return SelfDiagnosis([reachable, *asked.findings, *further], asked.facts)


async def _self_diagnosis(app: Deployment) -> SelfDiagnosis:
    if app.key is None:
        return SelfDiagnosis([Finding.skipped("app.key", f"no key: {_NO_KEY}"), _not_asked()])
    started = time.monotonic()
    try:
        answer = await app.ask("GET", "/api/diagnostics")
    except Unreachable as reason:
        return SelfDiagnosis([Finding.failed("app.diagnosis", str(reason), _SEE_LOG)])
    if answer.status in {401, 403}:
        refused = Finding.failed(
            "app.key",
            f"refused: {answer.status}",
            "use a key of the function diagnostics: az functionapp function keys list --function-name diagnostics; "
            "locally that of the stack's keys.json, see --folder",
        )
        return SelfDiagnosis([refused, _not_asked()])
    key = Finding.ok("app.key", "the key is accepted")
    match answer.body:
        case {"checks": list(checks), "facts": dict(facts)} if answer.status == 200:
            made = Finding.ok("app.diagnosis", f"the app examined itself in {time.monotonic() - started:.1f} s")
            found = [Finding.from_json(finding) for finding in checks]
            return SelfDiagnosis([key, made, *found], {"url": app.url, **facts})
    unknown = Finding.failed("app.diagnosis", f"/api/diagnostics answered {answer.status}", _SEE_LOG)
    return SelfDiagnosis([key, unknown])


def check_functions(enabled: Mapping[str, bool]) -> Finding:
    """Look for the functions that have to be there.

    Parameters
    ----------
    enabled
        The app's functions, with whether they are enabled.
    """
    names = {name.lower(): on for name, on in enabled.items()}
    missing = [name for name in FUNCTIONS if name not in names]
    disabled = [name for name in FUNCTIONS if names.get(name) is False]
    if missing:
        return Finding.failed("app.functions", f"not there: {', '.join(missing)}", _SEE_LOG)
    if disabled:
        return Finding.failed(
            "app.functions",
            f"disabled: {', '.join(disabled)}",
            f"remove the setting{'s' if len(disabled) > 1 else ''} "
            + ", ".join(f"AzureWebJobs.{name}.Disabled" for name in disabled),
        )
    return Finding.ok("app.functions", f"all are there and enabled: {len(enabled)}")


async def functions_of(app: Deployment, master_key: str) -> dict[str, bool] | None:
    """Return the functions that a host lists for its master key, with whether they are enabled; None if it does not."""
    try:
        answer = await app.ask("GET", "/admin/functions", key=master_key)
    except Unreachable:
        return None
    if answer.status != 200 or not isinstance(answer.body, list):
        return None
    return {str(found["name"]): not found.get("isDisabled") for found in answer.body}


def _not_the_app(health: Answer, url: str) -> Finding | None:
    if isinstance(health.body, dict) and "status" in health.body and health.status in {200, 503}:
        return None
    if health.status == 403:
        return Finding.failed(
            "app.reachable",
            f"{url} does not allow your address (403)",
            "run doctor from an allowed address (allowedAddresses in infra/) or inside the network",
        )
    if health.status >= 500:
        return Finding.failed(
            "app.reachable", f"{url} answers {health.status}: the host does not run the app", _SEE_LOG
        )
    return Finding.failed(
        "app.reachable",
        f"{url}/api/health answered {health.status}: that is not the recording archiver",
        "check the address, and that the code is deployed (azd deploy)",
    )


def _health(health: Answer) -> Finding:
    dependencies = health.body.get("dependencies", {})
    failed = [
        f"{name}: {finding.get('detail')}" for name, finding in dependencies.items() if finding.get("status") != "ok"
    ]
    if health.status == 200 and not failed:
        return Finding.ok("app.health", f"{', '.join(dependencies)} can be reached")
    detail = "; ".join(failed) or str(health.body.get("detail") or f"/api/health answered {health.status}")
    return Finding.failed("app.health", " ".join(detail.split()), "fix what is named; with a key, doctor reports more")


def _not_asked() -> Finding:
    return Finding.skipped("app.diagnosis", "the app examines itself only if the key is given")
