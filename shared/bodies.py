"""The bodies of answers. What is answered is built from these models, and the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.ledger import Operation
from shared.states import MEANINGS, State

_ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3YjFjIn0"
_STATES = " ".join(f"`{state}`: {meaning}." for state, meaning in MEANINGS.items())

RecordingId = Annotated[str, Field(description="The service's id of the recording.", examples=[_ID])]
StateOf = Annotated[State, Field(description=_STATES)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:15:00.000000Z"])]


class Body(BaseModel):
    """Base of all bodies: camelCase names; what is not known is null, never left out."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, json_schema_serialization_defaults_required=True
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self.model_dump(mode="json", by_alias=True)


class Started(Body):
    """A recording was started."""

    recording_id: RecordingId
    state: StateOf
    recording_kind: Annotated[str | None, Field(description="Who records, as the service says.")] = None


class Accepted(Body):
    """The service has accepted an operation; `state` is where it leads."""

    recording_id: RecordingId
    state: StateOf


class TransitionBody(Body):
    """Something that was done to the recording, or that the service reported."""

    operation: Operation
    at: Moment
    by: Annotated[str | None, Field(description="Who asked.")] = None
    detail: str | None = None


class Pause(Body):
    """A time in which the recording was paused."""

    begin: Annotated[Moment, Field(alias="from")]
    end: Annotated[Moment | None, Field(alias="to", description="Null while it lasts.")] = None


class ChunkBody(Body):
    """A file of the recording."""

    index: Annotated[int, Field(ge=0)]
    document_id: str
    state: Annotated[
        Literal["waiting", "copying", "retrying", "archived", "failed"],
        Field(description="`retrying`: a try failed and the next is due; `failed`: no try will mend it."),
    ]
    bytes_done: Annotated[int | None, Field(ge=0)] = None
    bytes_total: Annotated[int | None, Field(ge=0, description="Null while the size is not known.")] = None
    tries: Annotated[int, Field(ge=0, description="Failed tries so far.")] = 0
    last_error: Annotated[str | None, Field(description="What the last failed try ended with.")] = None
    next_try_at: Moment | None = None
    archived_at: Moment | None = None


class ServiceFault(Body):
    """Why the service could not be asked."""

    status: int
    code: str
    message: str


class RecordingBody(Body):
    """All that is known of a recording."""

    recording_id: RecordingId
    state: StateOf
    service_state: Annotated[
        str | None,
        Field(description="`active` or `inactive`, as the service says; null where it does not know the recording."),
    ] = None
    service_error: Annotated[ServiceFault | None, Field(description="Where the service could not be asked.")] = None
    notes: Annotated[list[str], Field(description="What has to be said about the state.")] = []
    recording_kind: str | None = None
    call_id: str | None = None
    server_call_id: str | None = None
    started_at: Moment | None = None
    started_by: Annotated[str | None, Field(description="A principal's name, or `function key`.")] = None
    ended_at: Annotated[Moment | None, Field(description="When it was stopped or the call ended.")] = None
    duration_ms: Annotated[int | None, Field(ge=0, description="As the service announced it.")] = None
    options: Annotated[dict[str, Any] | None, Field(description="What was asked for at the start.")] = None
    transitions: list[TransitionBody] = []
    pauses: list[Pause] = []
    prefix: Annotated[str | None, Field(description="Where the recording lies in the archive's container.")] = None
    chunks: Annotated[list[ChunkBody], Field(description="Announced so far, sorted by index.")] = []
    expires_at: Annotated[Moment | None, Field(description="When the service deletes its files.")] = None
    hours_left: Annotated[float | None, Field(ge=0, description="Until `expiresAt`.")] = None


class Dependency(Body):
    """Whether something the app depends on can be reached."""

    status: Literal["ok", "failed"]
    detail: Annotated[str, Field(description="What is wrong and the mend; absent where all is well.")] = ""


class HealthBody(Body):
    """Whether the app can do its work."""

    status: Literal["ok", "failed"]
    dependencies: dict[str, Dependency]


class DiagnosisFinding(Body):
    """What one check found."""

    check: str
    status: Literal["ok", "skipped", "warning", "failed"]
    detail: str
    mend: Annotated[str, Field(description="What to do; absent where all is well.")] = ""


class DiagnosisBody(Body):
    """What is wrong with the deployment; `status` is the worst of the checks'."""

    status: Literal["ok", "warning", "failed"]
    checks: list[DiagnosisFinding]
    facts: dict[str, Any]


class AttentionFinding(Body):
    """Something that an operator has to look at."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str
    reason: str
    severity: Literal["notice", "warning", "urgent", "critical"]
    hours_left: Annotated[float | None, Field(ge=0, description="Until the source expires; null: not known.")]


class AttentionList(Body):
    """What an operator has to look at, the loudest first."""

    findings: list[AttentionFinding]


class Settled(Body):
    """Whether the finding was on the list."""

    settled: bool
