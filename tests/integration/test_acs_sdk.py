"""The official client, synchronous and asynchronous, against the emulator."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import (
    AzureBlobContainerRecordingStorage,
    CallAutomationClient,
    ChannelAffinity,
    CommunicationUserIdentifier,
)
from azure.communication.callautomation.aio import CallAutomationClient as AsyncClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.integration.acs_fixtures import Bench, bench, receiver, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The SDK dates its requests with datetime.utcnow.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

UNKNOWN = base64.urlsafe_b64encode(b'{"PlatformEndpointId":"x","ResourceSpecificId":"y"}').decode()


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("media")) as made:
        yield made


@pytest.fixture
async def client(running: Bench) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running.acs.endpoint, AzureKeyCredential(running.acs.options.access_key)) as made:
        yield made


@pytest.fixture
async def call(running: Bench) -> Any:
    return await running.control("POST", "calls", {"groupCallId": "g-1", "roomId": "r-1"}, expect=201)


async def state(client: AsyncClient, recording_id: str) -> str:
    return str((await client.get_recording_properties(recording_id)).recording_state)


async def test_the_async_client_records_a_call(running: Bench, client: AsyncClient, call: Any) -> None:
    started = await client.start_recording(server_call_id=call["serverCallId"])
    recording_id = started.recording_id or ""
    seen = [str(started.recording_state)]
    running.acs.clock.advance(1)
    seen.append(await state(client, recording_id))
    await client.pause_recording(recording_id)
    seen.append(await state(client, recording_id))
    await client.resume_recording(recording_id)
    seen.append(await state(client, recording_id))
    await client.stop_recording(recording_id)
    with pytest.raises(ResourceNotFoundError) as gone:
        await client.get_recording_properties(recording_id)
    assert seen == ["inactive", "active", "inactive", "active"]
    assert (gone.value.status_code, gone.value.error.code) == (404, "8522")  # type: ignore[union-attr]  # set by azure-core


async def test_the_sync_client_records_a_call(running: Bench, call: Any) -> None:
    def drive() -> list[str]:
        with CallAutomationClient(running.acs.endpoint, AzureKeyCredential(running.acs.options.access_key)) as client:
            started = client.start_recording(
                call_connection_id=call["callConnectionId"],
                recording_content_type="audio",
                recording_channel_type="unmixed",
                recording_format_type="wav",
                pause_on_start=True,
                channel_affinity=[
                    ChannelAffinity(target_participant=CommunicationUserIdentifier(call["participants"][1]), channel=0)
                ],
            )
            recording_id = started.recording_id or ""
            seen = [started.recording_state]
            client.resume_recording(recording_id)
            seen.append(client.get_recording_properties(recording_id).recording_state)
            client.pause_recording(recording_id)
            seen.append(client.get_recording_properties(recording_id).recording_state)
            client.stop_recording(recording_id)
            with pytest.raises(ResourceNotFoundError):
                client.get_recording_properties(recording_id)
            return [str(one) for one in seen]

    assert await asyncio.to_thread(drive) == ["inactive", "active", "inactive"]
    (recording,) = [
        one
        for one in (await running.control("GET", "recordings"))["recordings"]
        if one["options"]["recordingChannelType"] == "unmixed"
    ]
    assert recording["options"]["channelAffinity"] == [{"channel": 0, "participantId": call["participants"][1]}]


async def test_a_wrong_key_is_refused(running: Bench) -> None:
    key = AzureKeyCredential(base64.b64encode(b"another key").decode())
    async with AsyncClient(running.acs.endpoint, key) as client:
        with pytest.raises(ClientAuthenticationError) as refused:
            await client.get_recording_properties(UNKNOWN)
    assert refused.value.status_code == 401


async def test_an_unknown_recording_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        await client.get_recording_properties(UNKNOWN)
    assert missing.value.error.code == "8522"  # type: ignore[union-attr]  # set by azure-core


@pytest.mark.parametrize("locator", [{"group_call_id": "g-1"}, {"room_id": "r-1"}])
async def test_a_call_is_found_by_group_and_by_room(client: Any, call: Any, locator: dict[str, str]) -> None:
    assert call["state"] == "established"
    started = await client.start_recording(**locator)
    await client.stop_recording(started.recording_id or "")


async def test_a_combination_that_cannot_be_recorded_is_refused(client: AsyncClient, call: Any) -> None:
    with pytest.raises(HttpResponseError, match="audioVideo/unmixed/any cannot be recorded") as refused:
        await client.start_recording(
            server_call_id=call["serverCallId"], recording_content_type="audioVideo", recording_channel_type="unmixed"
        )
    assert refused.value.status_code == 400


async def test_a_call_that_nobody_made_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="Call not found"):
        await client.start_recording(server_call_id="bm9uZQ==")


async def test_a_call_that_has_ended_cannot_be_recorded(running: Bench, client: AsyncClient, call: Any) -> None:
    await running.control("DELETE", f"calls/{call['callId']}")
    with pytest.raises(HttpResponseError) as refused:
        await client.start_recording(server_call_id=call["serverCallId"])
    assert refused.value.error.code == "8501"  # type: ignore[union-attr]  # set by azure-core


async def test_a_call_is_recorded_once_at_a_time(client: AsyncClient, call: Any) -> None:
    started = await client.start_recording(server_call_id=call["serverCallId"])
    with pytest.raises(HttpResponseError, match="already in progress"):
        await client.start_recording(server_call_id=call["serverCallId"])
    await client.stop_recording(started.recording_id or "")


async def test_a_repeated_start_returns_the_first_recording(client: AsyncClient, call: Any) -> None:
    same = {"Repeatability-Request-ID": "5d0f36f8-5f9c-4d2f-8e44-0d8c47a6a2d1"}
    first = await client.start_recording(server_call_id=call["serverCallId"], headers=dict(same))
    second = await client.start_recording(server_call_id=call["serverCallId"], headers=dict(same))
    assert first.recording_id == second.recording_id
    await client.stop_recording(first.recording_id or "")


@pytest.mark.parametrize(
    ("version", "status", "kind"),
    [
        ("2023-10-15", 200, None),
        ("2024-09-15", 200, "azureCommunicationServices"),
        ("2026-03-12", 202, "azureCommunicationServices"),
    ],
)
async def test_versions_of_the_api_differ(
    running: Bench, call: Any, version: str, status: int, kind: str | None
) -> None:
    url = f"{running.acs.endpoint}/calling/recordings?api-version={version}"
    body = f'{{"callLocator":{{"kind":"serverCallLocator","serverCallId":"{call["serverCallId"]}"}}}}'.encode()
    headers = sign("POST", url, running.host, running.acs.options.access_key, body)
    headers |= {"Content-Type": "application/json", "x-ms-client-request-id": "mine"}
    async with running.session.post(url, data=body, headers=headers) as response:
        answer = await response.json()
        assert (response.status, answer.get("recordingKind")) == (status, kind)
        assert response.headers["x-ms-client-request-id"] == "mine"
        assert "MS-CV" in response.headers


async def test_an_unknown_version_is_refused_with_the_known_ones(running: Bench) -> None:
    answer = await running.fetch(f"{running.acs.endpoint}/calling/recordings/x?api-version=2019-01-01")
    assert answer.status == 400
    assert b"2026-03-12" in answer.body


async def test_a_bearer_token_passes_only_where_that_is_allowed(
    running: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def get(one: Bench) -> int:
        url = f"{one.acs.endpoint}/calling/recordings/{UNKNOWN}?api-version=2026-03-12"
        return (await one.fetch(url, headers={"Authorization": "Bearer anything"})).status

    async with bench(tmp_path_factory.mktemp("media"), accept_any_token=True) as open_one:
        assert (await get(running), await get(open_one)) == (401, 404)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("normal", ["inactive 0001", "active 20"]),
        ("reversed", ["active 20", "inactive 0001"]),
        ("doubled", ["inactive 0001", "inactive 0001", "active 20", "active 20"]),
    ],
)
async def test_states_are_called_back_in_every_order(
    running: Bench, client: AsyncClient, call: Any, order: str, expected: list[str]
) -> None:
    await running.control("PUT", "callbacks", {"order": order})
    async with receiver() as hook:
        started = await client.start_recording(
            server_call_id=call["serverCallId"], recording_state_callback_url=f"{hook.url}?token=a"
        )
        running.acs.clock.advance(1)
        bodies = await hook.received(len(expected))
        events = [body[0] for body in bodies[: len(expected)]]
        await client.stop_recording(started.recording_id or "")
        stops = 2 if order == "doubled" else 1
        last = (await hook.received(len(expected) + stops))[-1][0]
    await running.control("PUT", "callbacks", {"order": "normal"})
    short = [f"{event['data']['state']} {event['data']['startDateTime'][:4]}" for event in events]
    assert [text if text.endswith("0001") else text[:-2] for text in short] == expected
    assert last["data"]["state"] == "inactive"
    assert events[0]["type"] == "Microsoft.Communication.RecordingStateChanged"
    assert {event["data"]["serverCallId"] for event in events} == {call["serverCallId"]}


async def test_a_start_that_fails_later_is_called_back_and_gone(running: Bench, client: AsyncClient, call: Any) -> None:
    await running.fault(kind="start-failed")
    async with receiver() as hook:
        started = await client.start_recording(
            server_call_id=call["serverCallId"], recording_state_callback_url=hook.url
        )
        running.acs.clock.advance(1)
        ((event,),) = await hook.received(1)
    assert event["type"] == "Microsoft.Communication.StartRecordingFailed"
    assert event["data"]["resultInformation"]["code"] == 500
    with pytest.raises(ResourceNotFoundError):
        await client.get_recording_properties(started.recording_id or "")


async def test_external_storage_is_kept(running: Bench, client: AsyncClient, call: Any) -> None:
    address = "https://account.blob.core.windows.net/container"
    started = await client.start_recording(
        server_call_id=call["serverCallId"], recording_storage=AzureBlobContainerRecordingStorage(address)
    )
    truth = await running.truth(started.recording_id or "")
    await client.stop_recording(started.recording_id or "")
    assert truth["options"]["externalStorage"] == {
        "recordingStorageKind": "azureBlobStorage",
        "recordingDestinationContainerUrl": address,
    }
