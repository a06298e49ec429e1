"""Counters under the names of the service's metrics, and the last failures with their reason."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from local.eventgrid.schemas import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable


class Metric(StrEnum):
    """What Azure Monitor counts for a topic; the ones from `MATCHED` on also for each subscription."""

    PUBLISHED = "PublishSuccessCount"
    REFUSED = "PublishFailCount"
    UNMATCHED = "UnmatchedEventCount"
    MATCHED = "MatchedEventCount"
    DELIVERED = "DeliverySuccessCount"
    ATTEMPT_FAILED = "DeliveryAttemptFailCount"
    DEAD_LETTERED = "DeadLetteredCount"
    DROPPED = "DroppedEventCount"


TOPIC_METRICS = tuple(Metric)
SUBSCRIPTION_METRICS = (Metric.MATCHED, Metric.DELIVERED, Metric.ATTEMPT_FAILED, Metric.DEAD_LETTERED, Metric.DROPPED)


class Counters:
    """Counts that also add up in the counters of the topic above."""

    def __init__(self, shown: Iterable[Metric], parent: Counters | None = None) -> None:
        self._counts: Counter[Metric] = Counter()
        self._shown = tuple(shown)
        self._parent = parent

    def add(self, metric: Metric, count: int = 1) -> None:
        """Count events here and in the parent."""
        self._counts[metric] += count
        if self._parent is not None:
            self._parent.add(metric, count)

    def as_dict(self) -> dict[str, int]:
        """Return every shown count, zeros too."""
        return {metric.value: self._counts[metric] for metric in self._shown}


@dataclass(slots=True, frozen=True)
class Failure:
    """One failed delivery attempt, or one failed write of a dead letter."""

    time: float
    event_ids: tuple[str, ...]
    attempt: int
    outcome: str
    detail: str

    def as_dict(self) -> dict[str, object]:
        """Return the failure as JSON."""
        return {
            "time": timestamp(self.time),
            "eventIds": list(self.event_ids),
            "attempt": self.attempt,
            "outcome": self.outcome,
            "detail": self.detail,
        }


class FailureLog:
    """The last failures of a subscription, oldest first."""

    def __init__(self, kept: int) -> None:
        self._failures: deque[Failure] = deque(maxlen=kept)

    def add(self, failure: Failure) -> None:
        """Remember a failure and forget the oldest if there are too many."""
        self._failures.append(failure)

    def as_list(self) -> list[dict[str, object]]:
        """Return the failures as JSON."""
        return [failure.as_dict() for failure in self._failures]
