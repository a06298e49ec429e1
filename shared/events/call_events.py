"""The events of a call's beginning and end, in both schemas.

Source: "Azure Communication Services: voice and video calling events", Event Grid documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from shared.core import limits
from shared.core.errors import InvalidEvent
from shared.core.models import ReceivedModel
from shared.events.recording_files import read_data, read_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CALL_STARTED = "Microsoft.Communication.CallStarted"
CALL_ENDED = "Microsoft.Communication.CallEnded"

_NO_GROUP = "00000000-0000-0000-0000-000000000000"


class CallChange(StrEnum):
    """What happened to a call."""

    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """The content of one event; fields that the event does not have are None.

    `at` is the event's time, `started_by` the caller's raw id. `group_id` and `room_id` are None for a call that is in
    no group, or no room.
    """

    change: CallChange
    event_id: str
    at: datetime
    server_call_id: str
    started_by: str | None = None
    group_id: str | None = None
    room_id: str | None = None
    is_two_party: bool | None = None
    is_rooms_call: bool | None = None


class _Identity(ReceivedModel):
    raw_id: str | None = None


class _Person(ReceivedModel):
    communication_identifier: _Identity | None = None


class _Named(ReceivedModel):
    id: str | None = None


class _Data(ReceivedModel):
    server_call_id: Annotated[str, Field(min_length=1, max_length=limits.LONGEST_IDENTIFIER)]
    started_by: _Person | None = None
    group: _Named | None = None
    room: _Named | None = None
    is_two_party: bool | None = None
    is_rooms_call: bool | None = None


_CHANGES = {CALL_STARTED.lower(): CallChange.STARTED, CALL_ENDED.lower(): CallChange.ENDED}
CALL_EVENTS = frozenset(_CHANGES)
"""The types of the events that are read here, in lower case."""


def parse_call(event: Mapping[str, Any], received_at: datetime) -> CallEvent:
    """Read an event, with the parameters of `parse_recording_files`.

    Raises
    ------
    InvalidEvent
        It is of another type, or a field is missing or wrong; the message names it.
    """
    envelope = read_envelope(event)
    change = _CHANGES.get(envelope.event_type.lower())
    if change is None:
        raise InvalidEvent(f"an event of type {envelope.event_type[:200]!r} is neither {CALL_STARTED} nor {CALL_ENDED}")
    data = read_data(_Data, envelope)
    person = data.started_by.communication_identifier if data.started_by else None
    group = data.group.id if data.group else None
    return CallEvent(
        change=change,
        event_id=envelope.id,
        at=envelope.event_time or received_at,
        server_call_id=data.server_call_id,
        started_by=(person.raw_id if person else None) or None,
        # The service sends a group id of zeros for a call without a group, and an empty room id without a room.
        group_id=group if group not in {"", _NO_GROUP} else None,
        room_id=(data.room.id if data.room else None) or None,
        is_two_party=data.is_two_party,
        is_rooms_call=data.is_rooms_call,
    )
