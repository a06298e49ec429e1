"""Starts that are asked for again: at once, later, after a crash, with another body."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.core.blob_names import safe_name
from shared.core.times import iso_time
from shared.recordings.idempotency import CRASHED_AFTER
from shared.storage.ledger import Operation
from tests.integration.archive_fixtures import acs_control, app
from tests.integration.recording_fixtures import QUICK, api, call, claims, ledger

if TYPE_CHECKING:
    from local.stack import Stack
    from shared.storage.claims import Claims
    from shared.storage.ledger import Ledger
    from tests.integration.recording_fixtures import Api

__all__ = ["acs_control", "api", "app", "call", "claims", "ledger"]


@pytest.fixture
def key() -> str:
    return str(uuid4())


def of_call(stack: Stack, call: dict[str, Any]) -> list[str]:
    """The recordings that the service has of a call."""
    return [
        recording.recording_id
        for recording in stack.acs.service.recordings
        if recording.call.server_call_id == call["serverCallId"]
    ]


async def test_two_identical_starts_at_once_make_one_recording(
    api: Api, call: dict[str, Any], stack: Stack, ledger: Ledger, key: str
) -> None:
    stack.acs.log.clear()
    # A second recording of the call would be taken if it were asked for.
    stack.acs.options.one_recording_per_call = False
    try:
        answers = await asyncio.gather(
            *(api.start(key=key, serverCallId=call["serverCallId"], **QUICK) for _ in range(2))
        )
    finally:
        stack.acs.options.one_recording_per_call = True
    assert [reply.status for reply in answers] == [201, 201]
    assert answers[0].body == answers[1].body
    assert of_call(stack, call) == [answers[0].body["recordingId"]]
    assert len([record for record in stack.acs.log.all() if record.target == "start"]) == 1
    noted = (await ledger.read(safe_name(answers[0].body["recordingId"]))).transitions
    assert [entry.operation for entry in noted if entry.operation is Operation.START] == [Operation.START]


async def test_ten_at_once_while_the_service_is_slow_make_one_recording(
    api: Api, call: dict[str, Any], stack: Stack, key: str
) -> None:
    stack.acs.order_fault(kind="latency", target="start", times=None, latency_seconds=0.5)
    try:
        answers = await asyncio.gather(
            *(api.start(key=key, serverCallId=call["serverCallId"], **QUICK) for _ in range(10))
        )
    finally:
        stack.acs.faults.clear()
    assert {reply.status for reply in answers} == {201}
    assert of_call(stack, call) == [answers[0].body["recordingId"]]
    assert len({reply.headers["Location"] for reply in answers}) == 1


async def test_a_start_that_is_repeated_later_returns_the_first_recording(
    api: Api, call: dict[str, Any], stack: Stack, key: str
) -> None:
    first = await api.start(key=key, serverCallId=call["serverCallId"], recordingFormatType="wav")
    await api.do("stop", first.body["recordingId"])
    # Spelled otherwise, the request is the same.
    again = await api.start(key=key, serverCallId=call["serverCallId"], recordingFormatType="WAV", roomId=None)
    assert (again.status, again.body, again.headers["Location"]) == (201, first.body, first.headers["Location"])
    assert len(of_call(stack, call)) == 1


async def test_another_request_with_the_same_key_is_refused(
    api: Api, call: dict[str, Any], stack: Stack, key: str
) -> None:
    await api.start(key=key, serverCallId=call["serverCallId"], **QUICK)
    reply = await api.start(key=key, serverCallId=call["serverCallId"])
    assert (reply.status, reply.problem) == (422, "idempotency-key-reused")
    assert len(of_call(stack, call)) == 1


async def test_a_start_that_failed_can_be_made_again_with_its_key(
    api: Api, call: dict[str, Any], stack: Stack, key: str
) -> None:
    stack.acs.order_fault(kind="503", target="start", retry_after=60)
    failed = await api.start(key=key, serverCallId=call["serverCallId"], **QUICK)
    assert (failed.status, failed.headers["Retry-After"]) == (503, "60")
    assert (await api.start(key=key, serverCallId=call["serverCallId"], **QUICK)).status == 201


async def test_a_start_whose_first_request_crashed_is_taken_over(
    api: Api, call: dict[str, Any], stack: Stack, claims: Claims, key: str
) -> None:
    """The service has started the recording; whoever asked died before it could note the answer."""
    first = await api.start(key=key, serverCallId=call["serverCallId"], **QUICK)
    [(row, facts)] = [(row, facts) async for row, facts in claims.all("idempotency") if safe_name(key) in row]
    long_ago = iso_time(datetime.now(UTC) - CRASHED_AFTER - timedelta(seconds=1))
    claimed = f"function key\n{key}"
    assert safe_name(claimed) == row
    await claims.release("idempotency", claimed)
    await claims.claim("idempotency", claimed, request=facts["request"], claimedAt=long_ago, claimedBy="crashed")
    answers = await asyncio.gather(*(api.start(key=key, serverCallId=call["serverCallId"], **QUICK) for _ in range(3)))
    assert {reply.status for reply in answers} == {201}
    assert {reply.body["recordingId"] for reply in answers} == {first.body["recordingId"]}
    assert len(of_call(stack, call)) == 1


@pytest.mark.parametrize("wrong", ["", "a b", "x" * 256, "schlüssel"])
async def test_a_key_that_is_none_is_refused(api: Api, call: dict[str, Any], stack: Stack, wrong: str) -> None:
    reply = await api.start(key=wrong, serverCallId=call["serverCallId"])
    assert (reply.status, reply.problem, reply.body["field"]) == (400, "invalid-request", "Idempotency-Key")
    assert not of_call(stack, call)
