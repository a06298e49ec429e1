"""The bodies of responses about the app itself. The OpenAPI document is made from these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from shared.core.models import ResponseModel


class Dependency(ResponseModel):
    """Whether something the app depends on can be reached."""

    status: Literal["ok", "failed"]
    detail: Annotated[str, Field(description="What is wrong and the mend; absent where all is well.")] = ""


class HealthBody(ResponseModel):
    """Whether the app can do its work."""

    status: Literal["ok", "failed"]
    dependencies: dict[str, Dependency]


class CheckResultBody(ResponseModel):
    """What one check found."""

    check: str
    status: Literal["ok", "skipped", "warning", "failed"]
    detail: str
    mend: Annotated[str, Field(description="What to do; absent where all is well.")] = ""


class DiagnosisBody(ResponseModel):
    """What is wrong with the deployment; `status` is the worst of the checks'."""

    status: Literal["ok", "warning", "failed"]
    checks: list[CheckResultBody]
    facts: dict[str, Any]


class IncidentBody(ResponseModel):
    """Something that an operator has to look at."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str
    reason: str
    severity: Literal["notice", "warning", "urgent", "critical"]
    hours_left: Annotated[float | None, Field(ge=0, description="Until the source expires; null: not known.")]


class IncidentList(ResponseModel):
    """What an operator has to look at, the loudest first."""

    findings: list[IncidentBody]


class Settled(ResponseModel):
    """Whether the finding was on the list."""

    settled: bool
