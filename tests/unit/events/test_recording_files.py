from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.eventgrid import SystemEventNames
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from functions.recording_files import as_received
from shared.core.blob_names import unpadded
from shared.core.errors import InvalidEvent
from shared.events.recording_files import (
    RECORDING_FILE_STATUS_UPDATED,
    RecordingFiles,
    parse_recording_files,
    subject_ids,
)

PAYLOADS = Path(__file__).parents[2] / "payloads"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
CALL = "7b1c1f9e-4d1d-4b8e-9a43-2f3d3b1f0a55"


def payload(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return event


def parse(event: dict[str, Any]) -> RecordingFiles:
    return parse_recording_files(event, NOW)


EVENTS = sorted(path.stem for path in PAYLOADS.glob("*events-*.json")) + sorted(
    path.stem for path in PAYLOADS.glob("eventgrid-*.json")
)


def test_the_event_type_is_the_sdks() -> None:
    assert SystemEventNames.AcsRecordingFileStatusUpdatedEventName.value == RECORDING_FILE_STATUS_UPDATED


@pytest.mark.parametrize("name", EVENTS)
def test_every_documented_form_gives_the_call_the_start_and_the_chunks(name: str) -> None:
    files = parse(payload(name))
    assert files.call_id == CALL
    assert files.start_time == datetime(2026, 11, 20, 9, 0, 3, 949701, UTC)
    assert files.event_time == datetime(2026, 11, 20, 9, 1, 42, 105833, UTC)
    assert files.chunks
    for chunk in files.chunks:
        assert chunk.content_location.endswith(f"/v1/objects/{chunk.document_id}/content/video")


@pytest.mark.parametrize("name", EVENTS)
def test_the_worker_passes_an_event_unchanged(name: str) -> None:
    sent = payload(name)
    handed_over = EventGridEventInConverter.decode(Datum(json.dumps(sent), "json"), trigger_metadata=None)
    assert isinstance(handed_over, func.EventGridEvent | func.CloudEvent)
    received = as_received(handed_over)
    assert received["data"] == sent["data"]
    assert received["subject"] == sent["subject"]
    assert parse(received) == parse(sent)


def test_todays_form_gives_everything() -> None:
    files = parse(payload("eventgrid-current"))
    assert files.recording_id is not None
    assert files.recording_id == payload("eventgrid-current")["data"]["recordingId"].removesuffix("==")
    assert (files.content_type, files.channel_type, files.format) == ("audioVideo", "mixed", "mp4")
    assert (files.duration_ms, files.session_end_reason, files.storage_type) == (76440, "CallEnded", "ACS")


def test_both_schemas_give_the_same_result() -> None:
    assert parse(payload("eventgrid-current")) == parse(payload("cloudevents-current"))


def test_fields_that_the_2021_form_lacks_are_none() -> None:
    files = parse(payload("eventgrid-2021"))
    assert (files.recording_id, files.server_call_id, files.format) == (None, None, None)
    assert files.chunks[0].delete_location is None


def test_the_recording_is_also_known_by_the_subject() -> None:
    event = payload("eventgrid-subject-call-and-recording")
    expected = event["data"].pop("recordingId")
    assert parse(event).recording_id == unpadded(expected)


def test_an_id_with_padding_is_that_without() -> None:
    padded = payload("eventgrid-current")
    plain = json.loads(json.dumps(padded).replace("==", ""))
    assert padded != plain
    assert parse(padded).recording_id == parse(plain).recording_id


def test_every_chunk_of_a_merged_event_is_read() -> None:
    assert [chunk.index for chunk in parse(payload("eventgrid-three-chunks")).chunks] == [0, 1, 2]


def test_a_chunk_listed_twice_counts_once() -> None:
    event = payload("eventgrid-current")
    event["data"]["recordingStorageInfo"]["recordingChunks"] *= 2
    assert len(parse(event).chunks) == 1


def test_unknown_fields_and_values_are_tolerated() -> None:
    event = payload("eventgrid-current")
    event["new"] = event["data"]["new"] = {"a": 1}
    event["data"]["recordingStorageInfo"]["recordingChunks"][0]["endReason"] = "NewReason"
    event["data"]["recordingContentType"] = "Hologram"
    files = parse(event)
    assert files.content_type == "Hologram"
    assert files.chunks[0].end_reason == "NewReason"


@pytest.mark.parametrize(
    "missing",
    ["recordingDurationMs", "sessionEndReason", "recordingContentType", "recordingFormatType", "storageType"],
)
def test_optional_fields_may_be_missing(missing: str) -> None:
    event = payload("eventgrid-current")
    del event["data"][missing]
    assert parse(event).chunks


def test_without_a_start_time_the_events_time_is_used() -> None:
    event = payload("eventgrid-current")
    del event["data"]["recordingStartTime"]
    assert parse(event).start_time == parse(event).event_time
    del event["eventTime"]
    assert parse(event).start_time == NOW


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("eventType",), "Microsoft.Communication.CallEnded", "Microsoft.Communication.CallEnded"),
        (("id",), None, "id"),
        (("data",), None, "data"),
        (("data",), [], "data"),
        (("data", "recordingStorageInfo"), None, "recordingStorageInfo"),
        (("data", "recordingStorageInfo", "recordingChunks"), [], "recordingChunks"),
        (("data", "recordingStorageInfo", "recordingChunks", 0, "documentId"), None, "documentId"),
        (("data", "recordingStorageInfo", "recordingChunks", 0, "index"), -1, "index"),
        (("data", "recordingStorageInfo", "recordingChunks", 0, "contentLocation"), 7, "contentLocation"),
        (("data", "recordingStartTime"), "yesterday", "recordingStartTime"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[Any, ...], value: Any, named: str) -> None:
    event = payload("eventgrid-current")
    target: Any = event
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(InvalidEvent, match=named):
        parse(event)


