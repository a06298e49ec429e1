"""What a diagnosis is made of: findings, each with its mend, and the order in which checks can be made."""

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
"""Seconds that one check has."""

SETTINGS = "settings"
"""The check that comes before all others: without settings nothing else can be tried."""


NO_IDENTITY = "attach the identity to the app, with its client id in ARCHIVE_STORAGE__clientId and AZURE_CLIENT_ID"
"""The mend of an identity that Azure does not know on the app."""

_REFUSALS = {
    "AuthorizationFailure": "let the app's network through the account's firewall; with a connection string, check its "
    "key",
    "KeyBasedAuthenticationNotPermitted": "replace ARCHIVE_STORAGE by the addresses ARCHIVE_STORAGE__blobServiceUri, "
    "ARCHIVE_STORAGE__queueServiceUri and ARCHIVE_STORAGE__tableServiceUri",
}


class CheckStatus(StrEnum):
    """How a check ended, from best to worst but for `SKIPPED`, which says nothing."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found.

    Attributes
    ----------
    check
        The check's id, such as `storage.container.write`.
    detail
        What was found, in one line.
    mend
        What to do; None where all is well.
    """

    check: str
    status: CheckStatus
    detail: str
    mend: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        mend = {} if self.mend is None else {"mend": self.mend}
        return {"check": self.check, "status": self.status.value, "detail": self.detail, **mend}


class Trouble(Exception):  # noqa: N818 - named for what it is
    """A check found something.

    Parameters
    ----------
    detail, mend
        As in `CheckResult`.
    status
        `FAILED`, unless it is only worth knowing.
    """

    def __init__(self, detail: str, mend: str | None = None, *, status: CheckStatus = CheckStatus.FAILED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mend = mend
        self.status = status


@dataclass(frozen=True, slots=True)
class Check[S]:
    """One thing that can be tried.

    Attributes
    ----------
    id
        Its name in answers and documents.
    run
        Tries it on the surroundings, and returns what is well in one line, or raises `Trouble`; errors of the Azure
        SDKs are told in plain words.
    role
        The role that the app's identity needs for it, with the scope.
    after
        Checks that have to be well before this one says anything.
    """

    id: str
    run: Callable[[S], Awaitable[str]]
    role: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and facts about the app that those outside need for theirs."""

    findings: Sequence[CheckResult]
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_settings(cls, error: SettingsError, others: Iterable[str]) -> Self:
        """Return the diagnosis of an app whose settings are wrong: every fault in one finding, the others skipped."""
        faults = [line.strip().removeprefix("- ") for line in str(error).splitlines()[1:]] or [str(error)]
        wrong = CheckResult(
            SETTINGS,
            CheckStatus.FAILED,
            "; ".join(faults),
            "mend the app settings named, in infra/ if the deployment comes from there (azd provision)",
        )
        return cls([wrong, *(_waiting(check, SETTINGS) for check in others)])

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object; its status is the worst of the findings'."""
        statuses = {finding.status for finding in self.findings}
        worst = next(
            (status for status in (CheckStatus.FAILED, CheckStatus.WARNING) if status in statuses), CheckStatus.OK
        )
        return {"status": worst.value, "checks": [finding.as_json() for finding in self.findings], "facts": self.facts}


async def run_checks[S](checks: Sequence[Check[S]], around: S) -> list[CheckResult]:
    """Make all checks, at once where none waits for another, and return their findings in the given order."""
    running: dict[str, asyncio.Task[CheckResult]] = {}

    async def finding(check: Check[S]) -> CheckResult:
        for name in check.after:
            if (await running[name]).status in {CheckStatus.FAILED, CheckStatus.SKIPPED}:
                return _waiting(check.id, name)
        return await _made(check, around)

    async with asyncio.TaskGroup() as group:
        for check in checks:
            running[check.id] = group.create_task(finding(check))
    return [task.result() for task in running.values()]


async def _made[S](check: Check[S], around: S) -> CheckResult:
    def failed(detail: str, mend: str) -> CheckResult:
        return CheckResult(check.id, CheckStatus.FAILED, detail, mend)

    try:
        async with asyncio.timeout(TIMEOUT):
            return CheckResult(check.id, CheckStatus.OK, await check.run(around))
    except Trouble as found:
        return CheckResult(check.id, found.status, found.detail, found.mend)
    except TimeoutError:
        return failed(f"no answer within {TIMEOUT:g} s", "check the address and the way through the network")
    except AzureError as error:
        return failed(*explained(error, check.role))
    except Exception as error:  # noqa: BLE001 - what breaks one check must not hide what the others find
        return failed(f"the check itself failed ({type(error).__name__})", "report it as a bug")


def _waiting(check: str, other: str) -> CheckResult:
    return CheckResult(check, CheckStatus.SKIPPED, f"nothing can be said before {other} is well")


def explained(error: AzureError, role: str) -> tuple[str, str]:
    """Say in plain words what Storage refused, and the mend.

    Parameters
    ----------
    error
        As the SDK raised it. Its own message is not used: it quotes requests.
    role
        What the app's identity needs, for the mend.
    """
    status = getattr(error, "status_code", None)
    name, said = error_code(error), reason(error)
    if name in _REFUSALS:
        return f"refused: {said}", _REFUSALS[name]
    match error:
        case ResourceNotFoundError():
            return "it does not exist", "deploy infra/ again (azd provision), or create it"
        case HttpResponseError() if status in {401, 403}:
            return f"refused: {said}", f"give the app's identity {role}; with a connection string, check its key"
        case ClientAuthenticationError():
            return "the app's identity gets no token", NO_IDENTITY
        case HttpResponseError() if status is not None:
            return f"it answered {said}", "try again; if it stays, see the account's health in the portal"
        case _:
            return "it cannot be reached", "check the address in ARCHIVE_STORAGE and the way through the network"
