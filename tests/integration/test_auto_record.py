"""Calls that are recorded by themselves: exactly once, as the policy says, and with a trace of every decision."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import aiohttp
import pytest

from local.stack import CALL_FUNCTION
from shared.app import Services
from shared.core.blob_names import safe_name
from shared.core.errors import NothingToRetry, ServiceError, StorageUnavailable
from shared.core.times import iso_time
from shared.recordings.acs_client import Repeatability
from shared.recordings.auto_record import AutoRecord
from shared.recordings.policy import parse_policy
from shared.recordings.start_request import StartRecording
from shared.storage.ledger import Ledger, Operation, Report
from tests.integration.archive_fixtures import acs_control, app
from tests.integration.call_fixtures import POLICY, claims, event_of, ledger, new_call, recording_host, recordings_of
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from local.functions_host import FunctionsHost
    from local.stack import Stack
    from shared.storage.claims import Claims
    from shared.storage.ledger import Facts

__all__ = ["acs_control", "app", "claims", "ledger", "recording_host"]

MINUTES = timedelta(minutes=1)

type MakeAutoRecord = Callable[..., AutoRecord]


@pytest.fixture(scope="module")
async def parts(stack: Stack) -> AsyncIterator[Services]:
    """The app's parts, in this process, against the stack."""
    environment = {
        "ACS_CONNECTION_STRING": stack.acs.connection_string,
        "ARCHIVE_STORAGE": stack.storage,
        "AzureWebJobsStorage": stack.storage,
        "RECORDING_TRUSTED_ORIGINS": "http://127.0.0.1:*",
    }
    services = Services.from_environment(environment)
    yield services
    await services.close()


@pytest.fixture
def auto_record(parts: Services, ledger: Ledger, claims: Claims) -> MakeAutoRecord:
    """What takes the events of calls; `now` is the time, that of the emulators by default."""
    policy, faults = parse_policy(json.dumps(POLICY).encode(), require_consent=True)
    assert policy is not None, faults

    def make(now: Callable[[], datetime] = lambda: datetime.now(UTC), *, off: bool = False) -> AutoRecord:
        return AutoRecord(ledger, claims, parts.incidents, parts.recordings, None if off else policy, now=now)

    return make


