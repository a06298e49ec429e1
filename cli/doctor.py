"""`recordings doctor`: puts the checks together for a deployment in Azure, at an address, or on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli import events
from cli.app_checks import SelfDiagnosis, check_app, check_functions, functions_of
from cli.deployment import Deployment
from cli.errors import CommandError
from cli.events import Withheld, check_events
from cli.findings import Finding, all_skipped
from cli.resource_manager import AzureEvents, FunctionApp, ResourceManager

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from cli.local_stack import LocalEvents, LocalKeys

_RETENTION_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What doctor found.

    Attributes
    ----------
    url
        The app's address; None where it could not be found out.
    facts
        What the app reports about itself.
    secrets
        Keys that were used; they must be replaced in every output.
    """

    url: str | None
    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzurePlan:
    """Which function app in Azure; None is to be found out."""

    subscription: str | None
    group: str
    app: str | None
    endpoint: str


async def examine_url(url: str, key: str | None, patience: float) -> Examination:
    """Examine a deployment by its address alone: what only Azure knows is skipped."""
    async with Deployment(url, key, patience) as app:
        asked = await check_app(app)
    reason = "only Azure knows this: give --resource-group"
    skipped = all_skipped(["app.functions", *events.CHECKS], reason)
    return Examination(url, [*asked.findings, *skipped], asked.facts, _secrets(key))


async def examine_local(url: str, keys: LocalKeys, stack: LocalEvents, patience: float) -> Examination:
    """Examine the local stack."""
    async with Deployment(url, keys.function, patience) as app:
        asked = await check_app(app)
        listed = await functions_of(app, keys.master)
    functions = (
        Finding.skipped("app.functions", "the Functions host does not list them")
        if listed is None
        else check_functions(listed)
    )
    # The emulator's topic belongs to no resource, so there is no address to compare.
    found = await check_events(stack, service=None, retention_hours=_retention(asked))
    findings = [_fixed_locally(finding) for finding in [*asked.findings, functions, *found]]
    return Examination(url, findings, asked.facts, _secrets(keys.function, keys.master))


def _fixed_locally(finding: Finding) -> Finding:
    """Return a finding with the local stack's fix: instead of a deployment, the stack is started again."""
    of_the_stack = finding.check == "app.reachable" or finding.check.startswith("events.")
    if not finding.fix or not of_the_stack:
        return finding
    return replace(finding, fix="start the stack again: make run. If its ports were changed, see --help")


async def examine_azure(
    plan: AzurePlan, credential: AsyncTokenCredential, *, url: str | None, key: str | None, patience: float
) -> Examination:
    """Examine a deployment with what Azure Resource Manager knows of it.

    Parameters
    ----------
    credential
        The credential of the user who runs doctor.
    url, key
        Known already, or None to take them from Azure.

    Raises
    ------
    CommandError
        Azure gives no information, and there is no address to ask.
    """
    async with ResourceManager(credential, plan.endpoint) as manager:
        try:
            site = await FunctionApp.find(manager, plan.subscription, plan.group, plan.app)
        except Withheld as reason:
            if url is None:
                raise CommandError(f"nothing can be examined: {reason}; or give --url") from None
            return await _with_url([Finding.skipped("azure.app", str(reason))], str(reason), url, key, patience)
        if site is None:
            wrong = Finding.failed(
                "azure.app",
                f"{plan.group} has no function app {plan.app or ''}".rstrip(),
                "check --resource-group, --app and --subscription; deploy it with azd up",
            )
            return await _with_url([wrong], "the function app is not there", url, key, patience)
        opening = key or await site.key(manager)
        async with Deployment(url or site.url, opening, patience) as app:
            asked = await check_app(app)
        host = urlsplit(str(asked.facts.get("service", ""))).hostname
        found = await check_events(AzureEvents(manager, site, host), service=host, retention_hours=_retention(asked))
        return Examination(
            url or site.url,
            [_running(site), *asked.findings, await _functions(site, manager), *found],
            asked.facts,
            _secrets(opening),
        )


async def _with_url(
    first: list[Finding], reason: str, url: str | None, key: str | None, patience: float
) -> Examination:
    skipped = all_skipped(["app.functions", *events.CHECKS], reason)
    if url is None:
        unknown = Finding.skipped("app.reachable", "its address is not known: give --url")
        return Examination(None, [*first, unknown, *skipped])
    async with Deployment(url, key, patience) as app:
        asked = await check_app(app)
    return Examination(url, [*first, *asked.findings, *skipped], asked.facts, _secrets(key))


async def _functions(site: FunctionApp, manager: ResourceManager) -> Finding:
    try:
        return check_functions(await site.functions(manager))
    except Withheld as reason:
        return Finding.skipped("app.functions", str(reason))


def _running(site: FunctionApp) -> Finding:
    if site.state != "Running":
        return Finding.failed(
            "azure.app", f"{site.name} is {site.state}", f"start it: az functionapp start --name {site.name}"
        )
    return Finding.ok("azure.app", f"{site.name} is running")


def _secrets(*keys: str | None) -> frozenset[str]:
    return frozenset(key for key in keys if key)


def _retention(asked: SelfDiagnosis) -> float:
    return float(asked.facts.get("retentionHours", _RETENTION_HOURS))
