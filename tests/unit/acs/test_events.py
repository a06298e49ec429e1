from __future__ import annotations

import random
from itertools import repeat

import pytest

from local.acs.bodies import Body
from local.acs.calls import Calls
from local.acs.chunks import split
from local.acs.documents import Chunk
from local.acs.events import EventFactory
from local.acs.forms import AnnouncementForm, Delivery, OptionalField, Payload, SubjectForm
from local.acs.recordings import Recording, RecordingOptions, Recordings

FACTORY = EventFactory("/subscriptions/s/acs", "http://127.0.0.1:7080")
NEW_IN_CURRENT = {
    "recordingContentType",
    "recordingChannelType",
    "recordingFormatType",
    "recordingId",
    "storageType",
}


@pytest.fixture
def recording() -> Recording:
    call = Calls("resource").start(0, ["8:acs:a", "8:acs:b"])
    made = Recordings().start(call, RecordingOptions(), 0, active_from=0)
    made.end(7000, "CallEnded")
    made.chunks = [
        Chunk(plan, f"0-eus-d1-{plan.index}", Body.of_bytes(b""), "", b"", "", [], 1, 0, 0, "video")
        for plan in split(0, 7000, [], repeat(3000))
    ]
    return made


def test_the_current_form_is_complete(recording: Recording) -> None:
    (event,) = FACTORY.files_available(recording, AnnouncementForm(), 9000)
    call = recording.call
    assert event["eventType"] == "Microsoft.Communication.RecordingFileStatusUpdated"
    assert event["subject"] == (
        f"/recording/call/{call.call_id}/serverCallId/{call.server_call_id}/recordingId/{recording.recording_id}"
    )
    data = event["data"]
    assert data["recordingDurationMs"] == 7000
    assert (data["recordingContentType"], data["recordingFormatType"]) == ("AudioVideo", "Mp4")
    chunks = data["recordingStorageInfo"]["recordingChunks"]
    assert [chunk["index"] for chunk in chunks] == [0, 1, 2]
    assert [chunk["endReason"] for chunk in chunks] == ["ChunkMaximumSizeExceeded"] * 2 + ["SessionEnded"]
    assert chunks[0]["contentLocation"] == "http://127.0.0.1:7080/v1/objects/0-eus-d1-0/content/video"


def test_the_form_of_2021_lacks_the_later_fields(recording: Recording) -> None:
    (event,) = FACTORY.files_available(recording, AnnouncementForm(payload=Payload.PREVIEW_2021), 9000)
    assert not NEW_IN_CURRENT & event["data"].keys()
    assert all("deleteLocation" not in c for c in event["data"]["recordingStorageInfo"]["recordingChunks"])


@pytest.mark.parametrize(
    ("form", "subject"),
    [
        (SubjectForm.CALL, "/recording/call/{c}"),
        (SubjectForm.CALL_SERVER, "/recording/call/{c}/serverCallId/{s}"),
        (SubjectForm.CALL_RECORDING, "/call/{c}/recordingId/{r}"),
    ],
)
def test_each_subject_is_to_be_had(recording: Recording, form: SubjectForm, subject: str) -> None:
    (event,) = FACTORY.files_available(recording, AnnouncementForm(subject=form), 9000)
    call = recording.call
    assert event["subject"] == subject.format(c=call.call_id, s=call.server_call_id, r=recording.recording_id)


def test_an_event_for_each_chunk_shuffled_and_repeated(recording: Recording) -> None:
    form = AnnouncementForm(delivery=Delivery.PER_CHUNK, shuffle=True, duplicates=2)
    events = FACTORY.files_available(recording, form, 9000, rng=random.Random(4))
    order = [event["data"]["recordingStorageInfo"]["recordingChunks"][0]["index"] for event in events]
    assert sorted(order) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert order != sorted(order)
    assert len({event["id"] for event in events}) == 3


def test_further_deliveries_can_have_ids_of_their_own(recording: Recording) -> None:
    events = FACTORY.files_available(recording, AnnouncementForm(duplicates=2, new_ids=True), 9000)
    assert len({event["id"] for event in events}) == 3
    assert events[0]["data"] == events[2]["data"]


def test_the_first_deliveries_can_be_lost(recording: Recording) -> None:
    form = AnnouncementForm(delivery=Delivery.PER_CHUNK, lost=2)
    (event,) = FACTORY.files_available(recording, form, 9000)
    assert [chunk["index"] for chunk in event["data"]["recordingStorageInfo"]["recordingChunks"]] == [2]


def test_the_result_of_a_recording_whose_call_goes_on_says_so(recording: Recording) -> None:
    result = FACTORY.result(recording)
    assert [chunk["index"] for chunk in result["recordingStorageInfo"]["recordingChunks"]] == [0, 1, 2]
    assert (result["errors"], result["recordingDurationMs"]) == ([], 7000)
    assert result["sessionEndReason"] == "SessionStillOngoing"
    assert result["recordingExpirationTime"] == "0001-01-01T00:00:00Z"
    recording.call.ended = 8000
    assert FACTORY.result(recording)["sessionEndReason"] == "CallEnded"


def test_fields_can_be_left_out(recording: Recording) -> None:
    form = AnnouncementForm(omit=(OptionalField.DELETE_LOCATION, OptionalField.RECORDING_ID))
    (event,) = FACTORY.files_available(recording, form, 9000)
    assert "recordingId" not in event["data"]
    assert "deleteLocation" not in event["data"]["recordingStorageInfo"]["recordingChunks"][1]


def test_call_events_name_caller_group_and_room() -> None:
    calls = Calls("resource")
    two = calls.start(0, ["8:acs:a", "8:acs:b"])
    room = calls.start(0, ["8:acs:a", "8:acs:b"], room_id="99")
    started = FACTORY.call_started(two)
    assert started["subject"] == f"call/{two.server_call_id}/startedBy/8:acs:a"
    assert started["data"]["startedBy"]["communicationIdentifier"]["rawId"] == "8:acs:a"
    assert (started["data"]["isTwoParty"], started["data"]["isRoomsCall"]) == (True, False)
    assert FACTORY.call_started(room)["data"]["room"] == {"id": "99"}
    assert FACTORY.call_ended(two, 49_728)["data"]["durationOfCall"] == 49.728
    added = FACTORY.participant_added(two, two.participants[1], 0)
    assert added["data"]["user"]["communicationIdentifier"]["rawId"] == "8:acs:b"
