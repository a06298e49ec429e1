"""Control of recordings through Azure Communication Services.

The only module that knows the service's control SDK: standalone call recording retires on 2028-09-30, and what comes
after it should change this file alone.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from azure.communication.callautomation import (
    AzureBlobContainerRecordingStorage,
    ChannelAffinity,
    CommunicationUserIdentifier,
    PhoneNumberIdentifier,
    UnknownIdentifier,
)
from azure.core.exceptions import AzureError, HttpResponseError
from pydantic import BeforeValidator, Field, ValidationError

from shared.errors import InvalidRequest, ServiceError
from shared.events import ChannelType, ContentType, OpenEnum, UtcDatetime, WireModel
from shared.media import Format

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.communication.callautomation import CommunicationIdentifier
    from azure.communication.callautomation.aio import CallAutomationClient

LOCATORS = {
    "server_call_id": "serverCallId",
    "group_call_id": "groupCallId",
    "room_id": "roomId",
    "call_connection_id": "callConnectionId",
}
"""The fields of which exactly one names the call: the SDK's name, the wire's name."""

COMBINATIONS = (
    (ContentType.AUDIO_VIDEO, ChannelType.MIXED, Format.MP4),
    (ContentType.AUDIO, ChannelType.MIXED, Format.MP3),
    (ContentType.AUDIO, ChannelType.MIXED, Format.WAV),
    (ContentType.AUDIO, ChannelType.UNMIXED, Format.WAV),
)
"""What the service can record: content, channel, format. The first that fits what a request leaves open is taken."""

BUSY = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the service is asked again."""

PATIENCE = 15.0
"""Seconds for which a caller is kept waiting while the service is busy."""

_PAUSE = 0.5

Identifier = Annotated[str, Field(min_length=1, max_length=2048)]
RawId = Annotated[Identifier, BeforeValidator(lambda value: value.get("rawId") if isinstance(value, dict) else value)]
"""A participant: `"8:acs:…"`, or the service's own form `{"rawId": "8:acs:…"}`."""


class Affinity(WireModel):
    """Which channel of an unmixed recording a participant is on."""

    channel: Annotated[int, Field(ge=0, le=4)]
    participant: RawId


class ExternalStorage(WireModel):
    """The caller's own container, which the service writes to instead of its temporary storage."""

    recording_destination_container_url: Annotated[str, Field(pattern=r"^https://")]


class Consent(WireModel):
    """Why the call may be recorded, and who agreed."""

    basis: Annotated[str, Field(min_length=1, max_length=200)]
    obtained_from: Annotated[list[RawId], Field(min_length=1, max_length=350)]
    obtained_at: UtcDatetime
    reference: Annotated[str, Field(max_length=2048)] | None = None


class StartRecording(WireModel):
    """The body of `POST /api/recordings`, in the service's own names."""

    server_call_id: Identifier | None = None
    group_call_id: Identifier | None = None
    room_id: Identifier | None = None
    call_connection_id: Identifier | None = None
    recording_content_type: OpenEnum | None = None
    recording_channel_type: OpenEnum | None = None
    recording_format_type: OpenEnum | None = None
    recording_state_callback_uri: Annotated[str, Field(pattern=r"^https?://")] | None = None
    audio_channel_participant_ordering: list[RawId] | None = None
    channel_affinity: list[Affinity] | None = None
    pause_on_start: bool | None = None
    external_storage: ExternalStorage | None = None
    consent: Consent | None = None

    def locator(self) -> dict[str, str]:
        """Return the call's id under the SDK's name.

        Raises
        ------
        InvalidRequest
            None, or more than one, is given.
        """
        given = {name: value for name in LOCATORS if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            names = ", ".join(LOCATORS.values())
            found = ", ".join(LOCATORS[name] for name in given) or "none"
            raise InvalidRequest(f"give exactly one of {names} to say which call; {found} given", field="serverCallId")
        return given

    def combination(self) -> tuple[ContentType, ChannelType, Format]:
        """Return what to record, with what is left open filled in.

        Raises
        ------
        InvalidRequest
            The service cannot record this.
        """
        asked = {
            "recordingContentType": self.recording_content_type,
            "recordingChannelType": self.recording_channel_type,
            "recordingFormatType": self.recording_format_type,
        }
        for combination in COMBINATIONS:
            if all(value in {None, offered} for value, offered in zip(asked.values(), combination, strict=True)):
                return combination
        given = {name: value for name, value in asked.items() if value is not None}
        columns = dict(zip(asked, zip(*COMBINATIONS, strict=True), strict=True))
        wrong = next((name for name, value in given.items() if value not in columns[name]), next(reversed(given)))
        raise InvalidRequest(
            f"{'/'.join(given.values())} cannot be recorded; content/channel/format is one of "
            + ", ".join("/".join(combination) for combination in COMBINATIONS),
            field=wrong,
        )


def parse_start(body: bytes) -> StartRecording:
    """Read and check the body of a start request.

    Raises
    ------
    InvalidRequest
        A field is missing or wrong; names it.
    """
    try:
        request = StartRecording.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in fault["loc"]) or None
        raise InvalidRequest(f"{field or 'the body'}: {fault['msg']}", field=field) from None
    request.locator()
    _, channel_type, _ = request.combination()
    if channel_type is ChannelType.MIXED:
        for name in ("audio_channel_participant_ordering", "channel_affinity"):
            if getattr(request, name):
                wire_name = StartRecording.model_fields[name].alias
                raise InvalidRequest(f"{wire_name} goes with recordingChannelType unmixed only", field=wire_name)
    return request


