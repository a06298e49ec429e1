"""Whether the trusted origins are the service's, and no others."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.core.errors import UntrustedOrigin
from shared.diagnostics.results import CheckStatus, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.core.trusted_origins import TrustedOrigins

SERVICE_SAMPLES = (
    "https://us-storage.asm.skype.com/",
    "https://us-api.asyncgw.teams.microsoft.com/",
    "https://us-api.ams.gov.teams.microsoft.us/",
)
"""A host of each domain that serves recordings; a cloud has one of them."""

PUBLIC_DOMAINS = (
    "azureedge.net",
    "azurefd.net",
    "azurewebsites.net",
    "cloudapp.azure.com",
    "core.windows.net",
    "github.io",
    "trafficmanager.net",
    "amazonaws.com",
)
"""Domains in which every customer can create a host."""


def check(patterns: Sequence[str], origins: TrustedOrigins, endpoint: str) -> None:
    """Raise `Trouble` where credentials could be sent to an attacker, or could not be sent to the service.

    `patterns` and `origins` are RECORDING_TRUSTED_ORIGINS, as text and as read; an `endpoint` on this machine is an
    emulator's.
    """
    if wide := [pattern for pattern in patterns if _is_wide(pattern)]:
        raise Trouble(
            f"{_listed(wide)} also trusts hosts of other customers, which could receive the app's credentials",
            f"remove {_listed(wide)} from RECORDING_TRUSTED_ORIGINS",
        )
    local = _is_local(urlsplit(endpoint).hostname or "")
    wanted = (f"{endpoint}/",) if local else SERVICE_SAMPLES
    if not any(_trusts(origins, url) for url in wanted):
        raise Trouble(
            "none of the service's hosts is trusted, so every recording is refused",
            f"add {urlsplit(endpoint).scheme}://127.0.0.1:* to RECORDING_TRUSTED_ORIGINS"
            if local
            else "remove the setting RECORDING_TRUSTED_ORIGINS, whose default is the service's hosts",
        )
    plain = [pattern for pattern in patterns if _is_plain(pattern) and not (local and _is_local(_host(pattern)))]
    if plain:
        raise Trouble(
            f"{_listed(plain)} is trusted, but is not the service over https",
            f"remove {_listed(plain)} from RECORDING_TRUSTED_ORIGINS; use it in local.settings.json only",
            status=CheckStatus.WARNING,
        )


def _is_wide(pattern: str) -> bool:
    host = _host(pattern)
    if not host.startswith("*."):
        return False
    domain = host.removeprefix("*.")
    return "." not in domain or any(domain == name or domain.endswith(f".{name}") for name in PUBLIC_DOMAINS)


def _is_plain(pattern: str) -> bool:
    return pattern.lower().startswith("http://") or _is_local(_host(pattern))


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host(pattern: str) -> str:
    return re.sub(r":[\d*]+$", "", pattern.partition("://")[2]).lower()


def _trusts(origins: TrustedOrigins, url: str) -> bool:
    try:
        origins.check(url)
    except UntrustedOrigin:
        return False
    return True


def _listed(patterns: Iterable[str]) -> str:
    return ", ".join(patterns)
