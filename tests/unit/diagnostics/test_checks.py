"""How a diagnosis is put together, without anything to diagnose."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError
from azure.identity import CredentialUnavailableError

from shared.config.settings import Settings
from shared.core.errors import SettingsError
from shared.diagnostics.checks import CHECKS, diagnosed_by
from shared.diagnostics.results import Check, CheckResult, CheckStatus, Diagnosis, Trouble, explained, run_checks


async def well(_: object) -> str:
    return "well"


async def ill(_: object) -> str:
    raise Trouble("ill", "take a rest")


async def doubtful(_: object) -> str:
    raise Trouble("doubtful", "look", status=CheckStatus.WARNING)


async def broken(_: object) -> str:
    raise KeyError("secret")


async def statuses(*checks: Check[object]) -> dict[str, CheckStatus]:
    return {result.check: result.status for result in await run_checks(checks, object())}


async def test_a_check_after_a_failed_one_is_skipped_and_so_is_the_one_after_it() -> None:
    result = await statuses(Check("a", ill), Check("b", well, after=("a",)), Check("c", well, after=("b",)))
    assert result == {"a": CheckStatus.FAILED, "b": CheckStatus.SKIPPED, "c": CheckStatus.SKIPPED}


async def test_a_check_after_a_warning_is_made() -> None:
    result = await statuses(Check("a", doubtful), Check("b", well, after=("a",)))
    assert result == {"a": CheckStatus.WARNING, "b": CheckStatus.OK}


async def test_a_broken_check_is_a_failed_result_without_the_errors_message() -> None:
    results = await run_checks([Check("a", broken), Check("b", well)], object())
    assert [result.status for result in results] == [CheckStatus.FAILED, CheckStatus.OK]
    assert "secret" not in results[0].detail


async def test_a_check_that_times_out_is_a_failed_result(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(_: object) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr("shared.diagnostics.results.TIMEOUT", 0.01)
    (result,) = await run_checks([Check("a", endless)], object())
    assert (result.status, result.detail) == (CheckStatus.FAILED, "no answer within 0.01 s")


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([CheckStatus.OK, CheckStatus.SKIPPED], "ok"),
        ([CheckStatus.OK, CheckStatus.WARNING], "warning"),
        ([CheckStatus.WARNING, CheckStatus.FAILED, CheckStatus.OK], "failed"),
    ],
)
def test_the_answers_status_is_the_worst_result(results: list[CheckStatus], status: str) -> None:
    assert Diagnosis([CheckResult("a", each, "") for each in results]).as_json()["status"] == status


def test_all_wrong_settings_are_named_and_no_other_check_is_made() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"COPY_BLOCK_MIB": "0", "ARCHIVE_CONTAINER": "-"})
    first, *others = diagnosed_by(raised.value).results
    assert (first.check, first.status) == ("settings", CheckStatus.FAILED)
    for name in ("ACS_ENDPOINT", "ARCHIVE_STORAGE__tableServiceUri", "COPY_BLOCK_MIB", "ARCHIVE_CONTAINER"):
        assert name in first.detail
    assert [result.check for result in others] == [check.id for check in CHECKS[1:]]
    assert {result.status for result in others} == {CheckStatus.SKIPPED}


class Response:
    reason = "no"

    def __init__(self, status: int, code: str) -> None:
        self.status_code = status
        self.headers = {"x-ms-error-code": code}

    def text(self) -> str:
        return ""


def refused(status: int, code: str, kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    response: Any = Response(status, code)
    return kind("a request with ?sig=SECRET", response=response)


@pytest.mark.parametrize(
    ("error", "detail", "fix"),
    [
        (refused(403, "AuthorizationPermissionMismatch"), "403 AuthorizationPermissionMismatch", "the role X"),
        (refused(403, "AuthorizationFailure"), "403", "firewall"),
        (refused(403, "KeyBasedAuthenticationNotPermitted"), "403", "ARCHIVE_STORAGE__tableServiceUri"),
        (refused(404, "ContainerNotFound", ResourceNotFoundError), "does not exist", "azd provision"),
        (refused(503, "ServerBusy"), "503 ServerBusy", "try again"),
        (CredentialUnavailableError("no identity"), "no token", "ARCHIVE_STORAGE__clientId"),
        (ServiceRequestError("no route"), "cannot be reached", "ARCHIVE_STORAGE"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_refusal_of_storage_is_reported_with_the_fix(error: HttpResponseError, detail: str, fix: str) -> None:
    explanation = explained(error, "the role X")
    assert detail in explanation[0]
    assert fix in explanation[1]
    assert "SECRET" not in "".join(explanation)


def test_every_check_has_an_id_of_its_own() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name) for name in ids)
