"""The recording API: versions, routes, headers, refusals and callbacks."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from azure.communication.callautomation.aio import CallAutomationClient as AsyncClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from yarl import URL

from local.acs.media_types import FormatType
from tests.integration.acs_fixtures import Answer, Bench, bench, receiver, sign, until

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


def by_server_call(call: Any) -> dict[str, Any]:
    return {"callLocator": {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}}


async def post(running: Bench, url: str, fields: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps(fields).encode()
    signed = sign("POST", url, running.host, running.acs.options.access_key, body)
    signed |= {"Content-Type": "application/json", "x-ms-client-request-id": "mine", **(headers or {})}
    async with running.session.post(URL(url, encoded=True), data=body, headers=signed) as response:
        return Answer(response.status, dict(response.headers), await response.read())


async def start(running: Bench, version: str, fields: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
    return await post(running, f"{running.acs.endpoint}/calling/recordings?api-version={version}", fields, headers)


async def test_a_combination_that_cannot_be_recorded_is_refused(client: AsyncClient, call: Any) -> None:
    with pytest.raises(HttpResponseError, match="audioVideo/unmixed/any cannot be recorded") as refused:
        await client.start_recording(
            server_call_id=call["serverCallId"], recording_content_type="audioVideo", recording_channel_type="unmixed"
        )
    assert refused.value.status_code == 400


async def test_a_call_that_has_ended_cannot_be_recorded(running: Bench, client: AsyncClient, call: Any) -> None:
    await running.control("DELETE", f"calls/{call['callId']}")
    with pytest.raises(HttpResponseError) as refused:
        await client.start_recording(server_call_id=call["serverCallId"])
    assert refused.value.error.code == "8501"  # type: ignore[union-attr]  # set by azure-core


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
        ("2026-03-12", 200, "azureCommunicationServices"),
    ],
)
async def test_versions_of_the_api_differ(
    running: Bench, call: Any, version: str, status: int, kind: str | None
) -> None:
    answer = await start(running, version, by_server_call(call))
    assert (answer.status, json.loads(answer.body).get("recordingKind")) == (status, kind)


async def test_a_start_by_connection_is_accepted_and_one_by_locator_done(running: Bench, call: Any) -> None:
    by_connection = await start(running, "2026-03-12", {"callConnectionId": call["callConnectionId"]})
    other = await running.control("POST", "calls", {}, expect=201)
    by_locator = await start(running, "2026-03-12", by_server_call(other))
    assert (by_connection.status, by_locator.status) == (202, 200)


@pytest.mark.parametrize(("option", "format_"), [("mp3", "mp3"), ("mp4", "mp4")])
async def test_a_start_without_types_records_what_is_set(
    running: Bench, call: Any, monkeypatch: pytest.MonkeyPatch, option: str, format_: str
) -> None:
    monkeypatch.setattr(running.acs.options, "start_without_types", FormatType(option))
    answer = await start(running, "2026-03-12", by_server_call(call) | {"recordingFormatType": None})
    truth = await running.truth(json.loads(answer.body)["recordingId"])
    assert truth["options"]["recordingFormatType"] == format_


async def test_affinity_needs_no_channel_type_and_no_participant_of_the_call(running: Bench, call: Any) -> None:
    who = {"rawId": "testId", "communicationUser": {"id": "testId"}}
    body = by_server_call(call) | {"channelAffinity": [{"channel": 0, "participant": who}]}
    assert (await start(running, "2026-03-12", body)).status == 200


async def test_any_text_is_taken_for_a_callback_address(running: Bench, call: Any) -> None:
    body = by_server_call(call) | {"recordingStateCallbackUri": "/not/absolute/uri"}
    assert (await start(running, "2026-03-12", body)).status == 200


async def test_answers_carry_the_service_s_headers(running: Bench, call: Any) -> None:
    answer = await start(running, "2026-03-12", by_server_call(call), {"Repeatability-Request-ID": str(uuid4())})
    assert answer.headers["Repeatability-Result"] == "accepted"
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert "2026-03-12" in answer.headers["api-supported-versions"].split(", ")
    assert "x-ms-request-id" not in answer.headers
    one = json.loads(answer.body)["recordingId"]
    shown = await running.fetch(f"{running.acs.endpoint}/calling/recordings/{one}?api-version=2026-03-12")
    assert shown.headers["X-Microsoft-Skype-Chain-ID"] == call["correlationId"]
    assert answer.headers["X-Microsoft-Skype-Chain-ID"] != call["correlationId"]
    assert "Repeatability-Result" not in shown.headers


@pytest.mark.parametrize("version", ["2025-08-15-preview", "2024-09-01-preview"])
async def test_the_result_of_a_stopped_recording_names_its_chunks(running: Bench, call: Any, version: str) -> None:
    body = by_server_call(call) | {"recordingContentType": "audio"}
    one = json.loads((await start(running, version, body)).body)["recordingId"]
    result = f"{running.acs.endpoint}/calling/recordings/{one}/result?api-version={version}"
    assert (await running.fetch(result)).status == 404
    running.acs.clock.advance(5)
    address = f"{running.acs.endpoint}/calling/recordings/{one}?api-version={version}"
    assert (await running.fetch(address, method="DELETE")).status == 204
    await running.finished(one)
    answer = json.loads((await running.fetch(result)).body)
    (chunk,) = answer["recordingStorageInfo"]["recordingChunks"]
    assert answer["sessionEndReason"] == "SessionStillOngoing"
    assert (await running.fetch(chunk["contentLocation"])).status == 200


async def test_a_version_without_the_result_refuses_it(running: Bench) -> None:
    url = f"{running.acs.endpoint}/calling/recordings/{UNKNOWN}/result?api-version=2026-03-12"
    assert (await running.fetch(url)).status == 400


async def test_a_missing_recording_is_named_as_the_target(running: Bench) -> None:
    path = f"/calling/recordings/{UNKNOWN.rstrip('=')}"
    answer = await running.fetch(f"{running.acs.endpoint}{path}?api-version=2026-03-12")
    assert json.loads(answer.body) == {"error": {"code": "8522", "message": "Recording not found.", "target": path}}


@pytest.mark.parametrize("kind", ["teams", "teamsCompliance"])
async def test_a_recording_of_teams_is_never_announced(running: Bench, kind: str) -> None:
    call = await running.control("POST", "calls", {"recordingKind": kind}, expect=201)
    answer = json.loads((await start(running, "2026-03-12", by_server_call(call))).body)
    assert answer["recordingKind"] == kind
    running.acs.clock.advance(5)
    await running.control("DELETE", f"calls/{call['callId']}")
    truth = await running.truth(answer["recordingId"])
    assert (truth["processing"], truth["chunks"], truth["eventsSent"]) == ("delivered-elsewhere", [], 0)


@pytest.mark.parametrize("version", ["2021-11-15-preview", "2021-08-30-preview"])
async def test_the_previews_of_2021_have_routes_and_answers_of_their_own(
    running: Bench, call: Any, version: str
) -> None:
    base = f"{running.acs.endpoint}/calling/recordings"
    body = by_server_call(call)
    if version == "2021-08-30-preview":
        base = f"{running.acs.endpoint}/calling/serverCalls/{quote(call['serverCallId'], safe='')}/recordings"
        body = {}
    started = await post(running, f"{base}?api-version={version}", body)
    one = f"{base}/{json.loads(started.body)['recordingId']}"
    assert (started.status, list(json.loads(started.body))) == (200, ["recordingId"])
    paused = await post(running, f"{one}/:pause?api-version={version}", {})
    shown = await running.fetch(f"{one}?api-version={version}")
    assert (paused.status, json.loads(shown.body)) == (200, {"recordingState": "inactive"})
    assert (await running.fetch(f"{one}?api-version={version}", method="DELETE")).status == 200
    assert (await running.fetch(f"{one}?api-version={version}")).status == 404


@pytest.mark.parametrize(
    "path", ["recordings/?api-version=2026-03-12", "serverCalls/x/recordings/?api-version=2021-08-30-preview"]
)
async def test_a_method_that_an_address_lacks_is_refused_with_those_it_has(running: Bench, path: str) -> None:
    url = f"{running.acs.endpoint}/calling/{path}"
    answer = await running.fetch(url, method="DELETE")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert json.loads(answer.body) == {"message": "The requested resource does not support http method 'DELETE'."}


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
        await client.stop_recording(started.recording_id or "")
    await running.control("PUT", "callbacks", {"order": "normal"})
    events = [body[0] for body in bodies]
    short = [f"{event['data']['state']} {event['data']['startDateTime'][:4]}" for event in events]
    assert [text if text.endswith("0001") else text[:-2] for text in short] == expected
    assert {event["data"]["serverCallId"] for event in events} == {call["serverCallId"]}


async def test_lost_callbacks_do_not_come(running: Bench, client: AsyncClient, call: Any) -> None:
    await running.control("PUT", "callbacks", {"order": "lost"})
    async with receiver() as hook:
        started = await client.start_recording(
            server_call_id=call["serverCallId"], recording_state_callback_url=hook.url
        )
        running.acs.clock.advance(1)
        one = started.recording_id or ""
        await until(lambda: client.get_recording_properties(one), lambda seen: seen.recording_state == "active")
        await running.control("PUT", "callbacks", {"order": "normal"})
        await client.pause_recording(started.recording_id or "")
        bodies = await hook.received(1)
        await client.stop_recording(started.recording_id or "")
    [event] = [body[0] for body in bodies]
    assert event["data"]["state"] == "inactive"
    assert not event["data"]["startDateTime"].startswith("0001")


async def test_a_state_is_called_back_as_the_service_writes_it(running: Bench, call: Any) -> None:
    async with receiver() as hook:
        body = by_server_call(call) | {"recordingStateCallbackUri": f" {hook.url}"}
        one = json.loads((await start(running, "2026-03-12", body)).body)["recordingId"]
        running.acs.clock.advance(1)
        event = (await hook.received(2))[1][0]
    assert event["source"] == event["subject"]
    assert event["source"] == f"calling/recordings/{call['serverCallId']}/{one}/RecordingStateChanged"
    data = event["data"]
    assert event["type"] == data["publicEventType"] == "Microsoft.Communication.RecordingStateChanged"
    assert data["resultInformation"] == {"code": 200, "subCode": 0, "message": ""}
    assert data["version"] == "2026-03-12"
    assert data["callConnectionId"] != call["callConnectionId"]
    for time in (event["time"], data["startDateTime"]):
        assert time.endswith("+00:00")
        assert not time.removesuffix("+00:00").endswith("0") or "." not in time
        assert datetime.fromisoformat(time)


async def test_active_follows_inactive_after_about_a_tenth_of_a_second(running: Bench, call: Any) -> None:
    async with receiver() as hook:
        await start(running, "2026-03-12", by_server_call(call) | {"recordingStateCallbackUri": hook.url})
        first, second = [datetime.fromisoformat(body[0]["time"]) for body in await hook.received(2)]
    assert (second - first).total_seconds() >= 0.06


@pytest.mark.parametrize(
    ("closing", "states"), [(False, ["inactive", "active"]), (True, ["inactive", "active", "inactive"])]
)
async def test_a_stop_is_called_back_only_where_that_is_set(
    running: Bench, call: Any, monkeypatch: pytest.MonkeyPatch, closing: bool, states: list[str]
) -> None:
    monkeypatch.setattr(running.acs.options, "closing_callback", closing)
    async with receiver() as hook:
        body = by_server_call(call) | {"recordingStateCallbackUri": hook.url, "recordingContentType": "audio"}
        one = json.loads((await start(running, "2026-03-12", body)).body)["recordingId"]
        running.acs.clock.advance(1)
        await hook.received(2)
        url = f"{running.acs.endpoint}/calling/recordings/{one}?api-version=2026-03-12"
        await running.fetch(url, method="DELETE")
        # The files are made after the callback is sent: with them there, nothing more comes.
        await running.finished(one)
        await hook.received(len(states))
        assert [body[0]["data"]["state"] for body in hook.bodies] == states
