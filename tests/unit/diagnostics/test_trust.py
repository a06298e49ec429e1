"""Which trusted origins a diagnosis finds too wide, too narrow, or out of place."""

from __future__ import annotations

import pytest

from shared.config.settings import DEFAULT_TRUSTED_ORIGINS
from shared.core.trusted_origins import TrustedOrigins
from shared.diagnostics import trust
from shared.diagnostics.results import CheckStatus, Trouble

AZURE, LOCAL = "https://contoso.communication.azure.com", "http://127.0.0.1:7080"
DEFAULT = DEFAULT_TRUSTED_ORIGINS.split(",")


def check(patterns: list[str], endpoint: str) -> Trouble | None:
    try:
        trust.check(patterns, TrustedOrigins(patterns), endpoint)
    except Trouble as result:
        return result
    return None


def test_the_default_is_fine_in_azure() -> None:
    assert check(DEFAULT, AZURE) is None


@pytest.mark.parametrize("endpoint", [LOCAL, "http://localhost:7080"])
def test_this_machine_is_fine_for_an_emulator_on_it(endpoint: str) -> None:
    host = endpoint.rpartition(":")[0]
    assert check([*DEFAULT, f"{host}:*"], endpoint) is None


@pytest.mark.parametrize("pattern", ["http://127.0.0.1:*", "http://localhost:7080", "http://us-storage.asm.skype.com"])
def test_what_is_not_https_is_a_warning_in_azure(pattern: str) -> None:
    result = check([*DEFAULT, pattern], AZURE)
    assert result is not None
    assert (result.status, pattern in result.detail) == (CheckStatus.WARNING, True)


@pytest.mark.parametrize(
    "pattern",
    [
        "https://*.com",
        "https://*.blob.core.windows.net",
        "https://*.azurewebsites.net:443",
        "https://*.S3.amazonaws.com",
    ],
)
@pytest.mark.parametrize("endpoint", [AZURE, LOCAL])
def test_a_domain_with_hosts_of_other_customers_fails(pattern: str, endpoint: str) -> None:
    result = check([*DEFAULT, "http://127.0.0.1:*", pattern], endpoint)
    assert result is not None
    assert (result.status, pattern in result.detail) == (CheckStatus.FAILED, True)


def test_one_host_of_such_a_domain_is_the_owners_choice() -> None:
    assert check([*DEFAULT, "https://contoso.blob.core.windows.net"], AZURE) is None


@pytest.mark.parametrize(("patterns", "endpoint"), [(["https://example.com"], AZURE), (DEFAULT, LOCAL)])
def test_trusting_none_of_the_services_hosts_fails(patterns: list[str], endpoint: str) -> None:
    result = check(patterns, endpoint)
    assert result is not None
    assert result.status is CheckStatus.FAILED
