"""Every official client, Python's synchronous and asynchronous and JavaScript's, takes a recording through its life."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent

from tests.integration.acs_fixtures import Bench, bench, receiver
from tests.integration.acs_sdk_fixtures import Connection, JavaScript, RefusedError, Sdk, sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The SDK dates its requests with datetime.utcnow.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

LANGUAGES = ["python", "python-aio", "javascript"]
LOCATORS = ["serverCallId", "groupCallId", "roomId", "callConnectionId"]
UNKNOWN = base64.urlsafe_b64encode(b'{"PlatformEndpointId":"x","ResourceSpecificId":"y"}').decode()


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("media")) as made:
        yield made


@pytest.fixture(scope="module")
async def clients(running: Bench) -> AsyncIterator[dict[str, Any]]:
    connection = Connection(running.acs.endpoint, running.acs.options.access_key)
    async with AsyncExitStack() as stack:
        yield {language: await stack.enter_async_context(sdk(language, connection)) for language in LANGUAGES}


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, clients: dict[str, Any]) -> Sdk:
    made: Sdk = clients[request.param]
    return made


@pytest.fixture
def javascript(clients: dict[str, Any]) -> JavaScript:
    made: JavaScript = clients["javascript"]
    return made


@pytest.fixture
async def call(running: Bench) -> Any:
    places = {"groupCallId": str(uuid4()), "roomId": str(uuid4())}
    return await running.control("POST", "calls", places, expect=201)


async def refused(work: Any) -> tuple[int | None, str | None]:
    with pytest.raises(RefusedError) as problem:
        await work
    return problem.value.status, problem.value.code


@pytest.mark.parametrize("locator", LOCATORS)
async def test_a_recording_is_started_paused_resumed_and_stopped(
    running: Bench, client: Sdk, call: Any, locator: str
) -> None:
    started = await client.start(**{locator: call[locator]})
    recording_id = started["recordingId"]
    seen = [started["recordingState"], started["recordingKind"]]
    running.acs.clock.advance(1)
    seen.append(await client.state(recording_id))
    await client.change("pause", recording_id)
    seen.append(await client.state(recording_id))
    await client.change("resume", recording_id)
    seen.append(await client.state(recording_id))
    await client.change("stop", recording_id)
    assert seen == ["inactive", "azureCommunicationServices", "active", "inactive", "active"]
    assert await refused(client.state(recording_id)) == (404, "8522")


@pytest.mark.parametrize("what", ["pause", "resume", "stop"])
async def test_a_stopped_recording_can_no_longer_be_changed(client: Sdk, call: Any, what: str) -> None:
    recording_id = (await client.start(serverCallId=call["serverCallId"]))["recordingId"]
    await client.change("stop", recording_id)
    assert await refused(client.change(what, recording_id)) == (404, "8522")


async def test_an_unknown_recording_is_not_found(client: Sdk) -> None:
    assert await refused(client.state(UNKNOWN)) == (404, "8522")


@pytest.mark.parametrize(("first", "second"), [("serverCallId", "serverCallId"), ("groupCallId", "callConnectionId")])
async def test_a_call_is_recorded_once_at_a_time(client: Sdk, call: Any, first: str, second: str) -> None:
    started = await client.start(**{first: call[first]})
    assert await refused(client.start(**{second: call[second]})) == (400, "8553")
    await client.change("stop", started["recordingId"])
    again = await client.start(**{second: call[second]})
    assert again["recordingId"] != started["recordingId"]


@pytest.mark.parametrize(
    ("locator", "unknown", "code"),
    [
        ("serverCallId", "bm9uZQ==", "8527"),
        ("groupCallId", "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "8501"),
        ("roomId", "99999999999999999", "8501"),
        ("callConnectionId", "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "8501"),
    ],
)
async def test_an_unknown_call_is_refused(client: Sdk, locator: str, unknown: str, code: str) -> None:
    assert await refused(client.start(**{locator: unknown})) == (400, code)


async def test_unmixed_audio_puts_who_was_named_on_the_channel_that_was_named(
    running: Bench, client: Sdk, call: Any
) -> None:
    first, second = call["participants"][:2]
    affinity = [{"channel": 0, "participant": second}, {"channel": 1, "participant": first}]
    types = {"content": "audio", "channel": "unmixed", "format": "wav"}
    started = await client.start(serverCallId=call["serverCallId"], affinity=affinity, **types)
    running.acs.clock.advance(3)
    await client.change("stop", started["recordingId"])
    truth = await running.finished(started["recordingId"])
    metadata = json.loads((await running.fetch(truth["chunks"][0]["metadataLocation"])).body)
    assert {one["participantId"]: one["channel"] for one in metadata["participants"]} == {second: 0, first: 1}
    assert truth["chunks"][0]["contentLocation"].endswith("/content/audiowavmultichannel")


async def test_a_recording_that_starts_paused_has_a_file_only_of_what_was_resumed(
    running: Bench, client: Sdk, call: Any
) -> None:
    where = {"serverCallId": call["serverCallId"], "content": "audio", "pauseOnStart": True}
    never_resumed = (await client.start(**where))["recordingId"]
    running.acs.clock.advance(5)
    states = [await client.state(never_resumed)]
    await client.change("stop", never_resumed)
    resumed = (await client.start(**where))["recordingId"]
    running.acs.clock.advance(5)
    await client.change("resume", resumed)
    states.append(await client.state(resumed))
    running.acs.clock.advance(3)
    await client.change("stop", resumed)
    assert states == ["inactive", "active"]
    assert (await running.finished(never_resumed))["chunks"] == []
    (chunk,) = (await running.finished(resumed))["chunks"]
    assert 2000 <= chunk["durationMs"] <= 4900


async def test_external_storage_reaches_the_service(running: Bench, client: Sdk, call: Any) -> None:
    container = "https://account.blob.core.windows.net/container"
    started = await client.start(serverCallId=call["serverCallId"], container=container)
    truth = await running.truth(started["recordingId"])
    assert truth["options"]["externalStorage"] == {
        "recordingStorageKind": "azureBlobStorage",
        "recordingDestinationContainerUrl": container,
    }


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_wrong_key_is_refused(running: Bench, language: str) -> None:
    wrong = Connection(running.acs.endpoint, base64.b64encode(b"another key").decode())
    async with sdk(language, wrong) as client:
        assert (await refused(client.state(UNKNOWN)))[0] == 401


async def test_states_are_called_back_in_a_form_that_javascript_s_parser_and_python_s_cloud_event_read(
    running: Bench, client: Sdk, javascript: JavaScript, call: Any
) -> None:
    async with receiver() as hook:
        started = await client.start(serverCallId=call["serverCallId"], callbackUrl=hook.url)
        running.acs.clock.advance(1)
        bodies = await hook.received(2)
        await client.change("stop", started["recordingId"])
    parsed = [await javascript.order("parse", text=json.dumps(body)) for body in bodies]
    clouds: list[CloudEvent[Any]] = [CloudEvent.from_dict(body[0]) for body in bodies]
    expected = {
        "kind": "RecordingStateChanged",
        "recordingId": started["recordingId"],
        "serverCallId": call["serverCallId"],
        "correlationId": call["correlationId"],
        "recordingKind": "azureCommunicationServices",
    }
    assert all(expected.items() <= one.items() for one in parsed)
    assert [one["state"] for one in parsed] == ["inactive", "active"]
    assert [cloud.type for cloud in clouds] == ["Microsoft.Communication.RecordingStateChanged"] * 2
    assert [cloud.data["state"] for cloud in clouds if cloud.data] == ["inactive", "active"]
    assert [cloud.time is not None and cloud.time.utcoffset() is not None for cloud in clouds] == [True, True]


async def test_a_start_that_fails_later_is_called_back_in_a_form_that_the_parser_reads(
    running: Bench, client: Sdk, javascript: JavaScript, call: Any
) -> None:
    await running.fault(kind="start-failed")
    async with receiver() as hook:
        started = await client.start(serverCallId=call["serverCallId"], callbackUrl=hook.url)
        running.acs.clock.advance(1)
        (body,) = await hook.received(1)
    parsed = await javascript.order("parse", text=json.dumps(body))
    assert (parsed["kind"], parsed["resultInformation"]["code"]) == ("StartRecordingFailed", 500)
    assert await refused(client.state(started["recordingId"])) == (404, "8522")


async def test_the_event_of_a_recording_s_files_is_read_by_the_event_grid_client(
    running: Bench, client: Sdk, call: Any
) -> None:
    async with receiver() as hook:
        running.acs.topic = hook.url
        try:
            started = await client.start(serverCallId=call["serverCallId"], content="audio")
            running.acs.clock.advance(3)
            await client.change("stop", started["recordingId"])
            ((body,),) = await hook.received(1)
        finally:
            running.acs.topic = None
    event = EventGridEvent.from_dict(body)
    (chunk,) = event.data["recordingStorageInfo"]["recordingChunks"]
    assert event.event_type == "Microsoft.Communication.RecordingFileStatusUpdated"
    assert event.data["recordingId"] == started["recordingId"]
    assert (await running.fetch(chunk["contentLocation"])).status == 200
