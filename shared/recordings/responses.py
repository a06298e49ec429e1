"""The bodies of responses about recordings. The OpenAPI document is made from these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.core.models import ResponseModel
from shared.recordings.states import MEANINGS, State
from shared.storage.ledger import Operation, Report

_ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3YjFjIn0"
_STATES = " ".join(f"`{state}`: {meaning}." for state, meaning in MEANINGS.items())

RecordingId = Annotated[str, Field(description="The service's id of the recording.", examples=[_ID])]
StateOf = Annotated[State, Field(description=_STATES)]
ChunkState = Literal["waiting", "copying", "retrying", "archived", "failed"]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:15:00.000000Z"])]


class Started(ResponseModel):
    """A recording was started."""

    recording_id: RecordingId
    state: StateOf
    recording_kind: Annotated[str | None, Field(description="Who records, as the service says.")] = None


class Accepted(ResponseModel):
    """The service has accepted an operation; `state` is where it leads."""

    recording_id: RecordingId
    state: StateOf


class TransitionBody(ResponseModel):
    """Something that was done to the recording, or that the service reported."""

    operation: Operation | Report
    at: Moment
    by: Annotated[str | None, Field(description="Who asked.")] = None
    detail: str | None = None


class Pause(ResponseModel):
    """A time in which the recording was paused."""

    begin: Annotated[Moment, Field(alias="from")]
    end: Annotated[Moment | None, Field(alias="to", description="Null while it lasts.")] = None


class ChunkBody(ResponseModel):
    """A file of the recording."""

    index: Annotated[int, Field(ge=0)]
    document_id: str
    state: Annotated[
        ChunkState, Field(description="`retrying`: a try failed and the next is due; `failed`: no more tries are made.")
    ]
    bytes_done: Annotated[int | None, Field(ge=0)] = None
    bytes_total: Annotated[int | None, Field(ge=0, description="Null while the size is not known.")] = None
    tries: Annotated[int, Field(ge=0, description="Failed tries so far.")] = 0
    last_error: Annotated[str | None, Field(description="What the last failed try ended with.")] = None
    next_try_at: Moment | None = None
    archived_at: Moment | None = None


class ServiceFault(ResponseModel):
    """Why the service could not be asked."""

    status: int
    code: str
    message: str


class RecordingBody(ResponseModel):
    """All that is known of a recording."""

    recording_id: RecordingId
    state: StateOf
    service_state: Annotated[
        str | None,
        Field(description="`active` or `inactive`, as the service says; null where it does not know the recording."),
    ] = None
    service_error: Annotated[ServiceFault | None, Field(description="Where the service could not be asked.")] = None
    notes: Annotated[tuple[str, ...], Field(description="Remarks on the state.")] = ()
    recording_kind: str | None = None
    call_id: str | None = None
    server_call_id: str | None = None
    started_at: Moment | None = None
    started_by: Annotated[str | None, Field(description="A principal's name, or `function key`.")] = None
    ended_at: Annotated[Moment | None, Field(description="When it was stopped or the call ended.")] = None
    duration_ms: Annotated[int | None, Field(ge=0, description="As the service announced it.")] = None
    options: Annotated[dict[str, Any] | None, Field(description="The options of the start.")] = None
    transitions: tuple[TransitionBody, ...] = ()
    pauses: tuple[Pause, ...] = ()
    prefix: Annotated[str | None, Field(description="Where the recording lies in the archive's container.")] = None
    chunks: Annotated[tuple[ChunkBody, ...], Field(description="Announced so far, sorted by index.")] = ()
    expires_at: Annotated[Moment | None, Field(description="When the service deletes its files.")] = None
    hours_left: Annotated[float | None, Field(ge=0, description="Until `expiresAt`.")] = None
