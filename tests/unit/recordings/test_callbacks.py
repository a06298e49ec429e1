from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import InvalidRequest
from shared.recordings.callbacks import NOT_BEGUN, parse_callbacks
from shared.storage.ledger import Report

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def callback(**changes: Any) -> dict[str, Any]:
    """A callback as the service sends it; a change to None leaves the field out."""
    event = {
        "id": "event",
        "source": "calling/recordings/recording",
        "type": "Microsoft.Communication.RecordingStateChanged",
        "time": "2026-11-22T07:59:00.1234567Z",
        "specversion": "1.0",
        "data": {"recordingId": "recording", "state": "active", "startDateTime": "2026-11-22T07:58:00+00:00"},
    }
    return {name: value for name, value in (event | changes).items() if value is not None}


def data(**changes: Any) -> dict[str, Any]:
    said = callback()["data"] | changes
    return callback(data={name: value for name, value in said.items() if value is not None})


def parsed(body: object) -> list[Any]:
    return parse_callbacks(json.dumps(body).encode(), NOW)


def test_a_single_event_and_an_array_of_one_say_the_same() -> None:
    assert parsed(callback()) == parsed([callback()])
    [found] = parsed([callback()])
    assert (found.recording_id, found.operation, found.detail) == ("recording", Report.ACTIVE, None)
    assert found.at == datetime(2026, 11, 22, 7, 59, 0, 123456, tzinfo=UTC)


def test_an_id_with_padding_is_that_without() -> None:
    assert parsed(data(recordingId="cmVjb3JkaW5n=")) == parsed(data(recordingId="cmVjb3JkaW5n"))


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00"])
def test_inactive_since_the_year_1_has_not_begun(start: str) -> None:
    [found] = parsed(data(state="inactive", startDateTime=start))
    assert (found.operation, found.detail) == (Report.INACTIVE, NOT_BEGUN)


@pytest.mark.parametrize("start", ["2026-11-22T07:58:00Z", None])
def test_inactive_otherwise_has(start: str | None) -> None:
    [found] = parsed(data(state="Inactive", startDateTime=start))
    assert (found.operation, found.detail) == (Report.INACTIVE, None)


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        ({"code": 500, "subCode": 9999, "message": "No."}, "500/9999: No."),
        ({"code": 400}, "400"),
        ({"message": "No."}, "No."),
        ({}, None),
        (None, None),
    ],
)
def test_a_failed_start_keeps_the_services_reason(result: dict[str, Any] | None, detail: str | None) -> None:
    failed = callback(
        type="microsoft.communication.startrecordingfailed",
        data={"recordingId": "recording", "resultInformation": result},
    )
    [found] = parsed(failed)
    assert (found.operation, found.detail) == (Report.FAILED, detail)


def test_events_of_other_types_and_states_that_are_not_known_yet_are_no_fault() -> None:
    assert parsed([callback(type="Microsoft.Communication.CallConnected", data={"anything": 1})]) == []
    [found] = parsed(data(state="hibernating"))
    assert found.operation is None


def test_an_event_without_a_time_is_taken_as_of_now() -> None:
    [found] = parsed(callback(time=None))
    assert found.at == NOW


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([callback(), callback(id=None)], "[1].id"),
        (callback(id=""), "[0].id"),
        (callback(data=None), "[0].data"),
        (callback(time="0001-01-01T00:00:00+14:00"), "[0].time"),
        (callback(time="yesterday"), "[0].time"),
        (data(recordingId=None), "[0].data.recordingId"),
        (data(recordingId="x" * 3000), "[0].data.recordingId"),
        (data(state=None), "[0].data.state"),
        (data(startDateTime="soon"), "[0].data.startDateTime"),
        (["event"], "[0]"),
    ],
)
def test_what_is_wrong_is_named(body: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parsed(body)
    assert raised.value.field == field


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[" * 100_000, b'{"id": "\xff"}', b'["\\ud800"]'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_callbacks(body, NOW)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ["id", "type", "time", "data"]
DATA = ["recordingId", "state", "startDateTime", "serverCallId", "resultInformation"]


@given(st.dictionaries(st.sampled_from(FIELDS), anything), st.dictionaries(st.sampled_from(DATA), anything))
def test_whatever_the_fields_hold_it_is_read_or_refused(envelope: dict[str, Any], inner: dict[str, Any]) -> None:
    event = callback(data=callback()["data"] | inner) | envelope
    try:
        found = parsed(event)
    except InvalidRequest:
        return
    assert len(found) <= 1


@given(st.binary(max_size=200))
def test_whatever_the_body_is_it_is_read_or_refused(body: bytes) -> None:
    try:
        parse_callbacks(body, NOW)
    except InvalidRequest:
        return
