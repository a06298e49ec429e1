"""The sweep and an operator's retry, on the parts that a test gives them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.incidents.restoration import Restoration
from shared.recovery.manual_retry import ManualRetry
from shared.recovery.replay import Replay
from shared.recovery.silent_recordings import SilentRecordings
from shared.recovery.stalled_recordings import StalledRecordings
from shared.recovery.sweep import Sweep
from shared.recovery.undelivered import ChunkPoison, DeadLetterReplay, EventPoison
from shared.recovery.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.archiving.intake import Intake
    from shared.incidents.incidents import Incidents
    from shared.recordings.acs_client import AcsClient
    from shared.recordings.auto_record import AutoRecord
    from shared.storage.archive import Archive
    from shared.storage.claims import Claims
    from shared.storage.dead_letters import DeadLetters
    from shared.storage.ledger import Ledger

RETENTION = timedelta(hours=24)
EXPECTED_EVENT = timedelta(minutes=60)


@dataclass(slots=True)
class RecoveryParts:
    """The sweep, and what it is made of."""

    steps: Sweep
    upkeep: Upkeep
    manual_retry: ManualRetry

    async def sweep(self) -> None:
        await self.steps.sweep()


def recovery_parts(
    *,
    archive: Archive,
    ledger: Ledger,
    claims: Claims,
    incidents: Incidents,
    intake: Intake,
    control: AcsClient,
    queue: Any,
    poison: Any,
    events: Any = None,
    event_poison: Any = None,
    dead_letters: DeadLetters,
    now: Callable[[], datetime],
    calls: AutoRecord | None = None,
) -> RecoveryParts:
    replay = Replay(intake, calls, queue)
    restoration = Restoration(archive, ledger, incidents, now=now)
    stalled = StalledRecordings(
        archive, ledger, incidents, replay, retention=RETENTION, expected_event=EXPECTED_EVENT, now=now
    )
    silent = SilentRecordings(ledger, control, incidents, retention=RETENTION, expected_event=EXPECTED_EVENT, now=now)
    upkeep = Upkeep(
        ledger, claims, incidents, restoration=restoration, stalled=stalled, dead_letters=dead_letters, now=now
    )
    steps = (
        upkeep.put_back_what_is_missing,
        DeadLetterReplay(dead_letters, replay, incidents).replay_all,
        *([EventPoison(event_poison, events, incidents).drain] if events else []),
        ChunkPoison(poison, queue, incidents, now=now).drain,
        stalled.drive_all,
        silent.look_for_all,
        upkeep.settle_what_is_resolved,
        upkeep.report_what_grew,
        upkeep.drop_what_is_old,
    )
    retry = ManualRetry(
        archive, ledger, incidents, replay=replay, stalled=stalled, queue=queue, restoration=restoration, now=now
    )
    return RecoveryParts(Sweep({step.__qualname__: step for step in steps}), upkeep, retry)
