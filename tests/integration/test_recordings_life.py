"""What a recording's state says from start to archive, and when a service that is asked for it does not answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local import archive
from shared.core.blob_names import safe_name
from shared.recordings.acs_client import Repeatability
from shared.storage.ledger import Operation
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.recording_fixtures import QUICK, a_call, api, call, elsewhere, ledger
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    import aiohttp
    from azure.communication.callautomation.aio import CallAutomationClient
    from azure.storage.blob.aio import ContainerClient

    from local.stack import Stack
    from shared.storage.ledger import Ledger
    from tests.integration.recording_fixtures import Api, Told

__all__ = ["acs_control", "api", "app", "call", "elsewhere", "ledger"]


async def reached(api: Api, recording: str, state: str) -> Told:
    async def look() -> Told | None:
        shown = await api.get(recording)
        return shown if shown.status == 200 and shown.body["state"] == state else None

    return await eventually(look)


async def started(api: Api, call: dict[str, Any], **options: Any) -> str:
    shown = await api.start(serverCallId=call["serverCallId"], **QUICK, **options)
    assert shown.status == 201, shown
    recording = str(shown.body["recordingId"])
    await reached(api, recording, "paused" if options.get("pauseOnStart") else "active")
    return recording


async def test_the_life_of_a_recording(
    api: Api, call: dict[str, Any], stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.acs.options, "chunk_duration", 4 * 3600)
    recording = await started(api, call)
    assert (await api.do("pause", recording)).status == 202
    paused = await reached(api, recording, "paused")
    assert paused.body["serviceState"] == "inactive"
    assert paused.body["pauses"][0]["to"] is None
    assert (await api.do("resume", recording)).status == 202
    resumed = await reached(api, recording, "active")
    assert resumed.body["pauses"][0]["to"] is not None
    # Ten emulated minutes make a file of several blocks, and a slow source makes its copy a thing to watch.
    stack.clock.advance(600)
    stack.acs.order_fault(kind="rate", target="content", times=None, bytes_per_second=1_500_000)
    stopped = await api.do("stop", recording)
    assert (stopped.status, stopped.body["state"]) == (202, "stopping")
    seen = [await api.get(recording)]
    try:
        async with asyncio.timeout(60):
            while seen[-1].body["state"] != "archived":
                await asyncio.sleep(0.05)
                seen.append(await api.get(recording))
    finally:
        stack.acs.faults.clear()

    states = list(dict.fromkeys(shown.body["state"] for shown in seen))
    assert states == ["processing", "archiving", "archived"]
    waits = {shown.body["state"]: shown.headers.get("Retry-After") for shown in seen}
    assert waits == {"processing": "10", "archiving": "5", "archived": None}
    copying = [shown.body["chunks"][0] for shown in seen if shown.body["state"] == "archiving"]
    done = {chunk["bytesDone"] for chunk in copying if chunk["state"] == "copying"}
    total = seen[-1].body["chunks"][0]["bytesTotal"]
    assert done
    assert all(0 < count < total for count in done)
    operations = [transition["operation"] for transition in seen[-1].body["transitions"]]
    assert [name for name in operations if not name.startswith("reported")] == ["start", "pause", "resume", "stop"]
    assert seen[-1].body["startedBy"] == "function key"
    ahead = (stack.acs.clock.now() - datetime.now(UTC)) / timedelta(hours=1)  # other tests have moved the clock
    assert 23 < seen[-1].body["hoursLeft"] - ahead < 25


async def test_what_was_started_paused_and_never_resumed_has_nothing_to_archive(api: Api, call: dict[str, Any]) -> None:
    recording = await started(api, call, pauseOnStart=True)
    assert (await api.do("stop", recording)).status == 202
    shown = await reached(api, recording, "archived")
    assert shown.body["chunks"] == []
    assert shown.body["notes"] == ["it was started paused and never resumed, so there are no files"]


async def test_a_recording_that_was_started_elsewhere_shows_what_the_service_and_the_archive_know(
    api: Api, call: dict[str, Any], elsewhere: CallAutomationClient
) -> None:
    begun = await elsewhere.start_recording(
        server_call_id=call["serverCallId"],
        recording_content_type="audio",
        recording_format_type="wav",
        headers=Repeatability.new().headers,
    )
    recording = str(begun.recording_id)
    active = await reached(api, recording, "active")
    assert (active.body["startedBy"], active.body["options"], active.body["chunks"]) == (None, None, [])
    await elsewhere.stop_recording(recording)
    archived = await reached(api, recording, "archived")
    assert archived.body["callId"] == call["callId"]


async def test_chunks_of_a_recording_that_goes_on_are_shown_while_it_is_active(
    api: Api, call: dict[str, Any], ledger: Ledger, acs_control: aiohttp.ClientSession
) -> None:
    """A recording of days is announced chunk by chunk."""
    recording = await started(api, call)
    other = await finished_recording(acs_control, contentType="audio")
    archived = await reached(api, other["recordingId"], "archived")
    # The emulator announces at the end only, so another recording's place stands in for the first chunk's.
    await ledger.learn(safe_name(recording), prefix=archived.body["prefix"])
    shown = await api.get(recording)
    assert (shown.body["state"], [chunk["state"] for chunk in shown.body["chunks"]]) == ("active", ["archived"])


async def test_a_ledger_that_was_emptied_learns_again_from_the_archive(
    api: Api, stack: Stack, ledger: Ledger, acs_control: aiohttp.ClientSession
) -> None:
    truth = await finished_recording(acs_control, contentType="audio")
    recording = truth["recordingId"]
    before = await reached(api, recording, "archived")
    await ledger_emptied(stack, recording)
    assert not await ledger.read(safe_name(recording))
    after = await api.get(recording)
    assert (after.status, after.body["state"], after.body["chunks"]) == (200, "archived", before.body["chunks"])
    assert (await ledger.read(safe_name(recording))).text("prefix") == before.body["prefix"]


async def test_the_service_is_away(api: Api, call: dict[str, Any], stack: Stack) -> None:
    recording = await started(api, call, pauseOnStart=True)
    stack.acs.order_fault(kind="503", target="get", times=None, retry_after=30)
    try:
        shown = await api.get(recording)
        refused = await api.do("resume", recording)
        unknown = await api.get("unknown")
    finally:
        stack.acs.faults.clear()
    assert (shown.status, shown.body["state"], shown.body["serviceState"]) == (200, "paused", None)
    assert shown.body["serviceError"]["status"] == 503
    assert shown.body["notes"][0].startswith("the service could not be asked (the service answered 503")
    assert shown.headers["Retry-After"] == "30"
    assert (refused.status, refused.problem, refused.headers["Retry-After"]) == (503, "service-unavailable", "30")
    assert (unknown.status, unknown.problem) == (503, "service-unavailable")


async def test_what_is_archived_is_known_without_the_service(
    api: Api, stack: Stack, acs_control: aiohttp.ClientSession
) -> None:
    truth = await finished_recording(acs_control, contentType="audio")
    await reached(api, truth["recordingId"], "archived")
    stack.acs.order_fault(kind="500", target="get", times=None, retry_after=30)
    try:
        shown = await api.get(truth["recordingId"])
        refused = await api.do("stop", truth["recordingId"])
    finally:
        stack.acs.faults.clear()
    assert (shown.status, shown.body["state"], shown.headers.get("Retry-After")) == (200, "archived", None)
    assert (refused.status, refused.body["state"]) == (409, "archived")


async def test_a_chunk_that_cannot_be_archived_makes_the_recording_failed(
    api: Api, stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    truth = await finished_recording(acs_control, announce=False, contentType="audio")
    document = truth["chunks"][0]["documentId"]
    stack.acs.order_fault(
        kind="redirect", target="content", document_id=document, times=None, location="http://localhost:9/elsewhere"
    )
    try:
        async with acs_control.post(f"recordings/{truth['recordingId']}/announce", json={}):
            pass
        shown = await reached(api, truth["recordingId"], "failed")
    finally:
        stack.acs.faults.clear()
    [chunk] = shown.body["chunks"]
    assert chunk["state"] == "failed"
    assert chunk["lastError"]
    assert await archive.listing(archive_container, "attention/")


@pytest.mark.parametrize("operation", ["pause", "stop"])
async def test_a_recording_that_ends_while_it_is_asked_for_something_names_its_state(
    api: Api, call: dict[str, Any], stack: Stack, elsewhere: CallAutomationClient, operation: str
) -> None:
    """The service says 404 after it was looked at: another client stopped it in between."""
    recording = await started(api, call)
    stack.acs.order_fault(kind="latency", target=operation, latency_seconds=0.5)
    asked = asyncio.create_task(api.do(operation, recording))
    try:
        await eventually(lambda: _met(stack))
        stack.acs.faults.clear()
        await elsewhere.stop_recording(recording)
        shown = await asked
    finally:
        stack.acs.faults.clear()
    assert (shown.status, shown.problem) == (409, "wrong-state")
    assert shown.body["state"] in {"processing", "archiving", "archived"}


async def test_operations_are_noted_with_their_time_and_who_asked(
    api: Api, call: dict[str, Any], ledger: Ledger
) -> None:
    recording = await started(api, call)
    before = datetime.now(UTC)
    await api.do("pause", recording)
    noted = (await ledger.read(safe_name(recording))).last(Operation.PAUSE)
    assert noted is not None
    assert (noted.by, before <= noted.at <= datetime.now(UTC)) == ("function key", True)


async def _met(stack: Stack) -> bool:
    return any(fault.hits for fault in stack.acs.faults.all())


async def ledger_emptied(stack: Stack, recording: str) -> None:
    """Delete what the ledger has of a recording."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        table = tables.get_table_client("recordings")
        query = "PartitionKey eq @name"
        async for row in table.query_entities(query, parameters={"name": safe_name(recording)}):
            await table.delete_entity(row)


async def test_a_call_that_ends_ends_its_recording(api: Api, acs_control: aiohttp.ClientSession) -> None:
    async with a_call(acs_control) as call:
        recording = await started(api, call)
    await reached(api, recording, "archived")
