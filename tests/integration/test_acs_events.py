"""Events as a topic gets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local.acs.media_types import ChannelType, ContentType, FormatType
from local.acs.recordings import RecordingOptions
from local.ports import free_port
from tests.integration.acs_fixtures import Bench, Receiver, bench, receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def topic() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture
async def running(topic: Receiver, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    media = tmp_path_factory.getbasetemp() / "acs-event-media"
    async with bench(media, topic=topic.url, topic_key="secret", chunk_duration=2) as made:
        yield made


def files(bodies: list[Any]) -> list[Any]:
    return [body[0] for body in bodies if body[0]["eventType"].endswith("RecordingFileStatusUpdated")]


def _documents(events: list[Any]) -> list[list[str]]:
    return [[c["documentId"] for c in event["data"]["recordingStorageInfo"]["recordingChunks"]] for event in events]


async def test_a_call_is_announced_from_its_beginning_to_its_end(running: Bench, topic: Receiver) -> None:
    call = await running.control("POST", "calls", {"participants": ["8:acs:a"], "groupCallId": "g"}, expect=201)
    await topic.received(2)
    await running.control("POST", f"calls/{call['callId']}/participants", {"participantId": "8:acs:b"}, expect=201)
    await topic.received(3)
    shown = await running.control("DELETE", f"calls/{call['callId']}/participants/8:acs:a")
    assert shown["participants"] == ["8:acs:b"]
    await topic.received(4)
    await running.control("DELETE", f"calls/{call['callId']}")
    bodies = await topic.received(6)
    names = [body[0]["eventType"].removeprefix("Microsoft.Communication.") for body in bodies]
    assert names == [
        "CallStarted",
        "CallParticipantAdded",
        "CallParticipantAdded",
        "CallParticipantRemoved",
        "CallParticipantRemoved",
        "CallEnded",
    ]
    assert {body[0]["data"]["group"]["id"] for body in bodies} == {"g"}
    assert topic.headers[0]["aeg-sas-key"] == "secret"


async def test_a_recording_made_through_the_api_is_announced_by_itself(running: Bench, topic: Receiver) -> None:
    service = running.acs.service
    call = service.start_call([], None, None)
    options = RecordingOptions(ContentType.AUDIO, ChannelType.MIXED, FormatType.MP3)
    recording = service.start_recording(call, options)
    running.acs.clock.advance(5)
    service.stop(recording)
    (event,) = files(await topic.received(4))
    chunks = event["data"]["recordingStorageInfo"]["recordingChunks"]
    assert [chunk["index"] for chunk in chunks] == [0, 1, 2]
    assert event["data"]["sessionEndReason"] == "InitiatorLeft"
    assert event["data"]["recordingId"] == recording.recording_id
    assert (await running.fetch(chunks[2]["contentLocation"])).status == 200


@pytest.mark.parametrize(
    ("form", "deliveries"),
    [
        ({}, 1),
        ({"payload": "2021", "subject": "call"}, 1),
        ({"subject": "call-server"}, 1),
        ({"subject": "call-recording", "omit": ["deleteLocation"]}, 1),
        ({"delivery": "per-chunk", "shuffle": True}, 3),
        ({"delivery": "per-chunk", "duplicates": 2}, 9),
        ({"duplicates": 1, "newIds": True}, 2),
        ({"omit": ["recordingId", "recordingStartTime"]}, 1),
    ],
)
async def test_files_are_announced_in_every_form(
    running: Bench, topic: Receiver, form: dict[str, Any], deliveries: int
) -> None:
    made = await running.recording(durationSeconds=3, chunks=3, contentType="audio", announce=True, form=form)
    events = files(await topic.received(deliveries))
    documents = [c["documentId"] for event in events for c in event["data"]["recordingStorageInfo"]["recordingChunks"]]
    assert set(documents) == {chunk["documentId"] for chunk in made["chunks"]}
    without_id = form.get("payload") == "2021" or "recordingId" in form.get("omit", ())
    assert ("recordingId" in events[0]["data"]) is not without_id
    assert ("recordingStartTime" in events[0]["data"]) is not ("recordingStartTime" in form.get("omit", ()))
    ids = {event["id"] for event in events}
    assert len(ids) == (deliveries if form.get("newIds") else len({tuple(sorted(d)) for d in _documents(events)}))


async def test_an_event_is_lost(running: Bench, topic: Receiver) -> None:
    made = await running.recording(
        durationSeconds=1, chunks=2, contentType="audio", announce=True, form={"delivery": "per-chunk", "lost": 1}
    )
    await running.recording(durationSeconds=1, contentType="audio", announce=True, form={"lost": 1})
    last = await running.recording(durationSeconds=1, contentType="audio", announce=True)
    events = files(await topic.received(2))
    assert sorted(_documents(events)) == sorted([[one["chunks"][-1]["documentId"]] for one in (made, last)])


@pytest.mark.parametrize("size", [None, 60_000])
async def test_a_chunk_is_announced_again_under_another_document(
    running: Bench, topic: Receiver, size: int | None
) -> None:
    made = await running.recording(durationSeconds=1, chunks=2, contentType="audio")
    path = f"recordings/{made['recordingId']}/chunks/1/reissue"
    again = await running.control("POST", path, {"sizeBytes": size}, expect=201)
    (event,) = files(await topic.received(1))
    (announced,) = event["data"]["recordingStorageInfo"]["recordingChunks"]
    (document,) = again["reissued"]
    first = made["chunks"][1]
    assert announced["index"] == 1
    assert announced["documentId"] == document["documentId"] != first["documentId"]
    assert document["contentLength"] == size or (size is None and document["sha256"] == first["sha256"])
    for one in (first, document):
        assert len((await running.fetch(one["contentLocation"])).body) == one["contentLength"]
    metadata = json.loads((await running.fetch(document["metadataLocation"])).body)
    assert metadata["chunkDocumentId"] == document["documentId"]


async def test_a_chunk_that_is_not_there_cannot_be_announced_again(running: Bench) -> None:
    made = await running.recording(durationSeconds=1, contentType="audio")
    answer = await running.control("POST", f"recordings/{made['recordingId']}/chunks/1/reissue", {}, expect=400)
    assert "has 1 chunks and no 1" in answer["error"]["message"]


async def test_the_form_can_be_set_for_all_that_follows(running: Bench, topic: Receiver) -> None:
    await running.control("PUT", "announcements", {"delivery": "per-chunk", "swapTypes": True})
    made = await running.recording(durationSeconds=1, chunks=2, contentType="audio", announce=True)
    assert len(files(await topic.received(2))) == 2
    raw = (await running.fetch(made["chunks"][0]["metadataLocation"])).body
    info = json.loads(raw)["recordingInfo"]
    assert (info["contentType"], info["channelType"]) == ("mixed", "audio")


async def test_an_announcement_can_be_repeated_in_another_form(running: Bench, topic: Receiver) -> None:
    made = await running.recording(durationSeconds=1, contentType="audio")
    path = f"recordings/{made['recordingId'].replace('=', '%3D')}/announce"
    await running.control("POST", path, {"payload": "2021"}, expect=202)
    (event,) = files(await topic.received(1))
    assert "recordingId" not in event["data"]


async def test_an_announcement_waits_its_emulated_delay(running: Bench, topic: Receiver) -> None:
    await running.recording(durationSeconds=1, contentType="audio", announce=True, form={"delaySeconds": 3600})
    assert topic.bodies == []
    await running.control("POST", "clock", {"advanceSeconds": 3600})
    assert len(await topic.received(1)) == 1


async def test_a_topic_that_is_busy_gets_the_event_later(running: Bench, topic: Receiver) -> None:
    topic.refuse = 2
    await running.recording(durationSeconds=1, contentType="audio", announce=True)
    assert len(await topic.received(1)) == 1


async def test_a_topic_that_is_away_gets_the_event_when_it_is_back(running: Bench) -> None:
    port = free_port()
    running.acs.topic = f"http://127.0.0.1:{port}/events"
    await running.recording(durationSeconds=1, contentType="audio", announce=True)
    async with receiver(port) as late:
        assert len(await late.received(1)) == 1


async def test_without_a_topic_events_are_kept_to_be_looked_at(running: Bench) -> None:
    running.acs.topic = None
    await running.control("POST", "calls", {}, expect=201)
    events = (await running.control("GET", "events"))["events"]
    assert events[0]["event"]["eventType"] == "Microsoft.Communication.CallStarted"
    assert events[0]["outcome"] == "no topic set"


async def test_a_wrong_form_is_refused_with_what_it_takes(running: Bench) -> None:
    answer = await running.control("PUT", "announcements", {"subject": "short"}, expect=400)
    assert "'call-server'" in answer["error"]["fields"][0]["accepted"]
    answer = await running.control("PUT", "announcements", {"omit": ["contentLocation"]}, expect=400)
    assert answer["error"]["fields"][0]["field"] == "omit.0"
