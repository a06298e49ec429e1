"""A diagnosis: checks, their results, and the order in which the checks can run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from shared.core.azure_errors import error_code, reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from shared.core.errors import SettingsError

TIMEOUT = 10.0
"""The timeout of one check, seconds."""

SETTINGS = "settings"
"""The first check: without settings no other can run."""

NO_IDENTITY = "attach the identity to the app, with its client id in ARCHIVE_STORAGE__clientId and AZURE_CLIENT_ID"
"""The fix where the app has no identity that Azure accepts."""

TRY_AGAIN = "try again; if the error continues, see the resource's health in the portal"

_REFUSALS = {
    "AuthorizationFailure": "let the app's network through the account's firewall; with a connection string, check its "
    "key",
    "KeyBasedAuthenticationNotPermitted": "replace ARCHIVE_STORAGE by the addresses ARCHIVE_STORAGE__blobServiceUri, "
    "ARCHIVE_STORAGE__queueServiceUri and ARCHIVE_STORAGE__tableServiceUri",
}


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of the check with id `check`: a line of text, and the fix (`mend`) where the check did not pass."""

    check: str
    status: CheckStatus
    detail: str
    mend: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        mend = {} if self.mend is None else {"mend": self.mend}
        return {"check": self.check, "status": self.status.value, "detail": self.detail, **mend}


class Trouble(Exception):  # noqa: N818 - named for what it is
    """A check that did not pass, with the fields of `CheckResult`."""

    def __init__(self, detail: str, mend: str | None = None, *, status: CheckStatus = CheckStatus.FAILED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mend = mend
        self.status = status


@dataclass(frozen=True, slots=True)
class Check[S]:
    """One check.

    Attributes
    ----------
    id
        Its name in answers and documents, such as `storage.container.write`.
    run
        Makes the check and returns the result in one line, or raises `Trouble` or an error of the Azure SDKs.
    role
        The role that the app's identity needs for it, with the scope.
    after
        Checks that have to pass before this one runs.
    """

    id: str
    run: Callable[[S], Awaitable[str]]
    role: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The results of all checks, and facts about the app for the checks of `recordings doctor`."""

    results: Sequence[CheckResult]
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_settings(cls, error: SettingsError, others: Iterable[str]) -> Self:
        """Return the diagnosis of an app with wrong settings: one result with every fault, the other checks skipped."""
        faults = [line.strip().removeprefix("- ") for line in str(error).splitlines()[1:]] or [str(error)]
        wrong = CheckResult(
            SETTINGS,
            CheckStatus.FAILED,
            "; ".join(faults),
            "correct the settings named: in infra/, if it made the deployment (azd provision), else in the app",
        )
        return cls([wrong, *(_waiting(check, SETTINGS) for check in others)])

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object; its status is the worst of the results'."""
        statuses = {result.status for result in self.results}
        worst = next(filter(statuses.__contains__, (CheckStatus.FAILED, CheckStatus.WARNING)), CheckStatus.OK)
        return {"status": worst.value, "checks": [result.as_json() for result in self.results], "facts": self.facts}


async def run_checks[S](checks: Sequence[Check[S]], around: S) -> list[CheckResult]:
    """Run all checks, at the same time where none waits for another, and return the results in the given order."""
    running: dict[str, asyncio.Task[CheckResult]] = {}

    async def result(check: Check[S]) -> CheckResult:
        for name in check.after:
            if (await running[name]).status in {CheckStatus.FAILED, CheckStatus.SKIPPED}:
                return _waiting(check.id, name)
        return await _made(check, around)

    async with asyncio.TaskGroup() as group:
        for check in checks:
            running[check.id] = group.create_task(result(check))
    return [task.result() for task in running.values()]


async def _made[S](check: Check[S], around: S) -> CheckResult:
    def failed(detail: str, mend: str) -> CheckResult:
        return CheckResult(check.id, CheckStatus.FAILED, detail, mend)

    try:
        async with asyncio.timeout(TIMEOUT):
            return CheckResult(check.id, CheckStatus.OK, await check.run(around))
    except Trouble as trouble:
        return CheckResult(check.id, trouble.status, trouble.detail, trouble.mend)
    except TimeoutError:
        return failed(f"no answer within {TIMEOUT:g} s", "check the address and the network")
    except AzureError as error:
        return failed(*explained(error, check.role))
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the results of the others
        return failed(f"the check itself failed ({type(error).__name__})", "report it as a bug")


def _waiting(check: str, other: str) -> CheckResult:
    return CheckResult(check, CheckStatus.SKIPPED, f"not checked: {other} has to pass first")


def explained(error: AzureError, role: str) -> tuple[str, str]:
    """Return what Storage refused, and the fix, with the `role` that the app's identity needs.

    The error's own message is not used: it quotes requests.
    """
    status = getattr(error, "status_code", None)
    name, answer = error_code(error), reason(error)
    if name in _REFUSALS:
        return f"refused: {answer}", _REFUSALS[name]
    match error:
        case ResourceNotFoundError():
            return "it does not exist", "deploy infra/ again (azd provision), or create it"
        case HttpResponseError() if status in {401, 403}:
            return f"refused: {answer}", f"give the app's identity {role}; with a connection string, check its key"
        case ClientAuthenticationError():
            return "the app's identity gets no token", NO_IDENTITY
        case HttpResponseError() if status is not None:
            return f"it answered {answer}", TRY_AGAIN
        case _:
            return "it cannot be reached", "check the address in ARCHIVE_STORAGE and the network"
