"""Errors as callers see them: RFC 9457 problem details."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from shared.errors import (
    ArchiverError,
    BodyTooLarge,
    ConsentRequired,
    IdempotencyConflict,
    InvalidRequest,
    ServiceError,
    SettingsError,
    StorageUnavailable,
    UnknownCallback,
    WrongState,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:recording-archiver:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem details object and the headers that go with it."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


_KINDS: tuple[tuple[type[ArchiverError], int, str, str], ...] = (
    (InvalidRequest, 400, "invalid-request", "The request is wrong"),
    (BodyTooLarge, 413, "body-too-large", "The body is too large"),
    (UnknownCallback, 404, "callback-not-found", "There is no such callback address"),
    (ConsentRequired, 403, "consent-required", "Consent is required"),
    (WrongState, 409, "wrong-state", "The recording is in another state"),
    (IdempotencyConflict, 422, "idempotency-key-reused", "The Idempotency-Key was used before"),
    (StorageUnavailable, 503, "storage-unavailable", "The archive's storage is not available"),
    (SettingsError, 503, "settings", "The app is not set up"),
    (ArchiverError, 500, "internal", "The app failed"),
)


def problem(error: ArchiverError) -> Problem:
    """Return what a caller is told of an error. `type` is stable; `detail` is for people."""
    if isinstance(error, ServiceError):
        return _service_problem(error)
    _, status, name, title = next(known for known in _KINDS if isinstance(error, known[0]))
    # What names the fault to a program stands in the error's attributes of these names.
    members = {member: getattr(error, member, None) for member in ("field", "state")}
    return _problem(status, name, title, str(error), **members)


def _service_problem(error: ServiceError) -> Problem:
    """Pass on what the caller can mend; what is between the app and the service becomes 502 or 503."""
    headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
    match error.status:
        case 404:
            name, title, status = "recording-not-found", "The service does not know this recording or call", 404
        case 400 | 409 | 412:
            name, title, status = "refused-by-service", "The service refused the operation", error.status
        case 429:
            name, title, status = "too-many-requests", "The service asks to slow down", 429
        case 401 | 403:
            name, title, status = "service-credentials", "The service refuses the app's credentials", 502
        case 503:
            name, title, status = "service-unavailable", "The service is not available", 503
        case _:
            name, title, status = "service-failed", "The service failed", 502
    return _problem(
        status,
        name,
        title,
        error.message,
        headers,
        code=error.code,
        serviceMessage=error.message,
        serviceStatus=error.status,
    )


def _problem(
    status: int, name: str, title: str, detail: str, headers: dict[str, str] | None = None, **extra: object
) -> Problem:
    members = {"type": f"{TYPE_PREFIX}{name}", "title": title, "status": status, "detail": detail, **extra}
    return Problem(status, {name: value for name, value in members.items() if value is not None}, headers or {})