@dataclass(frozen=True, slots=True)
class Recording:
    """What the service says of a recording.

    Attributes
    ----------
    state
        `active` or `inactive`; a paused recording is `inactive`, and so is one that has not begun.
    """

    recording_id: str
    state: str | None
    kind: str | None

    def to_wire(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        return {"recordingId": self.recording_id, "state": self.state, "recordingKind": self.kind}


class Control:
    """Starts, asks for, pauses, resumes and stops recordings.

    All methods raise `ServiceError` when the service refuses, or cannot be reached (status 503).
    """

    def __init__(self, client: CallAutomationClient) -> None:
        self._client = client

    async def start(self, request: StartRecording, repeatability_id: str | None = None) -> Recording:
        """Start recording a call.

        Parameters
        ----------
        request
            What to record.
        repeatability_id
            A UUID; the service answers a repeated one with the first recording.
        """
        content_type, channel_type, format_ = request.combination()
        options: dict[str, Any] = {
            "recording_state_callback_url": request.recording_state_callback_uri,
            "audio_channel_participant_ordering": [_identifier(p) for p in request.audio_channel_participant_ordering]
            if request.audio_channel_participant_ordering
            else None,
            "channel_affinity": [
                ChannelAffinity(target_participant=_identifier(affinity.participant), channel=affinity.channel)
                for affinity in request.channel_affinity or ()
            ],
            "pause_on_start": request.pause_on_start,
            "recording_storage": AzureBlobContainerRecordingStorage(
                container_url=request.external_storage.recording_destination_container_url
            )
            if request.external_storage
            else None,
        }
        start: Any = self._client.start_recording  # has an overload for each locator by name
        # One id for all tries, so that a try whose answer was lost does not start a second recording.
        headers = {"Repeatability-Request-ID": repeatability_id or str(uuid4())}
        properties = await self._asked(
            lambda: start(
                **request.locator(),
                recording_content_type=content_type,
                recording_channel_type=channel_type,
                recording_format_type=format_,
                headers=dict(headers),
                **{name: value for name, value in options.items() if value},
            )
        )
        return Recording(properties.recording_id, properties.recording_state, properties.recording_kind)

    async def get(self, recording_id: str) -> Recording:
        """Ask the service for a recording."""
        properties = await self._asked(lambda: self._client.get_recording_properties(recording_id))
        return Recording(recording_id, properties.recording_state, properties.recording_kind)

    async def pause(self, recording_id: str) -> None:
        """Pause a recording."""
        await self._asked(lambda: self._client.pause_recording(recording_id))

    async def resume(self, recording_id: str) -> None:
        """Resume a paused recording."""
        await self._asked(lambda: self._client.resume_recording(recording_id))

    async def stop(self, recording_id: str) -> None:
        """Stop a recording for good; its files are announced later, by event."""
        await self._asked(lambda: self._client.stop_recording(recording_id))

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the service, again when it is busy, as long as a caller may be kept waiting."""
        give_up_at = time.monotonic() + PATIENCE
        for attempt in itertools.count():
            try:
                return await ask()
            except AzureError as error:
                failure, cause = _service_error(error), error
            delay = failure.retry_after if failure.retry_after is not None else _PAUSE * 2**attempt
            if failure.status not in BUSY or time.monotonic() + delay > give_up_at:
                raise failure from cause
            await asyncio.sleep(delay)
        raise AssertionError


def _service_error(error: AzureError) -> ServiceError:
    if not isinstance(error, HttpResponseError):
        return ServiceError(503, "ServiceUnreachable", "the service cannot be reached")
    response: Any = error.response
    retry_after = (getattr(response, "headers", None) or {}).get("Retry-After", "")
    return ServiceError(
        error.status_code or 503,
        (error.error.code if error.error else None) or str(error.status_code),
        (error.error.message if error.error else None) or str(error.reason or "no explanation"),
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
    )


def _identifier(raw_id: str) -> CommunicationIdentifier:
    if raw_id.startswith("8:acs:"):
        return CommunicationUserIdentifier(raw_id)
    if raw_id.startswith("4:"):
        return PhoneNumberIdentifier(raw_id.removeprefix("4:"), raw_id=raw_id)
    return UnknownIdentifier(raw_id)
