"""Recordings that ended and that no event announced: an operator must know before the service deletes their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import ServiceError
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.incidents import Incident
from shared.incidents.kinds import IncidentKind
from shared.recovery.item_by_item import each
from shared.storage.ledger import Operation, Report

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shared.incidents.incidents import Incidents
    from shared.recordings.acs_client import AcsClient
    from shared.storage.ledger import Facts, Ledger


class SilentRecordings:
    """Finds recordings that ended without an event.

    Parameters
    ----------
    control
        Asked whether a recording still runs.
    retention
        How long the service keeps a recording's files.
    expected_event
        How long after a recording's end its event may take.
    """

    def __init__(
        self,
        ledger: Ledger,
        control: AcsClient,
        incidents: Incidents,
        *,
        retention: timedelta,
        expected_event: timedelta,
        now: Now = utc_now,
    ) -> None:
        self._ledger = ledger
        self._control = control
        self._incidents = incidents
        self._retention = retention
        self._expected_event = expected_event
        self._now = now

    async def look_for_all(self) -> None:
        """Check every recording that the app started and that no event has announced yet."""
        await each("listen", self._ledger.opened(), self._listen)

    async def _listen(self, name: str) -> None:
        facts = await self._ledger.read(name)
        if not facts or facts.text("prefix") is not None:
            # Announced: from now on its manifest says what is missing.
            await self._ledger.close(name)
        elif facts.known.get("pauseOnStart") and not facts.last(Operation.RESUME):
            # It was never resumed, so it makes no file: once it has ended, there is nothing to wait for.
            if await self._ended_at(facts) is not None:
                await self._ledger.close(name)
        elif (ended_at := await self._ended_at(facts)) is not None:
            await self._judge_silence(facts, ended_at)

    async def _ended_at(self, facts: Facts) -> datetime | None:
        """Return when a recording ended; None while it runs. The service is asked where the ledger has no end."""
        ended = facts.last(Operation.STOP, Report.CALL_ENDED, Report.FAILED)
        recording_id = facts.text("recordingId")
        if ended is not None or recording_id is None:
            return ended.at if ended is not None else None
        try:
            await self._control.get(recording_id)
        except ServiceError as error:
            if error.status != 404:
                return None
            await self._ledger.record(facts.name, Report.CALL_ENDED, by="sweep", key="sweep")
            return self._now()
        return None

    async def _judge_silence(self, facts: Facts, ended_at: datetime) -> None:
        expires_at = ended_at + self._retention
        if self._now() - ended_at < self._expected_event:
            return
        over = self._now() >= expires_at
        await self._incidents.report(
            Incident(
                kind=IncidentKind.SILENCE,
                identifier=facts.name,
                reason=f"it ended at {iso_time(ended_at)} and no event says that its files are ready; "
                "check the event subscription (recordings doctor)",
                error="Expired" if over else None,
                recording_id=facts.text("recordingId"),
                expires_at=expires_at,
            )
        )
        if over:
            await self._ledger.close(facts.name)