class Secretly:
    """Begins and ends calls whose events are not delivered."""

    def __init__(self, stack: Stack, acs_control: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._acs_control = acs_control

    async def begin(self, caller: str | None = None, **wanted: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a call; returns it with its CallStarted."""
        async with self._undelivered():
            call = await new_call(self._acs_control, caller or f"8:acs:auto-{uuid4()}", **wanted)
            return call, await event_of(self._acs_control, call, "CallStarted")

    async def end(self, call: dict[str, Any]) -> dict[str, Any]:
        """End a call; returns its CallEnded."""
        async with self._undelivered():
            await self._acs_control.delete(f"calls/{call['callId']}")
            return await event_of(self._acs_control, call, "CallEnded")

    @asynccontextmanager
    async def _undelivered(self) -> AsyncIterator[None]:
        topic, self._stack.acs.topic = self._stack.acs.topic, None
        try:
            yield
        finally:
            self._stack.acs.topic = topic


@pytest.fixture
def secretly(stack: Stack, acs_control: aiohttp.ClientSession) -> Secretly:
    """Begins and ends calls whose events are not delivered."""
    return Secretly(stack, acs_control)


async def decided(claims: Claims, call: dict[str, Any], outcome: str | None = None) -> Mapping[str, Any]:
    """The trace of what was decided about a call, once there is one."""

    async def trace() -> Mapping[str, Any] | None:
        row = await claims.get("call", call["serverCallId"])
        return row if row is not None and "outcome" in row else None

    row = await eventually(trace, within=20)
    assert outcome in {None, row["outcome"]}, row
    return row


def as_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "specversion": "1.0",
        "data": event["data"],
    }


async def test_a_call_that_fits_is_recorded_as_its_rule_says_and_closed_when_it_ends(
    recording_host: FunctionsHost, acs_control: aiohttp.ClientSession, ledger: Ledger, claims: Claims
) -> None:
    call = await new_call(acs_control, f"8:acs:auto-{uuid4()}")
    trace = await decided(claims, call, "started")
    assert {name: trace[name] for name in ("action", "rule", "reason")} == {
        "action": "record",
        "rule": "support",
        "reason": "fits startedBy, isRoomsCall",
    }
    [recording] = await recordings_of(acs_control, call)
    assert recording["recordingId"] == trace["recordingId"]
    options = recording["options"]
    assert (options["recordingContentType"], options["recordingChannelType"], options["recordingFormatType"]) == (
        "audio",
        "unmixed",
        "wav",
    )
    assert f":{recording_host.options.port}/api/callbacks/" in options["recordingStateCallbackUri"]

    await acs_control.delete(f"calls/{call['callId']}")

    async def closed() -> Facts | None:
        facts = await ledger.read(safe_name(recording["recordingId"]))
        return facts if facts.last(Report.CALL_ENDED) else None

    facts = await eventually(closed, within=20)
    assert facts.text("startedBy") == "AUTO_RECORD rule support"
    ended = (await event_of(acs_control, call, "CallEnded"))["eventTime"]
    last = facts.last(Report.CALL_ENDED)
    assert last is not None
    assert abs(last.at - datetime.fromisoformat(ended)) < timedelta(milliseconds=1)


async def test_twenty_deliveries_at_once_in_both_schemas_are_one_recording(
    *,
    recording_host: FunctionsHost,
    stack: Stack,
    acs_control: aiohttp.ClientSession,
    ledger: Ledger,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    webhook = f"{recording_host.url}/runtime/webhooks/EventGrid"
    parameters = {"functionName": CALL_FUNCTION, "code": stack.keys.event_grid_key}
    headers = {"aeg-event-type": "Notification"}

    async def deliver(session: aiohttp.ClientSession, event: dict[str, Any]) -> int:
        async with session.post(webhook, params=parameters, headers=headers, json=event) as answer:
            return answer.status

    async with aiohttp.ClientSession() as session:
        events = [started, as_cloud_event(started)] * 10
        statuses = await asyncio.gather(*(deliver(session, event) for event in events))
    assert statuses == [202] * 20
    [recording] = await recordings_of(acs_control, call)
    assert (await decided(claims, call, "started"))["recordingId"] == recording["recordingId"]
    facts = await ledger.read(safe_name(recording["recordingId"]))
    assert [entry.operation for entry in facts.transitions].count(Operation.START) == 1
    await acs_control.delete(f"calls/{call['callId']}")


class Left(NamedTuple):
    """A call that is not recorded, and what its trace says."""

    caller: str
    wanted: dict[str, Any]
    rule: str
    reason: str


@pytest.mark.parametrize(
    "left",
    [
        Left("8:acs:auto-private-1", {}, "private", "fits startedBy"),
        Left("8:acs:zoe", {}, "", "no rule fits"),
        Left("8:acs:auto-x", {"roomId": "99123"}, "", "no rule fits"),
    ],
)
async def test_a_call_that_does_not_fit_is_left_alone_and_the_reason_is_kept(
    auto_record: MakeAutoRecord, acs_control: aiohttp.ClientSession, claims: Claims, secretly: Secretly, left: Left
) -> None:
    call, started = await secretly.begin(left.caller, **left.wanted)
    await auto_record().take(started)
    trace = await decided(claims, call, "skipped")
    assert (trace["action"], trace["rule"], trace["reason"]) == ("skip", left.rule, left.reason)
    assert left.caller not in json.dumps(dict(trace), default=str)
    assert await recordings_of(acs_control, call) == []


async def test_whoever_comes_after_a_crash_starts_the_recording(
    auto_record: MakeAutoRecord,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    parts: Services,
    secretly: Secretly,
) -> None:
    nothing_asked, asked_and_lost = await secretly.begin(), await secretly.begin()
    for call, started in (nothing_asked, asked_and_lost):
        claimed_at, repeatability = iso_time(datetime.now(UTC) - MINUTES), str(uuid4())
        await claims.claim(
            "call", call["serverCallId"], eventId=started["id"], claimedAt=claimed_at, repeatabilityId=repeatability
        )
        if call is asked_and_lost[0]:
            await stand_in_for_the_crashed(parts, call, repeatability)
        await auto_record().take(started)
        [recording] = await recordings_of(acs_control, call)
        assert (await decided(claims, call, "started"))["recordingId"] == recording["recordingId"]


async def stand_in_for_the_crashed(parts: Services, call: dict[str, Any], repeatability_id: str) -> None:
    """Ask the service as one who dies before the answer is noted."""
    request = StartRecording(server_call_id=call["serverCallId"])
    await parts.acs.start(request, Repeatability(UUID(repeatability_id), datetime.now(UTC)))


async def test_a_call_that_another_client_records_already_is_no_error(
    auto_record: MakeAutoRecord,
    app: aiohttp.ClientSession,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    async with app.post("recordings", json={"serverCallId": call["serverCallId"]}) as answer:
        assert answer.status == 201
    await auto_record().take(started)
    await decided(claims, call, "alreadyRecording")
    assert len(await recordings_of(acs_control, call)) == 1


async def test_when_the_service_is_away_the_event_comes_again_and_the_call_is_recorded(
    auto_record: MakeAutoRecord,
    stack: Stack,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    stack.acs.order_fault(kind="503", target="start", retry_after=60)
    with pytest.raises(ServiceError):
        await auto_record().take(started)
    await auto_record().take(started)
    assert len(await recordings_of(acs_control, call)) == 1
    assert "503" in (await decided(claims, call, "started"))["lastError"]


async def test_a_call_that_has_ended_is_not_asked_for_again(
    auto_record: MakeAutoRecord,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    await secretly.end(call)
    began = datetime.fromisoformat(started["eventTime"])

    # It might not be established yet: asked for again soon, but not for ever.
    with pytest.raises(ServiceError):
        await auto_record(lambda: began + MINUTES).take(started)
    await auto_record(lambda: began + 3 * MINUTES).take(started)
    trace = await decided(claims, call, "refused")
    assert trace["code"] == "8501"


async def test_a_call_that_the_service_does_not_know_yet_is_asked_for_again(
    auto_record: MakeAutoRecord,
    acs_control: aiohttp.ClientSession,
    stack: Stack,
    claims: Claims,
    secretly: Secretly,
) -> None:
    """400 with 8527 is what the service answers for a serverCallId that it does not know (recorded traffic)."""
    call, started = await secretly.begin()
    stack.acs.order_fault(kind="status", target="start", status=400, code="8527", times=1)
    began = datetime.fromisoformat(started["eventTime"])
    with pytest.raises(ServiceError, match="8527"):
        await auto_record(lambda: began).take(started)
    await auto_record(lambda: began).take(started)
    await decided(claims, call, "started")
    assert len(await recordings_of(acs_control, call)) == 1


async def refused(
    auto_record: MakeAutoRecord, stack: Stack, secretly: Secretly
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call that the service refuses to record for good; returns it with its CallStarted."""
    call, started = await secretly.begin()
    stack.acs.order_fault(kind="status", target="start", status=400, times=1)
    await auto_record().take(started)
    return call, started


async def finding_of(parts: Services, call: dict[str, Any]) -> dict[str, Any] | None:
    """What the operator's list says of a call."""
    key = f"call.{safe_name(call['serverCallId'])}"
    return next((row for row in await parts.incidents.by_severity() if row["id"] == key), None)


async def test_a_call_that_the_service_refuses_to_record_is_reported_with_its_reason_and_the_fix(
    auto_record: MakeAutoRecord, parts: Services, claims: Claims, stack: Stack, secretly: Secretly
) -> None:
    call, started = await refused(auto_record, stack, secretly)
    await decided(claims, call, "refused")
    finding = await finding_of(parts, call)
    assert finding is not None
    assert (finding["kind"], finding["severity"], finding["hoursLeft"]) == ("call", "warning", None)
    assert finding["reason"].startswith("rule support wants this call recorded, and the service answered 400 ")
    assert f"recordings start --server-call-id {call['serverCallId']}" in finding["reason"].replace("'", "")
    evidence = await kept(stack, finding["id"])
    assert (evidence["serverCallId"], evidence["event"]) == (call["serverCallId"], started)
    with pytest.raises(NothingToRetry, match="recordings start --server-call-id"):
        await parts.manual_retry.retry(finding["id"])
    await parts.incidents.settle(finding["id"])
    await secretly.end(call)


async def test_a_call_that_is_recorded_later_leaves_the_list_and_one_that_ends_unrecorded_stays(
    auto_record: MakeAutoRecord,
    app: aiohttp.ClientSession,
    parts: Services,
    stack: Stack,
    secretly: Secretly,
) -> None:
    fixed, _ = await refused(auto_record, stack, secretly)
    ended, _ = await refused(auto_record, stack, secretly)
    failed, _ = await refused(auto_record, stack, secretly)
    async with app.post("recordings", json={"serverCallId": fixed["serverCallId"]}) as answer:
        assert answer.status == 201
    await auto_record().take(await secretly.end(ended))
    attempt = uuid4().hex
    await parts.ledger.record(attempt, Report.FAILED, at=datetime.now(UTC), key="as a test wants")
    await parts.ledger.link(failed["serverCallId"], attempt)

    await parts.sweep.sweep()
    assert await finding_of(parts, fixed) is None
    for call in (ended, failed):
        finding = await finding_of(parts, call)
        assert finding is not None
        assert await parts.incidents.settle(finding["id"])
        assert await finding_of(parts, call) is None
    for call in (fixed, failed):
        await secretly.end(call)


async def test_a_refusal_that_cannot_be_reported_is_decided_only_when_the_event_comes_again(
    auto_record: MakeAutoRecord,
    parts: Services,
    stack: Stack,
    secretly: Secretly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("as a test wants")

    call, started = await secretly.begin()
    stack.acs.order_fault(kind="status", target="start", status=400, times=2)
    with monkeypatch.context() as patched, pytest.raises(StorageUnavailable):
        patched.setattr(parts.incidents, "report", away)
        await auto_record().take(started)
    later = datetime.now(UTC) + MINUTES
    await auto_record(lambda: later).take(started)
    await decided(parts.claims, call, "refused")
    finding = await finding_of(parts, call)
    assert finding is not None
    await parts.incidents.settle(finding["id"])
    await secretly.end(call)


async def test_an_end_that_overtakes_the_beginning_is_taken_into_account(
    auto_record: MakeAutoRecord,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    await auto_record().take(await secretly.end(call))
    await auto_record().take(started)
    await decided(claims, call, "callEnded")
    assert await recordings_of(acs_control, call) == []


async def test_the_end_of_a_call_is_noted_with_what_was_started_by_hand_but_not_with_what_was_stopped(
    auto_record: MakeAutoRecord,
    app: aiohttp.ClientSession,
    acs_control: aiohttp.ClientSession,
    ledger: Ledger,
    secretly: Secretly,
) -> None:
    call, _ = await secretly.begin()
    ids = []
    for stop in (True, False):
        async with app.post("recordings", json={"serverCallId": call["serverCallId"]}) as answer:
            ids.append((await answer.json())["recordingId"])
        if stop:
            async with app.post(f"recordings/{ids[0]}/stop") as answer:
                assert answer.status == 202
    ended = await secretly.end(call)
    for _ in range(2):
        await auto_record(off=True).take(ended)
    stopped, running = [
        [entry.operation for entry in (await ledger.read(safe_name(recording))).transitions] for recording in ids
    ]
    assert (stopped.count(Report.CALL_ENDED), running.count(Report.CALL_ENDED)) == (0, 1)


async def test_switched_off_nothing_is_recorded_and_nothing_is_kept(
    auto_record: MakeAutoRecord,
    acs_control: aiohttp.ClientSession,
    claims: Claims,
    secretly: Secretly,
) -> None:
    call, started = await secretly.begin()
    await auto_record(off=True).take(started)
    assert await claims.get("call", call["serverCallId"]) is None
    assert await recordings_of(acs_control, call) == []


async def test_an_event_that_cannot_be_read_is_kept_for_a_person(auto_record: MakeAutoRecord, stack: Stack) -> None:
    identifier = str(uuid4())
    await auto_record().take({"id": identifier, "eventType": "Microsoft.Communication.CallStarted", "data": {}})
    assert "serverCallId" in (await kept(stack, f"event.{identifier}"))["reason"]


async def kept(stack: Stack, key: str) -> dict[str, Any]:
    """The evidence of a finding."""
    async with stack.blob_service() as blobs:
        stream = await blobs.get_container_client("recordings").download_blob(f"attention/{key}.json")
        evidence: dict[str, Any] = json.loads(await stream.readall())
        return evidence
