from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import (
    ConsentRequired,
    IdempotencyConflict,
    InvalidRequest,
    RecordingNotFound,
    ServiceError,
    StorageUnavailable,
    WrongState,
)
from shared.recordings.idempotency import CRASHED_AFTER
from shared.recordings.lookup import LOOK_BACK
from shared.recordings.service import Recordings
from shared.recordings.states import State
from shared.storage.ledger import Operation
from tests.unit.recording_parts import NOT_FOUND, NOW, Parts, manifest

ID = "recording1"
BODY = json.dumps({"serverCallId": "call"}).encode()
BUSY = ServiceError(503, "ServiceUnavailable", "The service cannot answer now.", retry_after=30)


@pytest.fixture
def parts() -> Parts:
    return Parts()


async def begun(parts: Parts, **fields: object) -> dict[str, Any]:
    body = json.dumps({"serverCallId": "call", **fields}).encode()
    return (await parts.recordings.start(body, by="alice")).body


async def test_a_start_is_remembered_with_its_options_and_who_asked(parts: Parts) -> None:
    await begun(parts, recordingFormatType="WAV", recordingStateCallbackUri="https://example.com/hook?secret=s#f")
    shown = (await parts.recordings.get(ID)).body
    assert (shown["startedBy"], shown["serverCallId"]) == ("alice", "call")
    assert shown["options"] == {
        "serverCallId": "call",
        "recordingFormatType": "wav",
        "recordingStateCallbackUri": "https://example.com/hook",
    }
    assert "secret" not in json.dumps([str(row) for row in parts.table.rows.values()])


@pytest.mark.parametrize("operation", [Operation.PAUSE, Operation.STOP])
@pytest.mark.parametrize("refusal", [NOT_FOUND, ServiceError(400, "8501", "not established")])
async def test_what_the_service_refuses_because_the_recording_has_ended_names_its_state(
    parts: Parts, operation: Operation, refusal: ServiceError
) -> None:
    await begun(parts)
    parts.service.refuses, parts.service.then_says = refusal, NOT_FOUND
    with pytest.raises(WrongState) as raised:
        await getattr(parts.recordings, operation)(ID)
    assert raised.value.state == State.PROCESSING


async def test_what_the_service_refuses_for_another_reason_is_passed_on(parts: Parts) -> None:
    await begun(parts)
    parts.service.refuses = ServiceError(400, "1234", "something else")
    with pytest.raises(ServiceError, match="1234"):
        await parts.recordings.pause(ID)
    assert (await parts.ledger.read(ID)).last(Operation.PAUSE) is None


async def test_a_recording_that_ended_without_our_doing_ends_up_expired(parts: Parts) -> None:
    """No end is known, so the time runs from when the service was first seen not to know it."""
    await begun(parts)
    parts.now, parts.service.says = NOW + timedelta(days=5), NOT_FOUND
    assert (await parts.recordings.get(ID)).body["state"] == State.PROCESSING
    parts.now += timedelta(hours=23)
    assert (await parts.recordings.get(ID)).body["state"] == State.PROCESSING
    parts.now += timedelta(hours=2)
    assert (await parts.recordings.get(ID)).body["state"] == State.EXPIRED


async def test_the_ledger_is_away_while_it_is_recorded(parts: Parts) -> None:
    await begun(parts)
    parts.table.away = True
    answer = await parts.recordings.get(ID)
    assert answer.body["state"] == State.ACTIVE
    assert "ledger could not be read" in answer.body["notes"][0]
    assert (await parts.recordings.pause(ID)).body["state"] == State.PAUSED


async def test_the_ledger_is_away_when_it_alone_could_know_the_recording(parts: Parts) -> None:
    await begun(parts)
    parts.table.away, parts.service.says = True, NOT_FOUND
    with pytest.raises(StorageUnavailable, match="ledger"):
        await parts.recordings.get(ID)


async def test_the_ledger_is_away_and_the_archive_has_the_recording(parts: Parts) -> None:
    parts.table.away, parts.service.says = True, NOT_FOUND
    parts.manifests.known[f"2026/11/20/{ID}"] = manifest(True)
    answer = await parts.recordings.get(ID)
    assert (answer.body["state"], answer.body["prefix"]) == (State.ARCHIVED, f"2026/11/20/{ID}")


async def test_the_archive_is_away_while_it_is_recorded(parts: Parts) -> None:
    await begun(parts)
    await parts.ledger.learn(ID, prefix="prefix")
    parts.manifests.away = True
    answer = await parts.recordings.get(ID)
    assert (answer.body["state"], answer.body["prefix"]) == (State.ACTIVE, "prefix")
    assert "archive could not be read" in answer.body["notes"][0]
    parts.service.says = NOT_FOUND
    with pytest.raises(StorageUnavailable):
        await parts.recordings.get(ID)


