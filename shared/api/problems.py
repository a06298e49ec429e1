"""Errors as callers see them: RFC 9457 problem details."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.core.errors import (
    ArchiverError,
    BodyTooLarge,
    ConsentRequired,
    IdempotencyConflict,
    IncidentNotFound,
    InvalidRequest,
    ManifestUnreadable,
    NotArchived,
    NothingToRetry,
    RecordingNotFound,
    ServiceError,
    SettingsError,
    StorageUnavailable,
    UnknownCallback,
    WrongState,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:recording-archiver:problem:"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem.

    Attributes
    ----------
    name
        The stable end of its `type`.
    status
        The HTTP status it is answered with.
    meaning
        What has happened, and what a caller can do.
    """

    name: str
    status: int
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """The problem's `type`."""
        return f"{TYPE_PREFIX}{self.name}"


INVALID_REQUEST = ProblemKind("invalid-request", 400, "The request is wrong", "`errors` names every field at fault.")
REFUSED = ProblemKind(
    "refused-by-service", 400, "The service refused the operation", "`code` and `serviceMessage` are the service's own."
)
CONSENT_REQUIRED = ProblemKind("consent-required", 403, "Consent is required", "Give `consent` with the start.")
NOT_FOUND = ProblemKind(
    "recording-not-found",
    404,
    "There is no such recording or call",
    "Neither the service nor the archive knows it. `code` and `serviceMessage` are the service's own.",
)
NOT_ARCHIVED = ProblemKind("not-archived", 404, "The archive has no such recording", "It may not be announced yet.")
NO_FINDING = ProblemKind(
    "finding-not-found", 404, "There is no such finding", "It is not on the list; it may be settled."
)
NO_CALLBACK = ProblemKind("callback-not-found", 404, "There is no such callback address", "It was never given out.")
WRONG_STATE = ProblemKind(
    "wrong-state",
    409,
    "The recording is in another state",
    "The operation makes no sense in `state`; nothing was done.",
)
ALREADY_RECORDING = ProblemKind(
    "already-recording", 409, "The call is being recorded already", "The service records a call once at a time."
)
NOTHING_TO_RETRY = ProblemKind(
    "nothing-to-retry", 409, "There is nothing to retry", "`detail` says why, and what to do instead."
)
UNREADABLE = ProblemKind(
    "manifest-unreadable",
    409,
    "A manifest in the archive was changed",
    "`detail` names the blob and the mend. Nothing was done.",
)
CONFLICT = ProblemKind("conflict-at-service", 409, "The service reports a conflict", "`code` is the service's own.")
PRECONDITION = ProblemKind("precondition-at-service", 412, "The service reports a failed precondition", "See `code`.")
BODY_TOO_LARGE = ProblemKind("body-too-large", 413, "The body is too large", "`detail` names the limit.")
KEY_REUSED = ProblemKind(
    "idempotency-key-reused", 422, "The Idempotency-Key was used before", "Use a new key for another request."
)
TOO_MANY = ProblemKind(
    "too-many-requests", 429, "The service asks to slow down", "Wait for Retry-After, then try again."
)
INTERNAL = ProblemKind("internal", 500, "The app failed", "A fault of the app; its log says more.")
CREDENTIALS = ProblemKind(
    "service-credentials",
    502,
    "The service refuses the app's credentials",
    "An operator has to mend ACS_ENDPOINT, its roles, or ACS_CONNECTION_STRING.",
)
SERVICE_FAILED = ProblemKind("service-failed", 502, "The service failed", "It did so again and again; try later.")
SERVICE_UNAVAILABLE = ProblemKind("service-unavailable", 503, "The service is not available", "Try later.")
STORAGE_UNAVAILABLE = ProblemKind(
    "storage-unavailable",
    503,
    "The archive's storage is not available",
    "What was asked cannot be known now; try later.",
)
SETTINGS = ProblemKind("settings", 503, "The app is not set up", "`detail` names every setting at fault and its mend.")

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, ProblemKind))
"""Every kind of problem, by status."""

_OF_ERRORS: tuple[tuple[type[ArchiverError], ProblemKind], ...] = (
    (InvalidRequest, INVALID_REQUEST),
    (BodyTooLarge, BODY_TOO_LARGE),
    (RecordingNotFound, NOT_FOUND),
    (NotArchived, NOT_ARCHIVED),
    (UnknownCallback, NO_CALLBACK),
    (IncidentNotFound, NO_FINDING),
    (NothingToRetry, NOTHING_TO_RETRY),
    (ConsentRequired, CONSENT_REQUIRED),
    (WrongState, WRONG_STATE),
    (IdempotencyConflict, KEY_REUSED),
    (ManifestUnreadable, UNREADABLE),
    (StorageUnavailable, STORAGE_UNAVAILABLE),
    (SettingsError, SETTINGS),
    (ArchiverError, INTERNAL),
)

_OF_STATUSES = {
    400: REFUSED,
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: NOT_FOUND,
    409: CONFLICT,
    412: PRECONDITION,
    429: TOO_MANY,
    503: SERVICE_UNAVAILABLE,
}
"""What the caller can mend is passed on; what is between the app and the service becomes 502 or 503."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class FieldFault(_Model):
    """What is wrong with one field of the body."""

    pointer: Annotated[str, Field(description="JSON pointer to the field, as a fragment: `#/channelAffinity/0`.")]
    detail: str


class ProblemBody(_Model):
    """Problem details (RFC 9457). `type` is stable; `title` and `detail` are for people."""

    type: Annotated[str, Field(json_schema_extra={"enum": [kind.type for kind in KINDS]})]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    field: Annotated[str | None, Field(description="The field or header at fault.")] = None
    errors: Annotated[list[FieldFault] | None, Field(description="Every field at fault.")] = None
    state: Annotated[str | None, Field(description="The state the recording is in.")] = None
    code: Annotated[str | None, Field(description="The service's error code.")] = None
    service_message: Annotated[str | None, Field(description="The service's explanation.")] = None
    service_status: Annotated[int | None, Field(description="The HTTP status of the service's answer.")] = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem details object and the headers that go with it."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def problem(error: ArchiverError) -> Problem:
    """Return what a caller is told of an error."""
    kind = kind_of(error)
    retry_after = getattr(error, "retry_after", None)
    members = {"detail": str(error), **_members(error)}
    body = ProblemBody(type=kind.type, title=kind.title, status=kind.status, **members)
    wire = body.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Problem(kind.status, wire, {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))})


def kind_of(error: ArchiverError) -> ProblemKind:
    """Return which kind of problem an error is."""
    if not isinstance(error, ServiceError):
        return next(kind for known, kind in _OF_ERRORS if isinstance(error, known))
    if error.says_already_recording:
        return ALREADY_RECORDING
    return _OF_STATUSES.get(error.status, SERVICE_FAILED)


def _members(error: ArchiverError) -> dict[str, Any]:
    match error:
        case ServiceError():
            return {
                "detail": error.message,
                "code": error.code,
                "service_message": error.message,
                "service_status": error.status,
            }
        case InvalidRequest():
            faults = [FieldFault(pointer=_fragment(fault.path), detail=fault.detail) for fault in error.faults]
            return {"field": error.field, "errors": faults or None}
        case ConsentRequired():
            return {"field": error.field}
        case WrongState():
            return {"state": error.state}
        case _:
            return {}


def _fragment(path: str) -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, section 6); the empty one is the whole body."""
    return f"#/{quote(path)}" if path else "#"
