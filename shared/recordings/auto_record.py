"""Automatic recording: calls that begin are recorded as a policy says, and the end of a call is noted.

Events come more than once and in any order. The first worker that claims a call in the ledger starts its recording. A
later one waits some seconds for the outcome, and starts the recording only if there is none: the first has crashed
then. Both ask the service under the same repeatability id, and the service records a call only once at a time, so a
call has one recording in every case.

The claim, row `{serverCallId}` of the ledger's partition `.call`, also records the decision: action, rule, reason, and
the outcome.
"""

from __future__ import annotations

import asyncio
import shlex
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from shared.core import limits, log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidEvent, ServiceError
from shared.core.retry_policy import may_pass
from shared.core.times import Now, iso_time, utc_now
from shared.events.call_events import CallChange, parse_call
from shared.events.recording_files import check_event
from shared.incidents.incidents import Incident
from shared.incidents.kinds import IncidentKind
from shared.recordings.acs_client import Repeatability
from shared.recordings.policy import Action
from shared.storage.ledger import Operation, Report, best_effort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.events.call_events import CallEvent
    from shared.incidents.incidents import Incidents
    from shared.recordings.policy import Decision, Policy
    from shared.recordings.service import Recordings
    from shared.storage.claims import Claims
    from shared.storage.ledger import Ledger

CALL = "call"
"""The ledger's kind of key under which decisions are."""

CLAIM_TIMEOUT = timedelta(seconds=30)
"""How long a worker that claimed a call may take: Event Grid waits no longer either."""

ESTABLISHING = timedelta(minutes=2)
"""How long a call that has begun may take to be in a state in which it can be recorded."""

_WAIT = 5.0
_LOOK = 0.25

_NOT_ESTABLISHED = frozenset({"8501", "8527"})
"""The service's codes for a call that is not established, and for a serverCallId that it does not know (yet)."""


def by_hand(server_call_id: str | None) -> str:
    """Return what an operator can do about a call that the service refused to record."""
    command = f": recordings start --server-call-id {shlex.quote(server_call_id)}" if server_call_id else ""
    return f"if the call goes on, start its recording by hand{command}"


class Outcome(StrEnum):
    """What became of a decision."""

    STARTED = "started"
    SKIPPED = "skipped"
    ALREADY_RECORDING = "alreadyRecording"
    CALL_ENDED = "callEnded"
    REFUSED = "refused"


