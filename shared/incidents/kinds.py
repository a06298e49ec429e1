"""The kinds of incidents: the one table of what each means, what shows that it is resolved, and what `retry` does.

A new kind is a member of `IncidentKind` and a row of `KINDS`. If no member of `Resolution` or `Retry` fits it, add one
there: the type checker then names the one place that must handle it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class IncidentKind(StrEnum):
    """What is wrong."""

    EVENT = "event"
    CALL = "call"
    CONSENT = "consent"
    MESSAGE = "message"
    CHUNK = "chunk"
    WAITING = "waiting"
    GAP = "gap"
    SILENCE = "silence"
    DEAD_LETTER = "dead-letter"


class Severity(StrEnum):
    """How urgent an incident is, from the least to the most severe."""

    NOTICE = "notice"
    WARNING = "warning"
    URGENT = "urgent"
    CRITICAL = "critical"


class Resolution(StrEnum):
    """What shows that an incident is resolved."""

    EVENT_ARCHIVED = "all chunks of its event are archived"
    MESSAGE_ARCHIVED = "its message's chunk is archived"
    CHUNK_ARCHIVED = "its chunk is archived, and nothing is left to do about it"
    CHUNKS_ARCHIVED = "all announced chunks of its recording are archived"
    RECORDING_COMPLETE = "its recording is complete"
    CONSENT_ARCHIVED = "its recording's consent is archived"
    CALL_RECORDED = "its call has a recording that the service did not report as failed"
    ANNOUNCED = "an event has announced its recording"
    LETTER_TAKEN_IN = "its dead letter is not waiting any more"


class Retry(StrEnum):
    """What `retry` does with an incident."""

    TAKE_EVENT_IN = "take its event in again"
    SEND_MESSAGE = "send its chunk's message again"
    ANNOUNCE_RECORDING = "take the events in that are kept with its recording"
    KEEP_CONSENT = "put its consent beside the recording's files"
    START_BY_HAND = "nothing: a call can only be started by an operator"
    REFUSE = "nothing"


class Look(StrEnum):
    """How long every sweep checks whether an incident is resolved; afterwards one sweep an hour does."""

    ALWAYS = "as long as it is open"
    AFTER_SEEN = "an hour after it was seen last"
    UNTIL_EXPIRY = "until an hour after its source expires; without a deadline, a day"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What the app knows of a kind.

    Attributes
    ----------
    meaning
        What is wrong, in a sentence for operators.
    resolution, retry
        What shows that it is resolved, and what a retry does.
    instead
        Where a retry does nothing: why, and what an operator can do instead.
    found_by_every_sweep
        Whether every sweep finds it again as long as it lasts; the others are found once, when they happen.
    look
        How long every sweep checks whether it is resolved.
    looked_at_for_good
        Whether the hourly check never ends.
    without_deadline
        Its severity where it is not known when the source expires; with a deadline, the time left decides.
    """

    meaning: str
    resolution: Resolution
    retry: Retry
    instead: str = ""
    found_by_every_sweep: bool = False
    look: Look = Look.UNTIL_EXPIRY
    looked_at_for_good: bool = False
    without_deadline: Severity = Severity.WARNING


KINDS: Mapping[IncidentKind, KindFacts] = {
    IncidentKind.EVENT: KindFacts(
        "An event was refused.", Resolution.EVENT_ARCHIVED, Retry.TAKE_EVENT_IN, look=Look.AFTER_SEEN
    ),
    IncidentKind.CALL: KindFacts(
        "The service refused to record a call that the policy wants recorded.",
        Resolution.CALL_RECORDED, Retry.START_BY_HAND, look=Look.AFTER_SEEN,
    ),
    IncidentKind.CONSENT: KindFacts(
        "A consent that came with a start is not archived.", Resolution.CONSENT_ARCHIVED, Retry.KEEP_CONSENT
    ),
    IncidentKind.MESSAGE: KindFacts(
        "A message of the queue cannot be read.", Resolution.MESSAGE_ARCHIVED, Retry.SEND_MESSAGE, look=Look.AFTER_SEEN
    ),
    IncidentKind.CHUNK: KindFacts(
        "A chunk was not archived, and no more tries are made.", Resolution.CHUNK_ARCHIVED, Retry.SEND_MESSAGE
    ),
    IncidentKind.WAITING: KindFacts(
        "Chunks are announced and not archived.",
        Resolution.CHUNKS_ARCHIVED, Retry.ANNOUNCE_RECORDING, found_by_every_sweep=True,
    ),
    IncidentKind.GAP: KindFacts(
        "A recording has chunks that no event announced, or its manifest cannot be read.",
        Resolution.RECORDING_COMPLETE, Retry.ANNOUNCE_RECORDING, found_by_every_sweep=True, looked_at_for_good=True,
    ),
    IncidentKind.SILENCE: KindFacts(
        "A recording ended, and no event announced its files.",
        Resolution.ANNOUNCED, Retry.REFUSE, found_by_every_sweep=True, look=Look.ALWAYS,
        instead="no event has come for this recording, so its files are not known. Check that events arrive "
        "(recordings doctor), or open a support case. When the event comes, the recording is archived automatically",
    ),
    IncidentKind.DEAD_LETTER: KindFacts(
        "A dead letter holds no event that can be read.",
        Resolution.LETTER_TAKEN_IN, Retry.REFUSE, found_by_every_sweep=True, look=Look.ALWAYS,
        instead="every sweep reads the dead letter again. Fix the blob, or move it to replayed/ if it is not needed",
    ),
}  # fmt: skip
"""The table."""

_STEPS = (
    (timedelta(hours=1), Severity.CRITICAL),
    (timedelta(hours=4), Severity.URGENT),
    (timedelta(hours=12), Severity.WARNING),
)


def severity(kind: IncidentKind, time_left: timedelta | None) -> Severity:
    """Return how urgent an incident is with this much time until the source expires.

    More than 12 hours: notice. Up to 12: warning. Up to 4: urgent. Up to 1, or over: critical. Not known: its kind's.
    """
    if time_left is None:
        return KINDS[kind].without_deadline
    return next((level for limit, level in _STEPS if time_left <= limit), Severity.NOTICE)
