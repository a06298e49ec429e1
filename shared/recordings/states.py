"""The state of a recording, derived from the commands, the service's answer, and what is archived.

The service's answer is not enough: it says `inactive` for a recording that is paused, not begun, or broken, and does
not know one that was stopped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from shared.storage.ledger import Operation, Report
from shared.storage.manifest import ManifestStatus

if TYPE_CHECKING:
    from shared.storage.ledger import Facts, Transition
    from shared.storage.manifest import ArchivedChunk, Manifest

SETTLING = timedelta(seconds=30)
"""How long the service may take to show the effect of a command; seconds have been observed."""


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


MEANINGS = {
    State.STARTING: "asked to start; the service does not report it as active yet",
    State.ACTIVE: "being recorded",
    State.PAUSED: "paused by this app, or started paused; nothing is recorded",
    State.STOPPING: "stopped or the call has ended, and the service is still closing the recording",
    State.PROCESSING: "ended; the service is making the files, or more files than are archived",
    State.ARCHIVING: "files are announced and being copied",
    State.ARCHIVED: "everything is in the archive",
    State.FAILED: "the service could not record, or a file cannot be archived: an operator must look",
    State.EXPIRED: "the service has deleted its files, and not all of them are archived",
    State.UNKNOWN: "the state cannot be determined; notes say why",
}
"""The meaning of each state."""

RETRY_AFTER = {State.STARTING: 1, State.STOPPING: 1, State.PROCESSING: 10, State.ARCHIVING: 5}
"""Seconds after which a caller should ask again."""

ALLOWED = {
    Operation.PAUSE: frozenset({State.STARTING, State.ACTIVE, State.UNKNOWN}),
    Operation.RESUME: frozenset({State.PAUSED, State.UNKNOWN}),
    Operation.STOP: frozenset({State.STARTING, State.ACTIVE, State.PAUSED, State.UNKNOWN}),
}
"""The states that allow an operation. In an unknown state the service decides."""

LEADS_TO = {Operation.PAUSE: State.PAUSED, Operation.RESUME: State.STARTING, Operation.STOP: State.STOPPING}
"""The state right after an operation that the service has accepted."""


class Seen(StrEnum):
    """The service's answer when it is asked for a recording."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    GONE = "gone"
    """The service knows no such recording; a recording that has ended is not known either."""
    SILENT = "silent"
    """The service does not answer, or fails."""


_ENDS = (Operation.STOP, Report.CALL_ENDED)


class Verdict(NamedTuple):
    """A state, and a remark on it."""

    state: State
    note: str | None = None


def judge(facts: Facts, seen: Seen, manifest: Manifest | None, now: datetime, retention: timedelta) -> Verdict:
    """Return a recording's state.

    `manifest` is None where nothing was announced; `retention` is how long the service keeps a recording's files.
    """
    match seen:
        case Seen.ACTIVE | Seen.INACTIVE:
            return _while_recording(facts, now, active=seen is Seen.ACTIVE)
        case Seen.GONE:
            return _once_ended(facts, manifest, now, retention)
        case Seen.SILENT:
            return _unseen(facts, manifest, now, retention)


def expiry(facts: Facts, manifest: Manifest | None, retention: timedelta) -> datetime | None:
    """Return when the service deletes the files, as far as that is known.

    The event's deadline is the best source. Without one, retention is counted from the recording's end.
    """
    if (known := facts.moment("expiresAt")) is not None:
        return known
    if manifest is not None and manifest.start_time is not None:
        length = timedelta(milliseconds=manifest.duration_ms or 0)
        return datetime.fromisoformat(manifest.start_time) + length + retention
    ended = _ended_at(facts)
    return ended + retention if ended is not None else None


def _while_recording(facts: Facts, now: datetime, *, active: bool) -> Verdict:
    asked = _last_asked(facts)
    settling = asked is not None and abs(now - asked.at) < SETTLING
    if asked is not None and settling and asked.operation in _ENDS:
        return Verdict(State.STOPPING)
    if active:
        return _active(asked, settling=settling)
    failed = facts.last(Report.FAILED)
    return _failed(failed) if failed is not None else _inactive(facts, asked, settling=settling)


def _inactive(facts: Facts, asked: Transition | None, *, settling: bool) -> Verdict:
    if asked is None:
        return Verdict(State.UNKNOWN, _INACTIVE_ELSEWHERE)
    if asked.operation in _ENDS:
        return Verdict(State.UNKNOWN, f"it was ended at {asked.at:%FT%TZ}, and the service still has it, inactive")
    if _pauses(asked, facts):
        return Verdict(State.PAUSED)
    return Verdict(State.STARTING) if settling else Verdict(State.UNKNOWN, _INACTIVE_UNASKED)


