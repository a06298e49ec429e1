from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.times import iso_time
from shared.recordings.states import ALLOWED, LEADS_TO, MEANINGS, SETTLING, Seen, State, expiry, judge
from shared.storage.ledger import ChunkProgress, Facts, Operation, Report, Transition
from tests.unit.recording_parts import NOW, RETENTION, manifest

if TYPE_CHECKING:
    from shared.storage.manifest import Manifest

LONG = 2 * SETTLING
DAYS = timedelta(days=2)
START, PAUSE, RESUME, STOP = Operation.START, Operation.PAUSE, Operation.RESUME, Operation.STOP
CALL_ENDED, FAILED = Report.CALL_ENDED, Report.FAILED
ACTIVE, INACTIVE, GONE, SILENT = Seen.ACTIVE, Seen.INACTIVE, Seen.GONE, Seen.SILENT


def facts(
    *done: Operation | Report, ago: timedelta = timedelta(seconds=1), paused: bool = False, **known: str
) -> Facts:
    """The last operation happened `ago`, each other one an hour before the next."""
    times = [NOW - ago - timedelta(hours=hours) for hours in reversed(range(len(done)))]
    transitions = tuple(Transition(operation, at) for operation, at in zip(done, times, strict=True))
    return Facts("recording1", {**({"pauseOnStart": True} if paused else {}), **known}, transitions)


NOTHING = Facts("recording1")
IN_TIME = iso_time(NOW + timedelta(hours=1))
TOO_LATE = iso_time(NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("known", "seen", "archived", "state"),
    [
        # The service has the recording.
        (facts(START), INACTIVE, None, State.STARTING),
        (facts(START), ACTIVE, None, State.ACTIVE),
        (facts(START, ago=LONG), ACTIVE, None, State.ACTIVE),
        (facts(START, ago=LONG), INACTIVE, None, State.UNKNOWN),
        (facts(START, paused=True), INACTIVE, None, State.PAUSED),
        (facts(START, paused=True, ago=DAYS), INACTIVE, None, State.PAUSED),
        (facts(START, paused=True), ACTIVE, None, State.ACTIVE),
        (facts(START, PAUSE), INACTIVE, None, State.PAUSED),
        (facts(START, PAUSE, ago=DAYS), INACTIVE, None, State.PAUSED),
        (facts(START, PAUSE), ACTIVE, None, State.PAUSED),
        (facts(START, PAUSE, ago=LONG), ACTIVE, None, State.ACTIVE),
        (facts(START, PAUSE, RESUME), INACTIVE, None, State.STARTING),
        (facts(START, PAUSE, RESUME), ACTIVE, None, State.ACTIVE),
        (facts(START, PAUSE, RESUME, ago=LONG), INACTIVE, None, State.UNKNOWN),
        (facts(START, PAUSE, RESUME, PAUSE), INACTIVE, None, State.PAUSED),
        (facts(START, STOP), ACTIVE, None, State.STOPPING),
        (facts(START, STOP), INACTIVE, None, State.STOPPING),
        (facts(START, STOP, ago=LONG), ACTIVE, None, State.ACTIVE),
        (facts(START, STOP, ago=LONG), INACTIVE, None, State.UNKNOWN),
        (facts(START, CALL_ENDED), ACTIVE, None, State.STOPPING),
        (facts(START, FAILED), INACTIVE, None, State.FAILED),
        (facts(START, FAILED), ACTIVE, None, State.ACTIVE),
        (NOTHING, ACTIVE, None, State.ACTIVE),
        (NOTHING, INACTIVE, None, State.UNKNOWN),
        # A recording of days: the first chunks are archived, and it goes on.
        (facts(START, ago=DAYS), ACTIVE, manifest(True, True, last="ChunkMaximumSizeExceeded"), State.ACTIVE),
        (facts(START, PAUSE, ago=DAYS), INACTIVE, manifest(True, last="ChunkMaximumSizeExceeded"), State.PAUSED),
        # The service does not have it any more, and nothing is announced.
        (facts(START, STOP), GONE, None, State.PROCESSING),
        (facts(START, ago=LONG), GONE, None, State.PROCESSING),
        (facts(START, ago=DAYS), GONE, None, State.PROCESSING),
        (facts(START, CALL_ENDED), GONE, None, State.PROCESSING),
        (facts(START, FAILED), GONE, None, State.FAILED),
        (facts(START, STOP, ago=DAYS), GONE, None, State.EXPIRED),
        (facts(START, CALL_ENDED, ago=DAYS), GONE, None, State.EXPIRED),
        (facts(START, ago=DAYS, goneSince=iso_time(NOW - DAYS)), GONE, None, State.EXPIRED),
        (facts(START, ago=DAYS, goneSince=iso_time(NOW)), GONE, None, State.PROCESSING),
        (facts(START, STOP, paused=True), GONE, None, State.ARCHIVED),
        (facts(START, RESUME, STOP, paused=True), GONE, None, State.PROCESSING),
        (facts(START, Report.ACTIVE, STOP, paused=True), GONE, None, State.PROCESSING),
        # Files are announced.
        (facts(START, STOP, expiresAt=IN_TIME), GONE, manifest(False), State.ARCHIVING),
        (facts(START, STOP, expiresAt=IN_TIME), GONE, manifest(True, False), State.ARCHIVING),
        (facts(START, STOP, expiresAt=TOO_LATE), GONE, manifest(True, False), State.EXPIRED),
        (facts(START, STOP, expiresAt=TOO_LATE), GONE, manifest(True, True), State.ARCHIVED),
        (NOTHING, GONE, manifest(True), State.ARCHIVED),
        (NOTHING, GONE, manifest(False), State.ARCHIVING),
        (NOTHING, GONE, manifest(False, start=NOW - DAYS), State.EXPIRED),
        # The last announced chunk says that another one follows.
        (
            facts(START, STOP, expiresAt=IN_TIME),
            GONE,
            manifest(True, last="ChunkMaximumSizeExceeded"),
            State.PROCESSING,
        ),
        (facts(START, STOP, expiresAt=TOO_LATE), GONE, manifest(True, last="ChunkMaximumSizeExceeded"), State.EXPIRED),
        # The service does not answer.
        (facts(START), SILENT, None, State.STARTING),
        (facts(START, ago=LONG), SILENT, None, State.UNKNOWN),
        (facts(START, Report.ACTIVE, ago=LONG), SILENT, None, State.ACTIVE),
        (facts(START, PAUSE, ago=LONG), SILENT, None, State.PAUSED),
        (facts(START, PAUSE, RESUME, ago=LONG), SILENT, None, State.UNKNOWN),
        (facts(START, STOP), SILENT, None, State.STOPPING),
        (facts(START, STOP, ago=LONG), SILENT, None, State.PROCESSING),
        (facts(START, STOP, ago=DAYS), SILENT, None, State.EXPIRED),
        (facts(START, FAILED, ago=LONG), SILENT, None, State.FAILED),
        (facts(START, ago=LONG, expiresAt=IN_TIME), SILENT, manifest(True), State.ARCHIVED),
        (facts(START, STOP, ago=LONG, expiresAt=IN_TIME), SILENT, manifest(False), State.ARCHIVING),
        (facts(START, ago=LONG), SILENT, manifest(True, last="ChunkMaximumSizeExceeded"), State.UNKNOWN),
        (NOTHING, SILENT, manifest(False), State.ARCHIVING),
        (NOTHING, SILENT, None, State.UNKNOWN),
    ],
)
def test_the_state_follows_from_what_is_known(
    known: Facts, seen: Seen, archived: Manifest | None, state: State
) -> None:
    assert judge(known, seen, archived, NOW, RETENTION).state is state


