"""Every operation in every state, against the emulator through the Functions host; each answer as docs/api.md says."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.core.blob_names import safe_name
from shared.core.times import iso_time
from shared.recordings.acs_client import Repeatability
from shared.recordings.states import State
from shared.storage.ledger import Operation, Report
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.recording_fixtures import QUICK, a_call, api, documented_table, elsewhere, ledger
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    from azure.communication.callautomation.aio import CallAutomationClient

    from local.stack import Stack
    from shared.storage.ledger import Ledger
    from tests.integration.recording_fixtures import Api

__all__ = ["acs_control", "api", "app", "elsewhere", "ledger"]

NEVER = 10.0**9
"""Emulated seconds that do not pass."""

DOCUMENTED = {row["state"]: row for row in documented_table("What can be done in which state")}


@dataclass
class World:
    """Brings recordings into a state; whatever it changes in the emulator is as before afterwards."""

    stack: Stack
    acs_control: aiohttp.ClientSession
    api: Api
    ledger: Ledger
    elsewhere: CallAutomationClient
    exits: AsyncExitStack
    server_call_id: str | None = None

    async def recording_in(self, state: str) -> str:
        recording: str = await getattr(self, state)()

        async def is_there() -> bool:
            return await self.api.state(recording) == state

        await eventually(is_there, within=20)
        return recording

    async def started(self, **options: Any) -> str:
        call = await self.exits.enter_async_context(a_call(self.acs_control))
        self.server_call_id = call["serverCallId"]
        shown = await self.api.start(serverCallId=self.server_call_id, **QUICK, **options)
        assert shown.status == 201, shown
        return str(shown.body["recordingId"])

    async def starting(self) -> str:
        self._set(activation_delay=NEVER)
        return await self.started()

    async def active(self) -> str:
        return await self.started()

    async def paused(self) -> str:
        return await self.started(pauseOnStart=True)

    async def stopping(self) -> str:
        recording = await self.started()
        await self.ledger.record(safe_name(recording), Operation.STOP)
        return recording

    async def processing(self) -> str:
        self._set(finalize_delay=NEVER)
        recording = await self.started()
        assert (await self.api.do("stop", recording)).status == 202
        return recording

    async def archiving(self) -> str:
        truth = await finished_recording(self.acs_control, announce=False, contentType="audio")
        self.stack.acs.order_fault(
            kind="503", target="content", document_id=truth["chunks"][0]["documentId"], times=None
        )
        async with self.acs_control.post(f"recordings/{truth['recordingId']}/announce", json={}):
            pass
        # Until the event has come, the recording is unknown.
        await eventually(lambda: self._is_known(truth["recordingId"]))
        return str(truth["recordingId"])

    async def archived(self) -> str:
        truth = await finished_recording(self.acs_control, contentType="audio")
        await eventually(lambda: self._is_known(truth["recordingId"]))
        return str(truth["recordingId"])

    async def failed(self) -> str:
        self.stack.acs.order_fault(kind="start-failed")
        recording = await self.started()
        await self.ledger.record(safe_name(recording), Report.FAILED, detail="no media")
        return recording

    async def expired(self) -> str:
        recording, days_ago = uuid4().hex, datetime.now(UTC) - timedelta(days=3)
        name = safe_name(recording)
        await self.ledger.learn(name, recordingId=recording, startedAt=iso_time(days_ago))
        await self.ledger.record(name, Operation.START, at=days_ago)
        await self.ledger.record(name, Operation.STOP, at=days_ago + timedelta(hours=1))
        return recording

    async def unknown(self) -> str:
        call = await self.exits.enter_async_context(a_call(self.acs_control))
        self.server_call_id = call["serverCallId"]
        begun = await self.elsewhere.start_recording(
            server_call_id=self.server_call_id,
            recording_content_type="audio",
            recording_format_type="wav",
            headers=Repeatability.new().headers,
        )
        assert begun.recording_id is not None
        await self.elsewhere.pause_recording(begun.recording_id)
        return begun.recording_id

    async def _is_known(self, recording: str) -> bool:
        return (await self.api.get(recording)).status == 200

    def _set(self, **options: float) -> None:
        for name, value in options.items():
            self.exits.callback(setattr, self.stack.acs.options, name, getattr(self.stack.acs.options, name))
            setattr(self.stack.acs.options, name, value)


@pytest.fixture
async def world(
    stack: Stack,
    acs_control: aiohttp.ClientSession,
    api: Api,
    ledger: Ledger,
    elsewhere: CallAutomationClient,
) -> AsyncIterator[World]:
    async with AsyncExitStack() as exits:
        exits.callback(stack.acs.faults.clear)
        yield World(stack, acs_control, api, ledger, elsewhere, exits)


def test_every_state_is_documented() -> None:
    assert list(DOCUMENTED) == list(State)


@pytest.mark.parametrize("operation", ["pause", "resume", "stop"])
@pytest.mark.parametrize("state", list(State))
async def test_each_operation_in_each_state_is_answered_as_documented(world: World, state: str, operation: str) -> None:
    recording = await world.recording_in(state)
    shown = await world.api.do(operation, recording)
    expected, _, leads_to = DOCUMENTED[state][operation].partition(" ")
    assert shown.status == int(expected), shown
    if shown.status == 202:
        assert shown.body == {"recordingId": recording, "state": leads_to}
    else:
        assert (shown.problem, shown.body["state"]) == ("wrong-state", state)


@pytest.mark.parametrize("state", ["starting", "active", "paused", "stopping", "unknown"])
async def test_a_call_that_is_being_recorded_cannot_be_recorded_twice(world: World, state: str) -> None:
    await world.recording_in(state)
    shown = await world.api.start(serverCallId=world.server_call_id)
    assert (shown.status, shown.problem, shown.body["serviceStatus"]) == (409, "already-recording", 400)


async def test_a_call_can_be_recorded_again_once_its_recording_was_stopped(world: World) -> None:
    first = await world.recording_in("processing")
    shown = await world.api.start(serverCallId=world.server_call_id, **QUICK)
    assert shown.status == 201
    assert shown.body["recordingId"] != first


async def test_a_call_that_has_ended_cannot_be_recorded(api: Api, acs_control: aiohttp.ClientSession) -> None:
    async with a_call(acs_control) as call:
        pass
    shown = await api.start(serverCallId=call["serverCallId"])
    assert (shown.status, shown.problem, shown.body["code"]) == (400, "refused-by-service", "8501")


async def test_an_unknown_recording_is_not_found(api: Api) -> None:
    for shown in [await api.get("unknown"), *[await api.do(op, "unknown") for op in ("pause", "resume", "stop")]]:
        assert (shown.status, shown.problem) == (404, "recording-not-found")
        assert (shown.body["code"], shown.body["serviceMessage"]) == ("8522", "Recording not found.")


@pytest.mark.parametrize("recording", ["..", ".", "a b", "ä", "x" * 1025, "a?b"])
async def test_what_is_no_id_reaches_neither_the_service_nor_another_route(
    api: Api, stack: Stack, recording: str
) -> None:
    stack.acs.log.clear()
    if recording.strip("."):
        shown = await api.do("stop", recording)
        assert (shown.status, shown.problem) == (404, "recording-not-found")
    assert not stack.acs.log.all()