def _active(asked: Transition | None, *, settling: bool) -> Verdict:
    if asked is None or asked.operation in {Operation.START, Operation.RESUME}:
        return Verdict(State.ACTIVE)
    if asked.operation is Operation.PAUSE and settling:
        return Verdict(State.PAUSED)
    return Verdict(State.ACTIVE, f"the service records, although the last known operation is {asked.operation}")


def _once_ended(facts: Facts, manifest: Manifest | None, now: datetime, retention: timedelta) -> Verdict:
    if manifest is not None and manifest.chunks:
        return _once_announced(facts, manifest, now, retention)
    failed = facts.last(Report.FAILED)
    if failed is not None:
        return _failed(failed)
    if _nothing_was_recorded(facts):
        return Verdict(State.ARCHIVED, "it was started paused and never resumed, so there are no files")
    ended = _ended_at(facts)
    if ended is not None and now - ended >= retention:
        return Verdict(State.EXPIRED, "its files were never announced, and the service has deleted them by now")
    return Verdict(State.PROCESSING)


def _once_announced(facts: Facts, manifest: Manifest, now: datetime, retention: timedelta) -> Verdict:
    if manifest.status is ManifestStatus.COMPLETE:
        return Verdict(State.ARCHIVED)
    waiting = [chunk for chunk in manifest.chunks if chunk.archived_at is None]
    given_up = [chunk for chunk in waiting if _given_up(facts, chunk)]
    expires_at = expiry(facts, manifest, retention)
    if expires_at is not None and now >= expires_at:
        missing = ", ".join(str(chunk.index) for chunk in waiting) or "after the last one that was announced"
        return Verdict(State.EXPIRED, f"not archived in time: chunk {missing}")
    if not waiting:
        return Verdict(State.PROCESSING)
    if len(given_up) == len(waiting):
        indexes = ", ".join(str(chunk.index) for chunk in given_up)
        return Verdict(State.FAILED, f"cannot be archived: chunk {indexes}; lastError of the chunk gives the reason")
    return Verdict(State.ARCHIVING)


def _unseen(facts: Facts, manifest: Manifest | None, now: datetime, retention: timedelta) -> Verdict:
    """Return the state as far as it does not depend on the service, which cannot be asked."""
    asked = _last_asked(facts)
    settling = asked is not None and abs(now - asked.at) < SETTLING
    over = asked.operation in _ENDS if asked is not None else manifest is not None
    if (over and not settling) or (manifest is not None and manifest.status is ManifestStatus.COMPLETE):
        return _once_ended(facts, manifest, now, retention)
    failed = facts.last(Report.FAILED)
    if failed is not None:
        return _failed(failed)
    return _as_last_known(facts, asked, settling=settling)


def _as_last_known(facts: Facts, asked: Transition | None, *, settling: bool) -> Verdict:
    reported = facts.last(Report.ACTIVE)
    match asked:
        case None:
            return Verdict(State.UNKNOWN)
        case _ if asked.operation in _ENDS:
            return Verdict(State.STOPPING)
        case _ if _pauses(asked, facts):
            return Verdict(State.PAUSED)
        case _ if reported is not None and reported.at >= asked.at:
            return Verdict(State.ACTIVE)
        case _:
            return Verdict(State.STARTING if settling else State.UNKNOWN)


def _last_asked(facts: Facts) -> Transition | None:
    """Return the last command, or the end of the call.

    The start counts as the first, even where the clocks of two instances differ.
    """
    return facts.last(Operation.PAUSE, Operation.RESUME, *_ENDS) or facts.last(Operation.START)


def _pauses(asked: Transition, facts: Facts) -> bool:
    return asked.operation is Operation.PAUSE or (
        asked.operation is Operation.START and bool(facts.known.get("pauseOnStart"))
    )


def _nothing_was_recorded(facts: Facts) -> bool:
    return (
        bool(facts.known.get("pauseOnStart"))
        and facts.last(Operation.START) is not None
        and facts.last(Operation.RESUME, Report.ACTIVE) is None
    )


def _ended_at(facts: Facts) -> datetime | None:
    """Return when the recording ended, or else when the service was first seen not to know it."""
    ended = facts.last(*_ENDS)
    return ended.at if ended is not None else facts.moment("goneSince")


def _given_up(facts: Facts, chunk: ArchivedChunk) -> bool:
    progress = facts.chunks.get(chunk.index)
    return progress is not None and progress.given_up_at is not None


def _failed(failed: Transition) -> Verdict:
    return Verdict(State.FAILED, f"the service could not record: {failed.detail or 'it did not say why'}")


_INACTIVE_ELSEWHERE = (
    "this app did not start it, and the service says inactive, "
    "which it says of a recording that is paused, has not begun, or is broken"
)
_INACTIVE_UNASKED = (
    "the service says inactive, and this app did not pause it: another client did, it has not begun, or it is broken"
)
