from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.errors import InvalidEvent
from shared.events.call_events import CallChange, parse_call

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
DATA = {
    "startedBy": {"communicationIdentifier": {"rawId": "8:acs:alice", "communicationUser": {"id": "8:acs:alice"}}},
    "serverCallId": "c2VydmVyL2NhbGw=",
    "group": {"id": "9a1f6f52-3a6e-4b57-8a57-2f4f5f1c0b10"},
    "room": {"id": "99123"},
    "isTwoParty": False,
    "isRoomsCall": True,
    "correlationId": "c",
}


def event(kind: str = "CallStarted", **changes: Any) -> dict[str, Any]:
    fields = {name: value for name, value in (DATA | changes).items() if value is not None}
    return {
        "id": "e",
        "topic": "/subscriptions/s",
        "subject": "call/c",
        "data": fields,
        "eventType": f"Microsoft.Communication.{kind}",
        "eventTime": "2026-11-22T07:59:00Z",
    }


def cloud_event(**changes: Any) -> dict[str, Any]:
    fields = event(**changes)
    return {
        "id": fields["id"],
        "source": fields["topic"],
        "type": fields["eventType"],
        "time": fields["eventTime"],
        "specversion": "1.0",
        "data": fields["data"],
    }


def test_both_schemas_give_the_same_result() -> None:
    call = parse_call(event(), NOW)
    assert parse_call(cloud_event(), NOW) == call
    assert (call.change, call.server_call_id, call.started_by) == (
        CallChange.STARTED,
        "c2VydmVyL2NhbGw=",
        "8:acs:alice",
    )
    assert (call.group_id, call.room_id) == (DATA["group"]["id"], "99123")  # type: ignore[index] # known above
    assert (call.is_two_party, call.is_rooms_call) == (False, True)


def test_the_end_of_a_call_is_distinguished_from_its_beginning() -> None:
    assert parse_call(event("CallEnded"), NOW).change is CallChange.ENDED


@pytest.mark.parametrize("group", [{"id": "00000000-0000-0000-0000-000000000000"}, {"id": ""}, {"id": None}, {}, None])
@pytest.mark.parametrize("room", [{"id": ""}, {"id": None}, {}, None])
def test_no_group_and_no_room_have_many_forms(group: object, room: object) -> None:
    call = parse_call(event(group=group, room=room), NOW)
    assert (call.group_id, call.room_id) == (None, None)


def test_missing_fields_are_none() -> None:
    call = parse_call(event(startedBy=None, isTwoParty=None, isRoomsCall=None), NOW)
    assert (call.started_by, call.is_two_party, call.is_rooms_call) == (None, None, None)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (event(serverCallId=None), "data.serverCallId"),
        (event(serverCallId=""), "data.serverCallId"),
        (event(isTwoParty="perhaps"), "data.isTwoParty"),
        (event("CallParticipantAdded"), "CallParticipantAdded"),
        ({**event(), "id": ""}, "id"),
        ({**event(), "data": "text"}, "data"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidEvent, match=named):
        parse_call(wrong, NOW)
