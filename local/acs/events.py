"""The events that the service publishes, in the Event Grid schema.

Source: "Azure Communication Services: voice and video calling events", Event Grid documentation.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.acs.forms import AnnouncementForm, Delivery, Payload, SubjectForm
from local.acs.timestamps import NEVER_Z, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.acs.calls import Call, Participant
    from local.acs.documents import Chunk
    from local.acs.recordings import Recording

type Event = dict[str, Any]

_NO_GROUP = "00000000-0000-0000-0000-000000000000"
#: Fields that the payload of 2021 did not have.
_LATER_FIELDS = frozenset(
    {
        "deleteLocation",
        "recordingId",
        "storageType",
        "recordingContentType",
        "recordingChannelType",
        "recordingFormatType",
    }
)


class EventFactory:
    """Makes events of one resource.

    Parameters
    ----------
    topic
        The resource's id in Azure Resource Manager, which is the `topic` of its events.
    base_url
        Origin of the addresses of stored objects.
    """

    def __init__(self, topic: str, base_url: str) -> None:
        self._topic = topic
        self._base_url = base_url

    def call_started(self, call: Call) -> Event:
        """Return the event of a call's beginning."""
        starter = call.participants[0].raw_id
        return self._event(
            "CallStarted", f"call/{call.server_call_id}/startedBy/{starter}", _call_data(call), call.started
        )

    def call_ended(self, call: Call, now: int) -> Event:
        """Return the event of a call's end; the duration is in seconds."""
        data = {"durationOfCall": (now - call.started) / 1000, **_call_data(call)}
        return self._event("CallEnded", f"call/{call.server_call_id}", data, now)

    def participant_added(self, call: Call, participant: Participant, now: int) -> Event:
        """Return the event of a participant's joining."""
        return self._participant("CallParticipantAdded", call, participant, now)

    def participant_removed(self, call: Call, participant: Participant, now: int) -> Event:
        """Return the event of a participant's leaving."""
        return self._participant("CallParticipantRemoved", call, participant, now)

    def files_available(
        self,
        recording: Recording,
        form: AnnouncementForm,
        now: int,
        *,
        chunks: Sequence[Chunk] | None = None,
        rng: random.Random | None = None,
    ) -> list[Event]:
        """Return the events that announce files of a recording, in the order in which to send them.

        Parameters
        ----------
        recording
            Whose files.
        form
            What the events look like, how often they come and which are lost.
        now
            Their time, in ms since the epoch.
        chunks
            The chunks to announce; all by default.
        rng
            Source of the order where that is shuffled.
        """
        rng = rng or random.Random()  # noqa: S311 - the order of deliveries, nothing secret
        chunks = list(recording.chunks if chunks is None else chunks)
        if form.shuffle:
            rng.shuffle(chunks)
        groups = [[chunk] for chunk in chunks] if form.delivery is Delivery.PER_CHUNK else [chunks]
        events = [self._files(recording, group, form, now) for group in groups if group]
        deliveries = [
            {**event, "id": str(uuid4())} if copy and form.new_ids else event
            for event in events
            for copy in range(form.duplicates + 1)
        ]
        if form.shuffle:
            rng.shuffle(deliveries)
        return deliveries[form.lost :]

    def result(self, recording: Recording) -> dict[str, Any]:
        """Return what the service answers about a finished recording, before its call has ended or after."""
        return {
            "recordingId": recording.recording_id,
            "recordingStorageInfo": {"recordingChunks": [self._chunk(chunk) for chunk in recording.chunks]},
            "errors": [],
            "recordingStartTime": stamp(recording.started),
            "recordingDurationMs": sum(chunk.plan.media_length for chunk in recording.chunks),
            "sessionEndReason": "SessionStillOngoing" if recording.call.established else recording.session_end_reason,
            "recordingExpirationTime": NEVER_Z,
        }

    def _files(self, recording: Recording, chunks: list[Chunk], form: AnnouncementForm, now: int) -> Event:
        options = recording.options
        data: dict[str, Any] = {
            "recordingStorageInfo": {"recordingChunks": [self._chunk(chunk) for chunk in chunks]},
            "recordingStartTime": stamp(recording.started),
            "recordingDurationMs": sum(chunk.plan.media_length for chunk in recording.chunks),
            "sessionEndReason": recording.session_end_reason,
            "recordingContentType": _pascal(options.content_type),
            "recordingChannelType": _pascal(options.channel_type),
            "recordingFormatType": _pascal(options.format),
            "recordingId": recording.recording_id,
            "storageType": "ACS",
        }
        left_out = {str(name) for name in form.omit}
        if form.payload is Payload.PREVIEW_2021:
            left_out |= _LATER_FIELDS
        for fields in (data, *data["recordingStorageInfo"]["recordingChunks"]):
            for name in left_out & fields.keys():
                del fields[name]
        return self._event("RecordingFileStatusUpdated", _subject(recording, form.subject), data, now)

    def _chunk(self, chunk: Chunk) -> dict[str, Any]:
        return {
            "documentId": chunk.document_id,
            "index": chunk.plan.index,
            "endReason": chunk.end_reason,
            **chunk.locations(self._base_url),
        }

    def _participant(self, name: str, call: Call, participant: Participant, now: int) -> Event:
        data = {
            "user": _person(participant.raw_id),
            "displayName": f"Participant {call.participants.index(participant) + 1}",
            "participantId": participant.event_id,
            "endpointType": "acs-emulator",
            **_call_data(call),
        }
        return self._event(name, f"call/{call.server_call_id}/participant/{participant.raw_id}", data, now)

    def _event(self, name: str, subject: str, data: dict[str, Any], now: int) -> Event:
        return {
            "id": str(uuid4()),
            "topic": self._topic,
            "subject": subject,
            "data": data,
            "eventType": f"Microsoft.Communication.{name}",
            "dataVersion": "1.0",
            "metadataVersion": "1",
            "eventTime": stamp(now),
        }


def _call_data(call: Call) -> dict[str, Any]:
    return {
        "startedBy": _person(call.participants[0].raw_id),
        "serverCallId": call.server_call_id,
        "group": {"id": call.group_call_id or _NO_GROUP},
        "room": {"id": call.room_id or ""},
        "isTwoParty": len(call.participants) == 2 and call.group_call_id is None and call.room_id is None,
        "correlationId": call.correlation_id,
        "isRoomsCall": call.room_id is not None,
    }


def _person(raw_id: str) -> dict[str, Any]:
    return {"communicationIdentifier": {"rawId": raw_id, "communicationUser": {"id": raw_id}}, "role": "participant"}


def _subject(recording: Recording, form: SubjectForm) -> str:
    call = recording.call
    match form:
        case SubjectForm.FULL:
            ids = f"{call.call_id}/serverCallId/{call.server_call_id}/recordingId/{recording.recording_id}"
            return f"/recording/call/{ids}"
        case SubjectForm.CALL:
            return f"/recording/call/{call.call_id}"
        case SubjectForm.CALL_SERVER:
            return f"/recording/call/{call.call_id}/serverCallId/{call.server_call_id}"
        case SubjectForm.CALL_RECORDING:
            return f"/call/{call.call_id}/recordingId/{recording.recording_id}"


def _pascal(value: str) -> str:
    return value[0].upper() + value[1:]
