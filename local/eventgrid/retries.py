"""When Event Grid tries again, and when it gives up.

Source: the page "Event Grid message delivery and retry" of the Event Grid documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RETRY_DELAYS = (10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0)
"""Seconds after the first, second, … failed attempt; the last one repeats."""

_OUTCOMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "RequestEntityTooLarge",
    429: "Busy",
    503: "Busy",
    504: "TimedOut",
}


class EndpointType(StrEnum):
    """What kind of destination a subscription has; it decides which statuses are retried."""

    WEB_HOOK = "WebHook"
    AZURE_FUNCTION = "AzureFunction"
    STORAGE_QUEUE = "StorageQueue"


@dataclass(slots=True, frozen=True)
class Outcome:
    """How one delivery attempt ended.

    Parameters
    ----------
    name
        In the service's words: ``Delivered``, ``NotFound``, ``TimedOut``, ``Busy``, …
    status
        The HTTP status, or None if there was no answer.
    detail
        For a person: what happened, with the start of the answer's body.
    """

    name: str
    status: int | None
    detail: str

    @property
    def delivered(self) -> bool:
        """Whether the subscriber acknowledged the events."""
        return self.name == "Delivered"


def outcome_of_status(status: int, excerpt: str = "") -> Outcome:
    """Judge an answer by its status: only 200 to 204 acknowledge an event."""
    detail = f"HTTP {status}" + (f": {excerpt}" if excerpt else "")
    if 200 <= status <= 204:
        return Outcome("Delivered", status, detail)
    return Outcome(_OUTCOMES.get(status, "GenericError"), status, detail)


def undeliverable_reason(status: int | None, endpoint: EndpointType) -> str | None:
    """Return the dead-letter reason if this status is never retried, else None."""
    never = {400, 403, 413} | ({401} if endpoint is EndpointType.WEB_HOOK else set())
    return f"UndeliverableDueToHttp{_OUTCOMES[status]}" if status in never else None


def retry_delay(attempts: int, status: int | None, endpoint: EndpointType) -> float:
    """Return the seconds to wait after the given number of failed attempts.

    Some statuses have a least delay: 408 two minutes, 503 half a minute, 401 and 404 of an Azure resource five.
    """
    least = {408: 120.0, 503: 30.0}
    if endpoint is not EndpointType.WEB_HOOK:
        least |= {401: 300.0, 404: 300.0}
    scheduled = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    return max(scheduled, least.get(status or 0, 0.0))
