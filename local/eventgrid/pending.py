"""An event on its way to one subscription, and what is known of the way so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.eventgrid.schemas import timestamp

if TYPE_CHECKING:
    from local.eventgrid.retries import Outcome
    from local.eventgrid.schemas import AcceptedEvent


@dataclass(slots=True, eq=False)
class Pending:
    """An event on its way to one subscription."""

    event: AcceptedEvent
    attempts: int = 0
    last_attempt: float | None = None
    last_outcome: Outcome | None = None
    dead_letter_reason: str = ""
    drop_at: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what a dead letter says about the delivery."""
        facts: dict[str, Any] = {
            "deadLetterReason": self.dead_letter_reason,
            "deliveryAttempts": self.attempts,
            "lastDeliveryOutcome": self.last_outcome.name if self.last_outcome else "None",
            "publishTime": timestamp(self.event.published),
        }
        if self.last_outcome is not None and self.last_outcome.status is not None:
            facts["lastHttpStatusCode"] = self.last_outcome.status
        if self.last_attempt is not None:
            facts["lastDeliveryAttemptTime"] = timestamp(self.last_attempt)
        return facts

    def shown(self, state: str, due: float | None) -> dict[str, Any]:
        """Return the pending delivery as JSON."""
        return {
            "eventId": self.event.id,
            "eventType": self.event.type,
            "subject": self.event.subject,
            "state": state,
            "attempts": self.attempts,
            "nextAttemptTime": None if due is None else timestamp(due),
            "lastOutcome": self.last_outcome.name if self.last_outcome else None,
            "lastDetail": self.last_outcome.detail if self.last_outcome else None,
            "deadLetterReason": self.dead_letter_reason or None,
        }
