"""The bodies of responses about the app itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from shared.core.models import ResponseModel


class Dependency(ResponseModel):
    """Whether something the app depends on can be reached."""

    status: Literal["ok", "failed"]
    detail: Annotated[str, Field(description="What is wrong and the fix; absent where the dependency is healthy.")] = ""


class HealthBody(ResponseModel):
    """Whether the app's dependencies can be reached."""

    status: Literal["ok", "failed"]
    dependencies: dict[str, Dependency]


class CheckResultBody(ResponseModel):
    """The result of one check."""

    check: str
    status: Literal["ok", "skipped", "warning", "failed"]
    detail: str
    mend: Annotated[str, Field(description="The fix; absent where the check passed.")] = ""


class DiagnosisBody(ResponseModel):
    """The results of all checks of the deployment; `status` is the worst of theirs."""

    status: Literal["ok", "warning", "failed"]
    checks: list[CheckResultBody]
    facts: dict[str, Any]


class IncidentBody(ResponseModel):
    """An incident: something that an operator has to look at."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str
    reason: str
    severity: Literal["notice", "warning", "urgent", "critical"]
    hours_left: Annotated[float | None, Field(ge=0, description="Until the source expires; null: not known.")]


class IncidentList(ResponseModel):
    """The incidents, the highest severity first."""

    findings: list[IncidentBody]


class Settled(ResponseModel):
    """Whether the incident was on the list."""

    settled: bool
