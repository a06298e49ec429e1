"""Control of recordings through the Functions host, against the ACS emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.integration.archive_fixtures import acs_control, app
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    import aiohttp

    from local.stack import Stack

__all__ = ["acs_control", "app"]


@pytest.fixture
async def call(acs_control: aiohttp.ClientSession) -> dict[str, Any]:
    """A call of two participants, in a group."""
    body = {"participants": ["8:acs:alice", "8:acs:bob"], "groupCallId": "9a1f6f52-3a6e-4b57-8a57-2f4f5f1c0b10"}
    async with acs_control.post("calls", json=body) as answer:
        made: dict[str, Any] = await answer.json()
    return made


async def start(app: aiohttp.ClientSession, **body: Any) -> tuple[int, dict[str, Any], str | None]:
    async with app.post("recordings", json=body) as answer:
        return answer.status, await answer.json(), answer.headers.get("Location")


async def state(app: aiohttp.ClientSession, recording_id: str) -> str:
    async with app.get(f"recordings/{quote(recording_id, safe='')}") as answer:
        assert answer.status == 200
        return str((await answer.json())["state"])


async def do(app: aiohttp.ClientSession, recording_id: str, operation: str) -> int:
    async with app.post(f"recordings/{quote(recording_id, safe='')}/{operation}") as answer:
        assert answer.content_type == ("application/json" if answer.ok else "application/problem+json")
        return answer.status


async def test_a_recording_is_started_paused_resumed_and_stopped(
    app: aiohttp.ClientSession, call: dict[str, Any]
) -> None:
    status, body, location = await start(app, serverCallId=call["serverCallId"])
    recording = body["recordingId"]
    assert (status, body["state"]) == (201, "starting")
    assert location == f"/api/recordings/{quote(recording, safe='')}"

    async def is_in(wanted: str) -> bool:
        return await state(app, recording) == wanted

    await eventually(lambda: is_in("active"))
    assert await do(app, recording, "pause") == 202
    await eventually(lambda: is_in("paused"))
    assert await do(app, recording, "pause") == 409
    assert await do(app, recording, "resume") == 202
    await eventually(lambda: is_in("active"))
    assert await do(app, recording, "resume") == 409
    assert await do(app, recording, "stop") == 202
    await eventually(lambda: is_in("archived"))
    assert await do(app, recording, "stop") == 409


@pytest.mark.parametrize("locator", ["serverCallId", "groupCallId", "callConnectionId"])
async def test_each_id_of_the_call_will_do(app: aiohttp.ClientSession, call: dict[str, Any], locator: str) -> None:
    status, body, _ = await start(app, **{locator: call[locator]}, recordingContentType="audio")
    assert status == 201, body
    await do(app, body["recordingId"], "stop")


async def test_the_combination_is_checked_before_the_service_is_asked(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, call: dict[str, Any]
) -> None:
    async def asked() -> int:
        async with acs_control.get("requests") as answer:
            requests = (await answer.json())["requests"]
        return sum(request["path"].startswith("/calling/recordings") for request in requests)

    before = await asked()
    status, body, _ = await start(app, serverCallId=call["serverCallId"], recordingFormatType="ogg")
    assert (status, body["field"]) == (400, "recordingFormatType")
    assert body["type"].endswith(":invalid-request")
    assert await asked() == before


async def test_an_unknown_recording_keeps_the_services_code(app: aiohttp.ClientSession) -> None:
    async with app.get("recordings/unknown") as answer:
        problem = await answer.json()
        assert answer.content_type == "application/problem+json"
    assert (problem["status"], problem["code"], problem["serviceMessage"]) == (404, "8522", "Recording not found.")


async def test_a_service_that_is_busy_for_a_moment_is_asked_again(
    app: aiohttp.ClientSession, call: dict[str, Any], stack: Stack
) -> None:
    stack.acs.order_fault(kind="503", target="start", times=2, retry_after=0)
    status, body, _ = await start(app, serverCallId=call["serverCallId"])
    assert status == 201, body
    await do(app, body["recordingId"], "stop")


async def test_the_services_wish_to_slow_down_is_passed_on(
    app: aiohttp.ClientSession, call: dict[str, Any], stack: Stack
) -> None:
    stack.acs.order_fault(kind="429", target="start", retry_after=60)
    async with app.post("recordings", json={"serverCallId": call["serverCallId"]}) as answer:
        problem = await answer.json()
    assert (answer.status, problem["serviceStatus"], answer.headers["Retry-After"]) == (429, 429, "60")


async def test_without_a_key_nothing_is_done(stack: Stack, app: aiohttp.ClientSession) -> None:
    async with app.get("recordings/unknown", headers={"x-functions-key": "wrong"}) as answer:
        assert answer.status == 401


async def test_health_names_what_it_looked_at(app: aiohttp.ClientSession) -> None:
    async with app.get("health") as answer:
        body = await answer.json()
    assert answer.status == 200, body
    assert body["dependencies"] == {
        "archiveContainer": {"status": "ok"},
        "queue": {"status": "ok"},
        "communicationService": {"status": "ok"},
    }