async def test_an_unknown_recording_is_not_found(parts: Parts) -> None:
    parts.service.says = NOT_FOUND
    with pytest.raises(ServiceError) as raised:
        await parts.recordings.get(ID)
    assert raised.value is NOT_FOUND
    assert len(parts.container.asked) == LOOK_BACK + 2
    assert not parts.table.rows


async def test_the_archive_is_not_searched_for_what_is_being_recorded(parts: Parts) -> None:
    await begun(parts)
    await parts.recordings.get(ID)
    assert not parts.container.asked


async def test_a_recording_whose_manifest_cannot_be_read_can_still_be_stopped(parts: Parts) -> None:
    await begun(parts)
    await parts.ledger.learn(ID, prefix="prefix")
    parts.manifests.unreadable.add("prefix")
    running = (await parts.recordings.get(ID)).body
    assert (running["state"], running["prefix"]) == (State.ACTIVE, "prefix")
    assert "prefix/manifest.json is not a manifest" in running["notes"][0]
    assert (await parts.recordings.stop(ID)).body["state"] == State.STOPPING


async def test_what_is_archived_under_a_manifest_that_cannot_be_read_is_not_known(parts: Parts) -> None:
    """Neither `processing` nor `expired` would be true: the files may all be there."""
    parts.service.says = NOT_FOUND
    parts.manifests.unreadable.add(f"2026/11/20/{ID}")
    found = (await parts.recordings.get(ID)).body
    assert (found["state"], found["prefix"], found["chunks"]) == (State.UNKNOWN, f"2026/11/20/{ID}", [])
    assert "is not a manifest" in found["notes"][0]
    parts.service.refuses = NOT_FOUND
    with pytest.raises(ServiceError) as raised:
        await parts.recordings.stop(ID)
    assert raised.value is NOT_FOUND


@pytest.mark.parametrize("says", ["active", "inactive", BUSY])
async def test_what_was_stopped_is_not_asked_of_the_service_again(parts: Parts, says: str | ServiceError) -> None:
    await begun(parts)
    await parts.recordings.stop(ID)
    parts.service.says = says
    for operation in (parts.recordings.pause, parts.recordings.resume, parts.recordings.stop):
        with pytest.raises(WrongState, match="stopping"):
            await operation(ID)
    assert parts.service.asked == ["stop"]


async def test_nothing_is_done_while_the_service_cannot_say_how_it_is(parts: Parts) -> None:
    await begun(parts)
    parts.service.says = BUSY
    with pytest.raises(ServiceError) as raised:
        await parts.recordings.pause(ID)
    assert raised.value is BUSY
    assert not parts.service.asked


async def test_it_pays_to_ask_again_when_the_service_says(parts: Parts) -> None:
    await begun(parts, pauseOnStart=True)
    parts.service.says = BUSY
    answer = await parts.recordings.get(ID)
    assert (answer.body["state"], answer.body["serviceState"], answer.retry_after) == (State.PAUSED, None, 30)


async def test_pauses_are_shown_with_their_times(parts: Parts) -> None:
    await begun(parts, pauseOnStart=True)
    for operation, minutes in (("resume", 1), ("pause", 2)):
        parts.service.says = "active" if operation == "pause" else "inactive"
        parts.now = NOW + timedelta(minutes=minutes)
        await getattr(parts.recordings, operation)(ID)
    pauses = (await parts.recordings.get(ID)).body["pauses"]
    assert [(pause["from"][11:19], pause["to"] and pause["to"][11:19]) for pause in pauses] == [
        ("09:15:00", "09:16:00"),
        ("09:17:00", None),
    ]


async def test_a_chunk_shows_its_next_try_as_long_as_one_is_due(parts: Parts) -> None:
    parts.service.says = NOT_FOUND
    parts.manifests.known["prefix"] = manifest(False, False)
    await parts.ledger.learn(ID, prefix="prefix")
    for index in range(2):
        await parts.ledger.failed(ID, index, 3, "the body was cut", NOW + timedelta(minutes=2))
    await parts.ledger.give_up(ID, 1, "too late")
    retried, given_up = (await parts.recordings.get(ID)).body["chunks"]
    assert (retried["state"], retried["tries"], retried["lastError"]) == ("retrying", 3, "the body was cut")
    assert retried["nextTryAt"] == "2026-11-22T09:17:00.000000Z"
    assert (given_up["state"], given_up["nextTryAt"]) == ("failed", None)