def test_a_recording_whose_missing_chunks_were_given_up_has_failed() -> None:
    given_up = {1: ChunkProgress(1, given_up_at=NOW)}
    known = Facts("recording1", {"expiresAt": IN_TIME}, facts(START, STOP).transitions, given_up)
    assert judge(known, GONE, manifest(True, False), NOW, RETENTION) == (
        State.FAILED,
        "cannot be archived: chunk 1; lastError of the chunk gives the reason",
    )
    assert judge(known, GONE, manifest(False, False), NOW, RETENTION).state is State.ARCHIVING


@pytest.mark.parametrize(
    ("known", "seen", "words"),
    [
        (NOTHING, INACTIVE, "did not start it"),
        (facts(START, ago=LONG), INACTIVE, "did not pause it"),
        (facts(START, STOP, ago=LONG), INACTIVE, "ended at 2026-11-22T09:14:00Z"),
        (facts(START, PAUSE, ago=LONG), ACTIVE, "pause"),
        (facts(START, STOP, ago=DAYS), GONE, "never announced"),
    ],
)
def test_a_state_that_needs_explaining_is_explained(known: Facts, seen: Seen, words: str) -> None:
    assert words in (judge(known, seen, None, NOW, RETENTION).note or "")


def test_the_service_keeps_files_from_when_it_announced_them() -> None:
    assert expiry(facts(START, STOP, expiresAt=IN_TIME), manifest(True), RETENTION) == NOW + timedelta(hours=1)
    assert expiry(NOTHING, manifest(True), RETENTION) == NOW + timedelta(minutes=1) + RETENTION
    assert expiry(facts(START, STOP), None, RETENTION) == NOW - timedelta(seconds=1) + RETENTION
    assert expiry(facts(START), None, RETENTION) is None


def test_every_state_has_a_meaning_and_what_is_over_allows_nothing() -> None:
    assert set(MEANINGS) == set(State)
    over = {State.STOPPING, State.PROCESSING, State.ARCHIVING, State.ARCHIVED, State.FAILED, State.EXPIRED}
    assert all(not over & states for states in ALLOWED.values())
    assert set(LEADS_TO) == set(ALLOWED)
