"""The checks that the app makes of its dependencies, with its own identity."""

from __future__ import annotations

import asyncio
import platform
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import ClientAuthenticationError

from shared.core.blob_names import ATTENTION
from shared.core.errors import ServiceError, SettingsError
from shared.core.version import VERSION
from shared.diagnostics import trust
from shared.diagnostics.health import NO_RECORDING
from shared.diagnostics.probes import CONTAINER_ROLE, ONCE, STORAGE_CHECKS, Surroundings
from shared.diagnostics.results import (
    NO_IDENTITY,
    SETTINGS,
    TRY_AGAIN,
    Check,
    CheckStatus,
    Diagnosis,
    Trouble,
    run_checks,
)
from shared.incidents.evidence_blobs import SETTLED_AT

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

SERVICE_KEEPS_HOURS = 24
"""How long Azure Communication Services keeps a recording's files; in the 2021 preview it was 48."""

_PACKAGES = (
    "aiohttp",
    "azure-communication-callautomation",
    "azure-data-tables",
    "azure-functions",
    "azure-identity",
    "azure-storage-blob",
    "azure-storage-queue",
)
_PAGE = 5000
_SKEW_REPORTED = timedelta(seconds=60)
_SKEW_REFUSED = timedelta(minutes=5)


async def settings(around: Surroundings) -> str:
    """Report how the app authenticates; with wrong settings no check is made."""
    service = "with an access key" if around.settings.service.access_key else "as its identity"
    storage = "with a connection string" if around.settings.storage.connection_string else "as its identity"
    events = "" if around.settings.resource_id else "; ACS_RESOURCE_ID is not set, so events of any resource are taken"
    return f"complete; the app calls the service {service}, storage {storage}{events}"


async def retention(around: Surroundings) -> str:
    """Compare with how long the service keeps files."""
    hours = around.settings.retention_hours
    if hours != SERVICE_KEEPS_HOURS:
        longer = hours > SERVICE_KEEPS_HOURS
        raise Trouble(
            f"RECORDING_RETENTION_HOURS is {hours:g}, but the service keeps files for {SERVICE_KEEPS_HOURS} hours: "
            f"the app would {'wait for files that are gone' if longer else 'give files up that still exist'}",
            f"set RECORDING_RETENTION_HOURS to {SERVICE_KEEPS_HOURS}",
            status=CheckStatus.WARNING,
        )
    return f"{hours:g} hours, as long as the service keeps files"


async def origins(around: Surroundings) -> str:
    """Check the origins that credentials may be sent to."""
    given = around.settings
    trust.check(given.origin_patterns, given.trusted_origins, given.service.endpoint)
    return f"credentials go to {', '.join(given.origin_patterns)} only"


async def service(around: Surroundings) -> str:
    """Ask for a recording that does not exist: the service answers 404 only to valid credentials."""
    endpoint = around.settings.service.endpoint
    try:
        await around.control.get(NO_RECORDING)
    except ServiceError as error:
        if error.status not in {400, 404}:
            raise _refused(error, endpoint, by_key=around.settings.service.access_key is not None) from error
    return f"{endpoint} answers and accepts the app's credentials"


def _refused(error: ServiceError, endpoint: str, *, by_key: bool) -> Trouble:
    if error.status == 503 and isinstance(error.__cause__, ClientAuthenticationError):
        return Trouble("the app's identity gets no token", NO_IDENTITY)
    if error.code in {"ServiceUnreachable", "ServiceTimeout"}:
        return Trouble(
            f"{endpoint} cannot be reached",
            f"check {'ACS_CONNECTION_STRING' if by_key else 'ACS_ENDPOINT'} and the network",
        )
    if error.status == 401:
        fix = (
            "copy the resource's connection string again into ACS_CONNECTION_STRING"
            if by_key
            else "check that ACS_ENDPOINT is the resource that the app's identity has its role on"
        )
        return Trouble("the service answered 401: it does not know the app's credentials", fix)
    if error.status == 403:
        fix = "give the app's identity the role Contributor on the Communication Services resource (azd provision)"
        return Trouble("the service answered 403: the app may not use the resource", fix)
    return Trouble(f"the service answered {error.status} {error.code}", TRY_AGAIN)


