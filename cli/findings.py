"""Findings: the results of the checks of `recordings doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check
        Its id, such as `events.target`.
    detail
        What was found, in one line.
    fix
        What to do; None where there is nothing to do.
    """

    check: str
    status: Status
    detail: str
    fix: str | None = None

    @classmethod
    def ok(cls, check: str, detail: str) -> Self:
        """Return that the check passed."""
        return cls(check, Status.OK, detail)

    @classmethod
    def warning(cls, check: str, detail: str, fix: str) -> Self:
        """Return something that an operator should know, although everything works."""
        return cls(check, Status.WARNING, detail, fix)

    @classmethod
    def failed(cls, check: str, detail: str, fix: str) -> Self:
        """Return something that does not work."""
        return cls(check, Status.FAILED, detail, fix)

    @classmethod
    def skipped(cls, check: str, reason: str) -> Self:
        """Return why the check was not possible."""
        return cls(check, Status.SKIPPED, reason)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read a finding of the app's own diagnosis."""
        return cls(str(found["check"]), Status(found["status"]), str(found["detail"]), found.get("mend"))

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of `--json`; `fix` is its member `mend`, as in the API."""
        return {"check": self.check, "status": self.status.value, "detail": self.detail, "mend": self.fix}


def all_skipped(checks: Iterable[str], reason: str) -> list[Finding]:
    """Return that none of `checks` was possible."""
    return [Finding.skipped(check, reason) for check in checks]


def worst(findings: Iterable[Finding]) -> Status:
    """Return `FAILED` if anything failed, else `WARNING` if anything warns, else `OK`."""
    statuses = {finding.status for finding in findings}
    return next((status for status in (Status.FAILED, Status.WARNING) if status in statuses), Status.OK)
