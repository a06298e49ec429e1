"""Starts recordings so that the service reports their states to us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import log
from shared.core.errors import StorageUnavailable
from shared.recordings.acs_client import AcsClient
from shared.recordings.lookup import within_patience

if TYPE_CHECKING:
    from azure.communication.callautomation.aio import CallAutomationClient

    from shared.recordings.acs_client import Recording, Repeatability
    from shared.recordings.callbacks import CallbackAddress, Callbacks
    from shared.recordings.start_request import StartRecording


class ReportingClient(AcsClient):
    """A `Control` that gives the service a callback address of our own where the caller gave none.

    Reports are a help, not a need: where the ledger cannot keep the address, the recording starts without one.
    """

    def __init__(self, client: CallAutomationClient, callbacks: Callbacks) -> None:
        super().__init__(client)
        self._callbacks = callbacks

    async def start(self, request: StartRecording, repeatability: Repeatability | None = None) -> Recording:
        """Start recording a call; see `Control.start`."""
        address = await self._address() if request.recording_state_callback_uri is None else None
        if address is None:
            return await super().start(request, repeatability)
        # The address is a secret and goes to the service only: the caller's request stays as it was.
        request = request.model_copy(update={"recording_state_callback_uri": address.url})
        recording = await super().start(request, repeatability)
        try:
            await within_patience(self._callbacks.bind(address.reference, recording.recording_id))
        except StorageUnavailable:
            log.error("callback.not_bound", recordingId=recording.recording_id)  # the first callback will do it
        return recording

    async def _address(self) -> CallbackAddress | None:
        try:
            return await within_patience(self._callbacks.address())
        except StorageUnavailable:
            log.error("callback.no_address")
            return None
