from __future__ import annotations

import base64
import json

import pytest

from local.acs.calls import Call, CallNotFoundError, Calls
from local.acs.media_types import ChannelType, ContentType, FormatType
from local.acs.recordings import Phase, Recording, RecordingOptions, Recordings

START = 1_000_000


@pytest.fixture
def call() -> Call:
    return Calls("resource").start(START - 500, ["8:acs:a", "8:acs:b"])


def record(call: Call, options: RecordingOptions | None = None) -> Recording:
    return Recordings().start(call, options or RecordingOptions(), START, active_from=START + 1000)


def test_a_recording_is_inactive_until_it_has_begun(call: Call) -> None:
    recording = record(call)
    assert recording.state(START + 999) == "inactive"
    assert recording.state(START + 1000) == "active"


def test_a_paused_recording_looks_like_one_that_has_not_begun(call: Call) -> None:
    recording = record(call)
    recording.pause(START + 2000)
    assert (recording.phase(START + 2000), recording.state(START + 2000)) == (Phase.PAUSED, "inactive")


def test_a_resumed_recording_is_active_at_once(call: Call) -> None:
    recording = record(call)
    recording.pause(START + 100)
    recording.resume(START + 200)
    assert recording.state(START + 200) == "active"


def test_pausing_twice_and_resuming_twice_changes_nothing(call: Call) -> None:
    recording = record(call)
    assert recording.pause(START + 2000)
    assert not recording.pause(START + 3000)
    assert recording.resume(START + 4000)
    assert not recording.resume(START + 5000)
    assert recording.pauses == [(START + 2000, START + 4000)]


def test_recorded_time_leaves_out_the_pauses(call: Call) -> None:
    recording = record(call)
    recording.pause(START + 2000)
    recording.resume(START + 3000)
    recording.pause(START + 8000)
    recording.end(START + 10_000, "CallEnded")
    assert recording.recorded_ms(START + 99_000) == 7000


def test_paused_on_start_records_nothing_until_it_is_resumed(call: Call) -> None:
    recording = record(call, RecordingOptions(pause_on_start=True))
    recording.end(START + 5000, "CallEnded")
    assert recording.recorded_ms(START + 5000) == 0


def test_a_recording_id_is_unpadded_base64url_of_two_guids(call: Call) -> None:
    recording_id = record(call).recording_id
    assert not recording_id.endswith("=")
    parts = json.loads(base64.urlsafe_b64decode(recording_id + "=" * (-len(recording_id) % 4)))
    assert sorted(parts) == ["PlatformEndpointId", "ResourceSpecificId"]


def test_a_recording_is_found_by_its_id_with_and_without_padding(call: Call) -> None:
    recordings = Recordings()
    made = recordings.start(call, RecordingOptions(), START, START)
    padded = made.recording_id + "=" * (-len(made.recording_id) % 4)
    assert padded != made.recording_id
    assert recordings.get(made.recording_id) is recordings.get(padded) is made


@pytest.mark.parametrize("by_connection", [True, False])
def test_the_id_holds_the_connection_by_which_the_recording_was_started(call: Call, by_connection: bool) -> None:
    made = Recordings().start(call, RecordingOptions(), START, START, by_connection=by_connection)
    parts = json.loads(base64.urlsafe_b64decode(made.recording_id + "=="))
    assert parts["PlatformEndpointId"] == made.endpoint_id
    assert (made.endpoint_id == call.call_connection_id) is by_connection


def test_channels_go_by_affinity_then_ordering_then_joining(call: Call) -> None:
    options = RecordingOptions(
        ContentType.AUDIO, ChannelType.UNMIXED, FormatType.WAV, ordering=("8:acs:z",), affinity=((1, "8:acs:b"),)
    )
    recording = record(call, options)
    recording.end(START + 1000, "CallEnded")
    assert recording.channels() == {"8:acs:b": 1, "8:acs:z": 0, "8:acs:a": 2}


def test_at_most_five_participants_have_a_channel() -> None:
    crowd = Calls("resource").start(START, [f"8:acs:{number}" for number in range(9)])
    recording = record(crowd)
    recording.end(START + 1000, "CallEnded")
    assert sorted(recording.channels().values()) == [0, 1, 2, 3, 4]


def test_a_call_is_found_by_each_of_its_ids() -> None:
    calls = Calls("resource")
    call = calls.start(START, group_call_id="group", room_id="room")
    for kind, value in (
        ("serverCallLocator", call.server_call_id),
        ("groupCallLocator", "group"),
        ("roomCallLocator", "room"),
        ("callConnectionId", call.call_connection_id),
    ):
        assert calls.locate(kind, value) is call
    with pytest.raises(CallNotFoundError):
        calls.locate("groupCallLocator", "other")


def test_a_call_that_goes_on_is_found_before_one_that_ended() -> None:
    calls = Calls("resource")
    ended = calls.start(START, group_call_id="group")
    calls.end(ended, START + 1)
    going_on = calls.start(START, group_call_id="group")
    assert calls.locate("groupCallLocator", "group") is going_on


def test_only_who_was_there_is_heard(call: Call) -> None:
    calls = Calls("resource")
    calls.leave(call, "8:acs:b", START + 1000)
    calls.join(call, "8:acs:c", START + 2000)
    assert call.heard(START, START + 500) == ["8:acs:a", "8:acs:b"]
    assert call.heard(START + 1000, START + 2000) == ["8:acs:a"]
    assert call.heard(START + 1000, START + 2001) == ["8:acs:a", "8:acs:c"]


def test_server_call_ids_hold_characters_that_break_paths(call: Call) -> None:
    assert "/" in call.server_call_id
    assert "+" in call.server_call_id