class AutoRecord:
    """Takes the events of calls.

    Parameters
    ----------
    policy
        Which calls to record; None for none.
    resource_id
        Azure id of the resource whose events are taken; None takes those of every resource.
    """

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        incidents: Incidents,
        recordings: Recordings,
        policy: Policy | None,
        *,
        resource_id: str | None = None,
        now: Now = utc_now,
    ) -> None:
        self._ledger = ledger
        self._claims = claims
        self._incidents = incidents
        self._recordings = recordings
        self._policy = policy
        self._resource_id = resource_id
        self._now = now

    async def take(self, event: Mapping[str, Any]) -> None:
        """Take in `CallStarted` or `CallEnded`, in either schema. An unreadable event becomes an incident.

        Raises
        ------
        ServiceError
            The service cannot start the recording now; Event Grid should deliver the event again.
        StorageUnavailable
            The ledger cannot be used; Event Grid should deliver the event again.
        """
        with storage_errors_translated():
            try:
                check_event(event, self._resource_id)
                call = parse_call(event, self._now())
            except InvalidEvent as error:
                await self._incidents.refuse_event(event, error)
                return
            with log.fields(serverCallId=call.server_call_id, eventId=call.event_id):
                if call.change is CallChange.ENDED:
                    await self._ended(call)
                elif self._policy is not None:
                    await self._started(event, call, self._policy.decide(call))

    async def _started(self, event: Mapping[str, Any], call: CallEvent, decision: Decision) -> None:
        trace = {"action": decision.action.value, "rule": decision.rule or "", "reason": decision.reason}
        claim = {"eventId": call.event_id, "claimedAt": iso_time(self._now()), "repeatabilityId": str(uuid4()), **trace}
        known = await self._claims.claim(CALL, call.server_call_id, **claim)
        if known is not None:
            known = await self._settled(call.server_call_id, known)
            if "outcome" in known:
                return
            # The first one's repeatability id stays; a row without one was made by CallEnded, which came first.
            claim |= {name: known[name] for name in ("claimedAt", "repeatabilityId") if name in known}
            await self._claims.resolve(CALL, call.server_call_id, **claim)
        first = Repeatability(UUID(claim["repeatabilityId"]), datetime.fromisoformat(claim["claimedAt"]))
        outcome = await self._carried_out(decision, call, first, ended="endedAt" in (known or {}))
        if outcome["outcome"] == Outcome.REFUSED:
            # Before the outcome is noted: if this fails, Event Grid delivers the event again.
            await self._report(event, call, decision, outcome["detail"])
        await self._claims.resolve(CALL, call.server_call_id, decidedAt=iso_time(self._now()), **outcome)
        log.info("call.decided", **trace, **outcome)
        if outcome["outcome"] == Outcome.STARTED:
            # The call may have ended while its recording was being started.
            known = await self._claims.get(CALL, call.server_call_id) or {}
            if "endedAt" in known:
                await self._close(call.server_call_id, datetime.fromisoformat(known["endedAt"]))

    async def _settled(self, server_call_id: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait for the outcome of another worker's claim, as long as that worker may be at work."""
        for _ in range(round(_WAIT / _LOOK)):
            claimed_at = known.get("claimedAt")
            if "outcome" in known or "lastError" in known or claimed_at is None:
                break
            if self._now() - datetime.fromisoformat(claimed_at) > CLAIM_TIMEOUT:
                break
            await asyncio.sleep(_LOOK)
            known = await self._claims.get(CALL, server_call_id) or known
        return known

    async def _carried_out(
        self, decision: Decision, call: CallEvent, first: Repeatability, *, ended: bool
    ) -> dict[str, str]:
        if decision.action is Action.SKIP or decision.request is None:
            return {"outcome": Outcome.SKIPPED.value}
        if ended:
            return {"outcome": Outcome.CALL_ENDED.value}
        try:
            answer = await self._recordings.begin(
                decision.request, by=f"AUTO_RECORD rule {decision.rule}", repeatability=first
            )
        except ServiceError as error:
            if error.says_already_recording:
                return {"outcome": Outcome.ALREADY_RECORDING.value}
            if self._may_pass(error, call):
                await best_effort(self._claims.resolve(CALL, call.server_call_id, lastError=str(error)))
                raise
            log.error("call.not_recorded", status=error.status, code=error.code, reason=error.message)
            return {"outcome": Outcome.REFUSED.value, "code": error.code, "detail": str(error)}
        return {"outcome": Outcome.STARTED.value, "recordingId": answer.body["recordingId"]}

    def _may_pass(self, error: ServiceError, call: CallEvent) -> bool:
        if error.code in _NOT_ESTABLISHED:
            # The call is not established yet, or has ended. CallEnded decides, or the time if that event is late.
            return self._now() - call.at < ESTABLISHING
        return may_pass(error.status)

    async def _ended(self, call: CallEvent) -> None:
        if self._policy is not None:
            await self._claims.resolve(CALL, call.server_call_id, endedAt=iso_time(call.at))
        await self._close(call.server_call_id, call.at)

    async def _close(self, server_call_id: str, at: datetime) -> None:
        """Note that the call has ended with each of its recordings that was not stopped before."""
        for name in await self._ledger.linked(server_call_id):
            facts = await self._ledger.read(name)
            if facts.last(Operation.STOP) is None:
                await self._ledger.record(name, Report.CALL_ENDED, at=at, key="call ended")
                log.info("recording.call_ended", recordingId=facts.text("recordingId"))

    async def _report(self, event: Mapping[str, Any], call: CallEvent, decision: Decision, refusal: str) -> None:
        """Report a call that should be recorded and is not."""
        detail = limits.clipped(refusal, limits.LONGEST_DETAIL).rstrip(".")
        await self._incidents.report(
            Incident(
                kind=IncidentKind.CALL,
                identifier=call.server_call_id,
                reason=f"rule {decision.rule} wants this call recorded, and {detail}; {by_hand(call.server_call_id)}",
                error=ServiceError.__name__,
                evidence={"serverCallId": call.server_call_id, "event": limits.evidence_of(event)},
            )
        )
