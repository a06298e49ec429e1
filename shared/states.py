"""What state a recording is in, judged from what we did, what the service says, and what is archived.

The service alone cannot tell: it says `inactive` of a recording that is paused, not begun, or broken, and nothing of
one that was stopped.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.ledger import Operation
from shared.manifest import Status

if TYPE_CHECKING:
    from datetime import datetime

    from shared.ledger import Facts
    from shared.manifest import Manifest

SETTLING = timedelta(seconds=30)
"""How long the service may take to show what it was asked for; it has been seen to take seconds."""


class State(StrEnum):
    """A recording's state."""

    STARTING = "starting"
    ACTIVE = "active"
    PAUSED = "paused"
    STOPPING = "stopping"
    PROCESSING = "processing"
    ARCHIVING = "archiving"
    ARCHIVED = "archived"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


RETRY_AFTER = {State.STARTING: 1, State.STOPPING: 1, State.PROCESSING: 10, State.ARCHIVING: 5}
"""Seconds after which it pays to ask again."""

ALLOWED = {
    Operation.PAUSE: frozenset({State.STARTING, State.ACTIVE, State.UNKNOWN}),
    Operation.RESUME: frozenset({State.PAUSED, State.UNKNOWN}),
    Operation.STOP: frozenset({State.STARTING, State.ACTIVE, State.PAUSED, State.UNKNOWN}),
}
"""The states in which an operation makes sense. What we know nothing of is left to the service to judge."""


def state_of(
    facts: Facts, service_state: str | None, manifest: Manifest | None, now: datetime, retention: timedelta
) -> State:
    """Return a recording's state.

    Parameters
    ----------
    facts
        What the ledger knows.
    service_state
        `active` or `inactive`, as the service says; None when it says that there is no such recording.
    manifest
        What is archived, if anything was announced.
    now
        The time, in UTC.
    retention
        How long the service keeps a recording's files.
    """
    if service_state is not None:
        return _while_recording(facts, service_state, now)
    if manifest is not None:
        return _once_announced(facts, manifest, now)
    return _once_ended(facts, now, retention)


def _while_recording(facts: Facts, service_state: str, now: datetime) -> State:
    asked = facts.last(Operation.START, Operation.PAUSE, Operation.RESUME, Operation.STOP)
    active = service_state == "active"
    if asked is None:
        return State.ACTIVE if active else State.UNKNOWN
    settling = now - asked.at < SETTLING
    starts_paused = asked.operation is Operation.START and bool(facts.known.get("pauseOnStart"))
    if asked.operation is Operation.STOP:
        return State.STOPPING
    if asked.operation is Operation.PAUSE or starts_paused:
        return State.ACTIVE if active and not settling else State.PAUSED
    if active:
        return State.ACTIVE
    if facts.last(Operation.REPORTED_FAILED):
        return State.FAILED
    return State.STARTING if settling else State.UNKNOWN


def _once_announced(facts: Facts, manifest: Manifest, now: datetime) -> State:
    if manifest.status is Status.COMPLETE:
        return State.ARCHIVED
    expires_at = facts.moment("expiresAt")
    return State.EXPIRED if expires_at is not None and now >= expires_at else State.ARCHIVING


def _once_ended(facts: Facts, now: datetime, retention: timedelta) -> State:
    """Return the state of a recording that the service has ended and has not announced yet."""
    if not facts:
        return State.UNKNOWN
    if facts.last(Operation.REPORTED_FAILED):
        return State.FAILED
    ended = facts.last(Operation.STOP, Operation.CALL_ENDED) or facts.last(Operation.START)
    if ended is not None and now - ended.at >= retention:
        return State.EXPIRED
    return State.PROCESSING
