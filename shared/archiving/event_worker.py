"""Takes the events of queue `recording-events` in, and sends one message for each chunk that must be archived."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidEvent, ManifestUnreadable, StorageUnavailable
from shared.core.retry_policy import FIRST_EVENT_DELAY, event_delay
from shared.events.event_message import EventMessage
from shared.incidents.incidents import message_incident

if TYPE_CHECKING:
    from shared.archiving.intake import Intake
    from shared.incidents.incidents import Incidents
    from shared.storage.large_events import LargeEvents
    from shared.storage.message_queue import MessageQueue


class EventWorker:
    """Handles the messages of queue `recording-events`.

    A failure of the app's own storage never ends the tries: the message is then sent again, to show up later.

    Parameters
    ----------
    events, chunks
        The queue that events come from and go back to, and the one that chunks go to.
    large
        Has the events that are too large for a message.
    first_delay
        How long an event waits after the first time that it could not be taken in.
    """

    def __init__(
        self,
        intake: Intake,
        incidents: Incidents,
        *,
        events: MessageQueue,
        chunks: MessageQueue,
        large: LargeEvents,
        first_delay: timedelta = FIRST_EVENT_DELAY,
    ) -> None:
        self._intake = intake
        self._incidents = incidents
        self._events = events
        self._chunks = chunks
        self._large = large
        self._first_delay = first_delay

    async def take(self, body: str) -> None:
        """Take in the event of one queue message, and send a message for each chunk that is not archived yet.

        Raises
        ------
        AzureError
            The app's storage failed, and so did sending the message once more: the platform hands it over again.
        """
        try:
            message = EventMessage.from_json(body)
        except InvalidEvent as error:
            log.error("message.refused", reason=str(error))
            await self._incidents.report(message_incident(body, error))
            return
        try:
            with storage_errors_translated():
                await self._take(message)
        except (StorageUnavailable, ManifestUnreadable, TimeoutError) as error:
            delay = event_delay(message.tries, self._first_delay)
            log.warning("event.postponed", tries=message.tries + 1, seconds=delay.total_seconds(), reason=str(error))
            again = message.model_copy(update={"tries": message.tries + 1})
            await self._events.send(again.to_json(), delay)

    async def _take(self, message: EventMessage) -> None:
        event = message.event if message.blob is None else await self._large.get(message.blob)
        if event is None:
            return  # another delivery of this message took it in, and dropped the blob
        for chunk in await self._intake.announce(
            event, message.received_at, parent=message.traceparent, cut=message.cut
        ):
            await self._chunks.send(chunk, timedelta())
        if message.blob is not None:
            await self._large.drop(message.blob)