async def clock(around: Surroundings) -> str:
    """Compare with the Date header of an answer, of any status, to a request without credentials."""
    asked = {"storage": around.container.url, "the service": around.settings.service.endpoint}
    skews = await asyncio.gather(*(_skew(around, url) for url in asked.values()))
    known = {name: skew for name, skew in zip(asked, skews, strict=True) if skew is not None}
    if not known:
        raise Trouble("neither storage nor the service sent a Date header", status=CheckStatus.SKIPPED)
    name, worst = max(known.items(), key=lambda item: abs(item[1]))
    seconds = abs(worst).total_seconds()
    if abs(worst) > _SKEW_REPORTED:
        raise Trouble(
            f"the app's clock is {seconds:.0f} s {'ahead of' if worst > timedelta() else 'behind'} that of {name}",
            "set the wrong clock; with a large difference, signed requests and tokens are refused",
            status=CheckStatus.FAILED if abs(worst) > _SKEW_REFUSED else CheckStatus.WARNING,
        )
    return f"the app's clock is within {max(1.0, seconds):.0f} s of {' and '.join(known)}"


async def _skew(around: Surroundings, url: str) -> timedelta | None:
    parts = urlsplit(url)
    timeout = aiohttp.ClientTimeout(total=5)
    before = around.now()
    try:
        async with around.session.get(
            f"{parts.scheme}://{parts.netloc}/", allow_redirects=False, timeout=timeout
        ) as answer:
            theirs = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return None
    # The header has whole seconds: on average, it is half a second behind.
    return before + (around.now() - before) / 2 - theirs - timedelta(seconds=0.5)


async def last_event(around: Surroundings) -> str:
    """Find the newest event on a page of today's and of yesterday's blobs: of many blobs, this is a sample."""
    newest: datetime | None = None
    sample = False
    for day in (around.now(), around.now() - timedelta(days=1)):
        blobs = await _page(around, f"{day:%Y/%m/%d}/")
        sample = sample or len(blobs) >= _PAGE
        times = (blob.last_modified for blob in blobs if "/events/" in blob.name)
        newest = max((*times, *([newest] if newest else [])), default=None)
    if newest is None:
        return "no event since yesterday, which is right if nothing was recorded"
    return f"the last event came {'at the earliest ' if sample else ''}on {newest:%Y-%m-%d at %H:%M} UTC"


async def attention(around: Surroundings) -> str:
    """Count the open incidents."""
    blobs = await _page(around, ATTENTION, include=["metadata"])
    open_since = [blob.last_modified for blob in blobs if SETTLED_AT not in (blob.metadata or {})]
    if open_since:
        raise Trouble(
            f"open incidents: {'at least ' if len(blobs) >= _PAGE else ''}{len(open_since)}, the last since "
            f"{max(open_since):%Y-%m-%d %H:%M} UTC",
            "recordings attention lists them: docs/operations.md, attention-open",
            status=CheckStatus.WARNING,
        )
    return "no incident is open"


async def _page(around: Surroundings, prefix: str, **options: Any) -> list[BlobProperties]:
    """Return the first page of the blobs under `prefix`."""
    blobs = around.container.list_blobs(name_starts_with=prefix, results_per_page=_PAGE, **options, **ONCE)
    async for page in blobs.by_page():
        return [blob async for blob in page]
    return []


async def software(_: Surroundings) -> str:
    """Report the versions."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


CHECKS = (
    Check(SETTINGS, settings),
    Check("settings.retention", retention),
    Check("settings.origins", origins),
    *STORAGE_CHECKS,
    Check("acs.access", service),
    Check("clock", clock),
    Check("archive.events", last_event, CONTAINER_ROLE, ("storage.container.read",)),
    Check("archive.attention", attention, CONTAINER_ROLE, ("storage.container.read",)),
    Check("app.versions", software),
)
"""All checks, in the order of the report."""


async def diagnosed(around: Surroundings) -> Diagnosis:
    """Make all checks."""
    given = around.settings
    facts = {
        "service": given.service.endpoint,
        "container": given.container,
        "retentionHours": given.retention_hours,
        "versions": versions(),
    }
    return Diagnosis(await run_checks(CHECKS, around), facts)


def diagnosed_by(error: SettingsError) -> Diagnosis:
    """Return the diagnosis of an app whose settings are wrong."""
    return Diagnosis.of_settings(error, [check.id for check in CHECKS if check.id != SETTINGS])


def versions() -> dict[str, Any]:
    """Return the versions of the app, of Python and of the packages for HTTP and Azure."""
    return {"app": VERSION, "python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
