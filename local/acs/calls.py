"""Calls: who is in them, from when to when, and how a recording finds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.acs import identifiers
from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class RecordingKind(StrEnum):
    """Who records the calls: this service, or Teams, whose recordings it does not deliver."""

    ACS = "azureCommunicationServices"
    TEAMS = "teams"
    TEAMS_COMPLIANCE = "teamsCompliance"


@dataclass(slots=True)
class Participant:
    """A user in a call, from `joined` to `left`, both in ms since the epoch."""

    raw_id: str
    joined: int
    left: int | None = None
    event_id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(slots=True)
class Call:
    """One call. It is established from `started` until `ended`, both in ms since the epoch."""

    call_id: str
    call_connection_id: str
    server_call_id: str
    correlation_id: str
    started: int
    group_call_id: str | None = None
    room_id: str | None = None
    recording_kind: RecordingKind = RecordingKind.ACS
    ended: int | None = None
    participants: list[Participant] = field(default_factory=list)

    @property
    def established(self) -> bool:
        """Whether the call is going on."""
        return self.ended is None

    def present(self) -> list[Participant]:
        """Return who is in the call."""
        return [participant for participant in self.participants if participant.left is None]

    def heard(self, begin: int, end: int) -> list[str]:
        """Return the raw ids of all who were in the call at some time between two moments, in order of joining."""
        heard = (
            p.raw_id for p in self.participants if p.joined < max(end, begin + 1) and (p.left is None or p.left > begin)
        )
        return list(dict.fromkeys(heard))

    def as_json(self) -> dict[str, Any]:
        """Return the call as the control routes show it."""
        return {
            "callId": self.call_id,
            "callConnectionId": self.call_connection_id,
            "serverCallId": self.server_call_id,
            "groupCallId": self.group_call_id,
            "roomId": self.room_id,
            "recordingKind": self.recording_kind,
            "correlationId": self.correlation_id,
            "state": "established" if self.established else "ended",
            "startTime": stamp(self.started),
            "endTime": None if self.ended is None else stamp(self.ended),
            "participants": [p.raw_id for p in self.present()],
            "participantHistory": [
                {
                    "participantId": p.raw_id,
                    "joined": stamp(p.joined),
                    "left": None if p.left is None else stamp(p.left),
                }
                for p in self.participants
            ],
        }


class CallNotFoundError(Exception):
    """There is no such call; the message says which id was looked for."""


#: The kinds of id by which a client names a call, with the attribute that each is compared with.
LOCATORS = {
    "serverCallLocator": "server_call_id",
    "groupCallLocator": "group_call_id",
    "roomCallLocator": "room_id",
    "callConnectionId": "call_connection_id",
}


class Calls:
    """All calls of the emulated resource.

    Parameters
    ----------
    resource_id
        GUID of the resource, part of every generated user id.
    """

    def __init__(self, resource_id: str) -> None:
        self._resource_id = resource_id
        self._by_id: dict[str, Call] = {}
        self._users = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(self._by_id.values())

    def new_user(self) -> str:
        """Return the raw id of a new user."""
        self._users += 1
        return identifiers.participant_id(self._resource_id, self._users)

    def start(
        self,
        now: int,
        participants: Iterable[str] = (),
        *,
        group_call_id: str | None = None,
        room_id: str | None = None,
        recording_kind: RecordingKind = RecordingKind.ACS,
    ) -> Call:
        """Begin a call at `now` with these raw ids; without any, two users are made up."""
        call = Call(
            call_id=str(uuid4()),
            call_connection_id=str(uuid4()),
            server_call_id=identifiers.server_call_id(),
            correlation_id=str(uuid4()),
            started=now,
            group_call_id=group_call_id,
            room_id=room_id,
            recording_kind=recording_kind,
        )
        raw_ids = list(dict.fromkeys(participants)) or [self.new_user(), self.new_user()]
        call.participants = [Participant(raw_id, now) for raw_id in raw_ids]
        self._by_id[call.call_id] = call
        return call

    def get(self, call_id: str) -> Call:
        """Return the call with this callId; raises CallNotFoundError."""
        try:
            return self._by_id[call_id]
        except KeyError:
            raise CallNotFoundError(f"There is no call with callId {call_id}.") from None

    def locate(self, kind: str, value: str) -> Call:
        """Return the newest call, going on if there is one, whose id of `kind` is `value`; raises CallNotFoundError."""
        attribute = LOCATORS[kind]
        found = [call for call in self._by_id.values() if getattr(call, attribute) == value]
        if not found:
            raise CallNotFoundError("Call not found.")
        return max(found, key=lambda call: (call.established, call.started))

    def join(self, call: Call, raw_id: str, now: int) -> Participant | None:
        """Add a participant to the call; None when they are in it already."""
        if any(participant.raw_id == raw_id for participant in call.present()):
            return None
        participant = Participant(raw_id, now)
        call.participants.append(participant)
        return participant

    def leave(self, call: Call, raw_id: str, now: int) -> Participant:
        """Remove a participant from the call; raises CallNotFoundError when they are not in it."""
        for participant in call.present():
            if participant.raw_id == raw_id:
                participant.left = now
                return participant
        raise CallNotFoundError(f"There is no participant {raw_id} in call {call.call_id}.")

    def end(self, call: Call, now: int) -> list[Participant]:
        """End the call; returns who was still in it."""
        remaining = call.present()
        for participant in remaining:
            participant.left = now
        call.ended = now
        return remaining
