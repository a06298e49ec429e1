"""Errors as they are answered: RFC 9457 problem details."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.core import errors
from shared.core.errors import ArchiverError, ServiceError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem.

    Attributes
    ----------
    name
        The stable end of its `type`.
    status
        The HTTP status of the answer.
    meaning
        What has happened, and what a caller can do.
    of
        The app's error that it answers, if there is one.
    service
        The statuses of the service that it answers.
    """

    name: str
    status: int
    title: str
    meaning: str
    of: type[ArchiverError] | None = None
    service: tuple[int, ...] = ()

    @property
    def type(self) -> str:
        """The problem's `type`."""
        return f"urn:recording-archiver:problem:{self.name}"


_THE_SERVICES = "`code` and `serviceMessage` are the service's own."

INVALID_REQUEST = ProblemKind(
    "invalid-request", 400, "The request is wrong", "`errors` names every wrong field.", errors.InvalidRequest
)
REFUSED = ProblemKind("refused-by-service", 400, "The service refused the operation", _THE_SERVICES, service=(400,))
CONSENT_REQUIRED = ProblemKind(
    "consent-required", 403, "Consent is required", "Give `consent` with the start.", errors.ConsentRequired
)
NOT_FOUND = ProblemKind(
    "recording-not-found",
    404,
    "There is no such recording or call",
    f"Neither the service nor the archive has it. {_THE_SERVICES}",
    errors.RecordingNotFound,
    (404,),
)
NOT_ARCHIVED = ProblemKind(
    "not-archived", 404, "The archive has no such recording", "It may not be announced yet.", errors.NotArchived
)
NO_FINDING = ProblemKind(
    "finding-not-found", 404, "There is no such incident", "It may be settled.", errors.IncidentNotFound
)
NO_CALLBACK = ProblemKind(
    "callback-not-found", 404, "There is no such callback address", "The app did not make it.", errors.UnknownCallback
)
WRONG_STATE = ProblemKind(
    "wrong-state", 409, "The recording is in another state", "`state` names it. Nothing was done.", errors.WrongState
)
ALREADY_RECORDING = ProblemKind(
    "already-recording", 409, "The call is being recorded already", "A call has one recording at a time."
)
NOTHING_TO_RETRY = ProblemKind(
    "nothing-to-retry", 409, "There is nothing to retry", "`detail` has the reason and the fix.", errors.NothingToRetry
)
UNREADABLE = ProblemKind(
    "manifest-unreadable",
    409,
    "A manifest in the archive was changed",
    "`detail` names the blob and the fix. Nothing was done.",
    errors.ManifestUnreadable,
)
CONFLICT = ProblemKind(
    "conflict-at-service", 409, "The service reports a conflict", "`code` is the service's own.", service=(409,)
)
PRECONDITION = ProblemKind(
    "precondition-at-service", 412, "The service reports a failed precondition", "See `code`.", service=(412,)
)
BODY_TOO_LARGE = ProblemKind(
    "body-too-large", 413, "The body is too large", "`detail` names the limit.", errors.BodyTooLarge
)
KEY_REUSED = ProblemKind(
    "idempotency-key-reused", 422, "The Idempotency-Key was used before", "Use a new key.", errors.IdempotencyConflict
)
TOO_MANY = ProblemKind(
    "too-many-requests", 429, "The service throttles requests", "Wait for Retry-After, then try again.", service=(429,)
)
INTERNAL = ProblemKind("internal", 500, "The app failed", "An error in the app; its log has the cause.", ArchiverError)
CREDENTIALS = ProblemKind(
    "service-credentials",
    502,
    "The service refuses the app's credentials",
    "An operator has to correct ACS_ENDPOINT, its roles, or ACS_CONNECTION_STRING.",
    service=(401, 403),
)
SERVICE_FAILED = ProblemKind("service-failed", 502, "The service failed", "It failed several times; try later.")
SERVICE_UNAVAILABLE = ProblemKind(
    "service-unavailable", 503, "The service is not available", "Try later.", service=(503,)
)
STORAGE_UNAVAILABLE = ProblemKind(
    "storage-unavailable", 503, "The archive's storage is not available", "Try later.", errors.StorageUnavailable
)
SETTINGS = ProblemKind(
    "settings", 503, "The app is not set up", "`detail` names every wrong setting and the fix.", errors.SettingsError
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, ProblemKind))
"""Every kind of problem, by status."""

_OF_ERRORS = {kind.of: kind for kind in KINDS if kind.of is not None}
_OF_STATUSES = {status: kind for kind in KINDS for status in kind.service}


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class FieldFault(_Model):
    """A fault of one field of the body."""

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
    """Return the problem that an error is answered with."""
    kind = kind_of(error)
    retry_after = getattr(error, "retry_after", None)
    members = {"detail": str(error), **_members(error)}
    body = ProblemBody(type=kind.type, title=kind.title, status=kind.status, **members)
    headers = {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
    return Problem(kind.status, body.model_dump(mode="json", by_alias=True, exclude_none=True), headers)


def kind_of(error: ArchiverError) -> ProblemKind:
    """Return an error's kind."""
    if not isinstance(error, ServiceError):
        return next(_OF_ERRORS[base] for base in type(error).__mro__ if base in _OF_ERRORS)
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
        case errors.InvalidRequest():
            faults = [FieldFault(pointer=_fragment(fault.path), detail=fault.detail) for fault in error.faults]
            return {"field": error.field, "errors": faults or None}
        case errors.ConsentRequired():
            return {"field": error.field}
        case errors.WrongState():
            return {"state": error.state}
        case _:
            return {}


def _fragment(path: str) -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, section 6); the empty one is the whole body."""
    return f"#/{quote(path)}" if path else "#"