async def test_a_chunk_whose_announcement_or_deletion_is_still_tried_says_so(parts: Parts) -> None:
    parts.service.says = NOT_FOUND
    parts.manifests.known["prefix"] = manifest(True)
    await parts.ledger.learn(ID, prefix="prefix")
    await parts.ledger.failed(ID, 0, 2, "the topic did not answer", NOW + timedelta(minutes=2))
    [chunk] = (await parts.recordings.get(ID)).body["chunks"]
    assert (chunk["state"], chunk["lastError"]) == ("archived", "the topic did not answer")
    parts.now = NOW + timedelta(minutes=3)
    [chunk] = (await parts.recordings.get(ID)).body["chunks"]
    assert (chunk["state"], chunk["lastError"], chunk["nextTryAt"]) == ("archived", None, None)


async def test_looking_at_what_is_known_writes_nothing(parts: Parts) -> None:
    parts.service.says = NOT_FOUND
    parts.manifests.known[f"2026/11/20/{ID}"] = manifest(True)
    for _ in range(2):  # its place is learnt first, then since when the service does not have it
        await parts.recordings.get(ID)
    learnt = parts.table.writes
    assert learnt > 0
    for _ in range(3):
        await parts.recordings.get(ID)
    assert parts.table.writes == learnt


@pytest.mark.parametrize("wrong", ["", ".", "..", "a b", "a?b", "a#b", "ü", "x" * 1025, "a\nb", "\x00"])
async def test_the_service_is_not_asked_for_an_invalid_id(parts: Parts, wrong: str) -> None:
    with pytest.raises(RecordingNotFound):
        await parts.recordings.stop(wrong)
    assert not parts.service.asked


async def test_a_repeated_start_returns_the_first_answer(parts: Parts) -> None:
    first = await parts.recordings.start(BODY, idempotency_key="key")
    assert await parts.recordings.start(BODY, idempotency_key="key") == first
    assert len(parts.service.repeatabilities) == 1


async def test_keys_of_different_callers_are_different_keys(parts: Parts) -> None:
    for caller in ("alice", "bob"):
        await parts.recordings.start(BODY, by=caller, idempotency_key="key")
    ids = {each.request_id for each in parts.service.repeatabilities}
    assert (len(ids), {each.version for each in ids}) == (2, {4})


async def test_a_key_serves_one_request(parts: Parts) -> None:
    await parts.recordings.start(BODY, idempotency_key="key")
    with pytest.raises(IdempotencyConflict):
        await parts.recordings.start(b'{"serverCallId": "another"}', idempotency_key="key")


async def test_a_start_that_was_refused_leaves_its_key_free(parts: Parts) -> None:
    parts.service.refuses = BUSY
    with pytest.raises(ServiceError):
        await parts.recordings.start(BODY, idempotency_key="key")
    parts.service.refuses = None
    await parts.recordings.start(BODY, idempotency_key="key")
    assert len({each.request_id for each in parts.service.repeatabilities}) == 1


async def test_a_claim_that_was_left_behind_is_taken_over_with_the_first_ones_identity(parts: Parts) -> None:
    async def crash(*_: object) -> None:
        raise asyncio.CancelledError

    parts.table.delete_entity = crash  # type: ignore[method-assign,assignment] # as if killed: nothing is released
    parts.service.refuses = ServiceError(500, "9999", "killed")
    with pytest.raises(asyncio.CancelledError):
        await parts.recordings.start(BODY, idempotency_key="key")
    parts.service.refuses = None
    parts.now = NOW + CRASHED_AFTER
    await parts.recordings.start(BODY, idempotency_key="key")
    first, second = parts.service.repeatabilities
    assert (second.request_id, second.first_sent) == (first.request_id, NOW)


async def test_a_start_with_a_key_needs_no_ledger(parts: Parts) -> None:
    """The service knows a repeated request too, and the recording matters more."""
    parts.table.away = True
    for _ in range(2):
        await parts.recordings.start(BODY, idempotency_key="key")
    assert len({each.request_id for each in parts.service.repeatabilities}) == 1


@pytest.mark.parametrize("wrong", ["", " ", "a b", "ü", "x" * 256, "a\n"])
async def test_a_key_that_is_none_is_refused(parts: Parts, wrong: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await parts.recordings.start(BODY, idempotency_key=wrong)
    assert raised.value.field == "Idempotency-Key"


async def test_where_consent_is_required_a_start_without_it_is_refused(parts: Parts) -> None:
    strict = Recordings(
        parts.service,  # type: ignore[arg-type] # stands in for it
        parts.ledger,
        parts.claims,
        parts.archive,
        parts.places,
        retention=timedelta(hours=24),
        require_consent=True,
    )
    with pytest.raises(ConsentRequired):
        await strict.start(BODY)
    assert not parts.service.repeatabilities
