"""State callbacks: CloudEvents posted to the address that was given when the recording was started.

Source: "Recording state callbacks" in the Call Automation documentation, and recorded traffic.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp

from local.acs.options import CallbackOrder
from local.acs.timestamps import NEVER, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.acs.recordings import Recording

type CloudEvent = dict[str, Any]

_ATTEMPTS = 5
#: The only recorded version whose callbacks name their source in the data too.
_WITH_EVENT_SOURCE = "2024-09-01-preview"


def state_changed(recording: Recording, state: str, now: int, *, begun: bool) -> CloudEvent:
    """Return the event of a new state; a recording that has not `begun` has a start time in the year 1."""
    data = {
        "recordingId": recording.recording_id,
        "state": state,
        "startDateTime": stamp(recording.started, "+00:00") if begun else NEVER,
        "recordingKind": recording.call.recording_kind,
        "resultInformation": {"code": 200, "subCode": 0, "message": ""},
        **_call(recording),
    }
    return _cloud_event("RecordingStateChanged", recording, data, now)


def start_failed(recording: Recording, now: int) -> CloudEvent:
    """Return the event of a recording that could not begin after its start had been accepted."""
    data = {
        "recordingId": recording.recording_id,
        "resultInformation": {"code": 500, "subCode": 9999, "message": "The recording could not be started."},
        **_call(recording),
    }
    return _cloud_event("StartRecordingFailed", recording, data, now)


def _call(recording: Recording) -> dict[str, str]:
    call = recording.call
    return {
        "version": recording.options.api_version,
        "callConnectionId": recording.endpoint_id,
        "serverCallId": call.server_call_id,
        "correlationId": call.correlation_id,
    }


def _cloud_event(name: str, recording: Recording, data: dict[str, Any], now: int) -> CloudEvent:
    source = f"calling/recordings/{recording.call.server_call_id}/{recording.recording_id}/{name}"
    if recording.options.api_version == _WITH_EVENT_SOURCE:
        data = {"eventSource": source, **data}
    data["publicEventType"] = f"Microsoft.Communication.{name}"
    return {
        "id": str(uuid4()),
        "source": source,
        "type": f"Microsoft.Communication.{name}",
        "data": data,
        "time": stamp(now, "+00:00"),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": source,
    }


def arranged(events: Sequence[CloudEvent], order: CallbackOrder) -> list[CloudEvent]:
    """Return the events in the order in which to post them."""
    match order:
        case CallbackOrder.NORMAL:
            return list(events)
        case CallbackOrder.REVERSED:
            return list(reversed(events))
        case CallbackOrder.DOUBLED:
            return [event for event in events for _ in range(2)]
        case CallbackOrder.LOST:
            return []


class CallbackSender:
    """Posts state callbacks, one array of one event a request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, uri: str, events: Sequence[CloudEvent]) -> None:
        """Post events in order; one that is not taken is tried a few times and then given up."""
        for event in events:
            for attempt in range(_ATTEMPTS):
                if await self._post(uri, event):
                    break
                await asyncio.sleep(0.1 * 2**attempt)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, uri: str, event: CloudEvent) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        headers = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
        try:
            async with self._session.post(uri.strip(), json=[event], headers=headers) as response:
                return response.status < 500 and response.status != 429
        except aiohttp.InvalidURL:
            return True  # The service takes any text for an address, and calls nothing back where it is none.
        except (aiohttp.ClientError, TimeoutError):
            return False
