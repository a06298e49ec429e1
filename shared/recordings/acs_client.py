"""Control of recordings through Azure Communication Services.

The only module that uses the service's control SDK: standalone call recording retires on 2028-09-30, and its successor
should change this file alone.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

from azure.communication.callautomation import (
    AzureBlobContainerRecordingStorage,
    ChannelAffinity,
    CommunicationUserIdentifier,
    PhoneNumberIdentifier,
    UnknownIdentifier,
)
from azure.core.exceptions import AzureError, HttpResponseError

from shared.core import log
from shared.core.blob_names import unpadded
from shared.core.errors import ServiceError, StorageUnavailable
from shared.core.limits import clipped
from shared.core.redaction import redacted
from shared.core.retry_policy import CONTROL_BACKOFF, TRANSIENT, retry_after
from shared.recordings.patience import within_patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from azure.communication.callautomation import CommunicationIdentifier
    from azure.communication.callautomation.aio import CallAutomationClient

    from shared.recordings.callbacks import Callbacks
    from shared.recordings.start_request import StartRecording

SERVICE_PATIENCE = 15.0
"""Seconds for which a caller waits while the service is busy."""

PATIENCE_OF_GET = 5.0
"""The same for a state: the ledger and the archive have an answer too."""

_LEAST = 0.1


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


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Identifies a start, so that the service answers a repeated one with the first recording.

    Attributes
    ----------
    request_id
        A UUID of version 4.
    first_sent
        When the request was made first, in UTC.
    """

    request_id: UUID
    first_sent: datetime

    @classmethod
    def new(cls) -> Self:
        """Return that of a start which is asked for the first time."""
        return cls(uuid4(), datetime.now(UTC))

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers; the service requires both."""
        return {
            "Repeatability-Request-ID": str(self.request_id),
            "Repeatability-First-Sent": format_datetime(self.first_sent, usegmt=True),
        }


class AcsClient:
    """Starts, asks for, pauses, resumes and stops recordings.

    All methods raise `ServiceError` when the service refuses, or cannot be reached (status 503).

    Parameters
    ----------
    client
        The SDK's.
    callbacks
        Makes an address for the service's reports on recordings whose caller gave none; None makes none.
    """

    def __init__(self, client: CallAutomationClient, callbacks: Callbacks | None = None) -> None:
        self._client = client
        self._callbacks = callbacks

    async def start(self, request: StartRecording, repeatability: Repeatability | None = None) -> Recording:
        """Start recording a call.

        Reports are optional: where the ledger cannot keep an address for them, the recording starts without one.

        Parameters
        ----------
        request
            What to record.
        repeatability
            Of a start that may have been asked for before.
        """
        if self._callbacks is None or request.recording_state_callback_uri is not None:
            return await self._start(request, repeatability)
        try:
            address = await within_patience(self._callbacks.address())
        except StorageUnavailable:
            log.error("callback.no_address")
            address = None
        if address is None:
            return await self._start(request, repeatability)
        # The address is a secret and goes to the service only: the caller's request stays as it was.
        request = request.model_copy(update={"recording_state_callback_uri": address.url})
        recording = await self._start(request, repeatability)
        try:
            await within_patience(self._callbacks.bind(address.reference, recording.recording_id))
        except StorageUnavailable:
            log.error("callback.not_bound", recordingId=recording.recording_id)  # the first callback will do it
        return recording

    async def _start(self, request: StartRecording, repeatability: Repeatability | None) -> Recording:
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
        headers = (repeatability or Repeatability.new()).headers
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
        return Recording(unpadded(properties.recording_id), properties.recording_state, properties.recording_kind)

    async def get(self, recording_id: str) -> Recording:
        """Ask the service for a recording."""
        properties = await self._asked(
            lambda: self._client.get_recording_properties(recording_id), patience=PATIENCE_OF_GET
        )
        return Recording(recording_id, properties.recording_state, properties.recording_kind)

    async def pause(self, recording_id: str) -> None:
        """Pause a recording."""
        await self._asked(lambda: self._client.pause_recording(recording_id))

    async def resume(self, recording_id: str) -> None:
        """Resume a paused recording."""
        await self._asked(lambda: self._client.resume_recording(recording_id))

    async def stop(self, recording_id: str) -> None:
        """Stop a recording; its files are announced later, by event."""
        tries = 0

        async def stop() -> None:
            nonlocal tries
            tries += 1
            await self._client.stop_recording(recording_id)

        try:
            await self._asked(stop)
        except ServiceError as error:
            # The service does not know a stopped recording: an earlier try stopped it, and its answer was lost.
            if error.status != 404 or tries == 1:
                raise

    async def _asked(self, ask: Callable[[], Awaitable[Any]], *, patience: float = SERVICE_PATIENCE) -> Any:
        """Ask the service; ask again when it is busy, for `patience` seconds."""
        give_up_at = time.monotonic() + patience
        for attempt in itertools.count(1):
            try:
                async with asyncio.timeout(max(give_up_at - time.monotonic(), _LEAST)):
                    return await ask()
            except TimeoutError as error:
                raise ServiceError(
                    503, "ServiceTimeout", "the service does not answer", retry_after=CONTROL_BACKOFF.first
                ) from error
            except AzureError as error:
                failure, cause = _service_error(error), error
            delay = CONTROL_BACKOFF.delay(attempt, failure.retry_after)
            if failure.status not in TRANSIENT or delay is None or time.monotonic() + delay > give_up_at:
                # The platform logs causes, and a refusal's text can hold the signature; an identity's failure has none.
                raise failure from cause if getattr(cause, "response", None) is None else None
            await asyncio.sleep(delay)
        raise AssertionError


def _service_error(error: AzureError) -> ServiceError:
    if not isinstance(error, HttpResponseError):
        return ServiceError(503, "ServiceUnreachable", "the service cannot be reached")
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    return ServiceError(
        error.status_code or 503,
        (error.error.code if error.error else None) or str(error.status_code),
        redacted(clipped((error.error.message if error.error else None) or str(error.reason or "no explanation"))),
        retry_after=retry_after(headers.get("Retry-After"), datetime.now(UTC)),
    )


def _identifier(raw_id: str) -> CommunicationIdentifier:
    if raw_id.startswith("8:acs:"):
        return CommunicationUserIdentifier(raw_id)
    if raw_id.startswith("4:"):
        return PhoneNumberIdentifier(raw_id.removeprefix("4:"), raw_id=raw_id)
    return UnknownIdentifier(raw_id)