def test_an_event_about_no_recording_and_no_call_is_refused() -> None:
    event = payload("eventgrid-2021")
    event["subject"] = "/something/else"
    with pytest.raises(InvalidEvent, match="which recording or call"):
        parse(event)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
places = [
    (),
    ("data",),
    ("data", "recordingStorageInfo"),
    ("data", "recordingStorageInfo", "recordingChunks", 0),
]


@given(st.data(), json_values)
def test_with_any_field_value_the_event_is_read_or_refused(data: st.DataObject, value: Any) -> None:
    event = copy.deepcopy(payload("eventgrid-current"))
    target: Any = event
    for step in data.draw(st.sampled_from(places)):
        target = target[step]
    target[data.draw(st.sampled_from(sorted(target)))] = value
    try:
        files = parse(event)
    except InvalidEvent:
        return
    assert files.chunks


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("/recording/call/C", {"call": "C"}),
        ("/recording/call/C/serverCallId/S", {"call": "C", "servercallid": "S"}),
        ("/recording/call/C/serverCallId/S/recordingId/R", {"call": "C", "servercallid": "S", "recordingid": "R"}),
        ("/call/C/recordingId/R", {"call": "C", "recordingid": "R"}),
        (
            "/recording/call/C/serverCallId/a/b=+/recordingId/R/r",
            {"call": "C", "servercallid": "a/b=+", "recordingid": "R/r"},
        ),
        ("/recording/call/call/serverCallId/S", {"call": "call", "servercallid": "S"}),
        ("/RECORDING/CALL/C", {"call": "C"}),
        ("/recording/call/", {}),
        ("", {}),
    ],
)
def test_subjects_are_read_by_key(subject: str, expected: dict[str, str]) -> None:
    assert subject_ids(subject) == expected


plain_ids = st.text(min_size=1).filter(
    lambda text: not {part.lower() for part in text.split("/")} & {"call", "servercallid", "recordingid", ""}
)


@given(plain_ids, plain_ids, plain_ids)
def test_ids_of_any_characters_are_read_from_the_subject(call: str, server: str, recording: str) -> None:
    subject = f"/recording/call/{call}/serverCallId/{server}/recordingId/{recording}"
    assert subject_ids(subject) == {"call": call, "servercallid": server, "recordingid": recording}
