from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core import blob_names

ids = st.text(min_size=0, max_size=300)
moments = st.datetimes(timezones=st.just(UTC))


@given(ids, ids)
@example("a", "a=")
@example("A", "a")
@example("a~2F", "a/")
@example("x" * 300, "x" * 301)
@example("/" * 300, "~2F" * 300)
def test_two_ids_never_share_a_name(one: str, other: str) -> None:
    assert (blob_names.safe_name(one) == blob_names.safe_name(other)) == (one == other)


@given(ids)
@example("../../x")
@example("..")
@example("a/b\\c%2e?#\x00\n")
@example("\ud800")
def test_a_name_is_one_plain_path_segment(identifier: str) -> None:
    name = blob_names.safe_name(identifier)
    assert name.isascii()
    assert 0 < len(name) <= 200
    assert all(character.isalnum() or character in "_-~" for character in name)


@given(ids)
@example("a==")
@example("=")
def test_only_base64_padding_is_taken_off(identifier: str) -> None:
    plain = blob_names.unpadded(identifier)
    assert blob_names.unpadded(plain) == plain
    if plain != identifier:
        assert identifier in {f"{plain}=", f"{plain}=="}
        assert plain.replace("-", "").replace("_", "").isascii()


@pytest.mark.parametrize("identifier", ["=", "a/b==", "a===", "a=b", "", "recording"])
def test_what_is_no_padded_base64_stays_as_it_is(identifier: str) -> None:
    assert blob_names.unpadded(identifier) == identifier


def test_the_usual_ids_stay_as_they_are() -> None:
    identifier = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3YjFj-_"
    assert blob_names.safe_name(identifier) == identifier


@given(ids, ids, moments)
def test_a_recording_known_by_its_call_never_takes_the_name_of_one_known_by_its_id(
    call: str, recording: str, moment: datetime
) -> None:
    assert blob_names.call_key(call, moment) != blob_names.safe_name(recording)


@given(ids, moments, ids, moments)
def test_two_recordings_of_calls_never_share_a_name(a: str, at: datetime, b: str, bt: datetime) -> None:
    assert (blob_names.call_key(a, at) == blob_names.call_key(b, bt)) == ((a, at) == (b, bt))


def test_the_day_in_the_prefix_is_utc() -> None:
    evening = datetime(2026, 11, 20, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert blob_names.recording_prefix("r", evening) == "2026/11/21/r"


def test_blobs_have_the_documented_names() -> None:
    assert blob_names.manifest_blob("p") == "p/manifest.json"
    assert blob_names.content_blob("p", 3, "mp4") == "p/0003.mp4"
    assert blob_names.content_blob("p", 12345, "wav") == "p/12345.wav"
    assert blob_names.metadata_blob("p", 0) == "p/0000.metadata.json"
    assert blob_names.event_blob("p", "a/b") == "p/events/a~2Fb.json"
