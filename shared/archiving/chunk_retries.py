"""What follows a failed try to archive a chunk: another try, later, or an incident."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import blob_names, log
from shared.core.errors import Handover
from shared.core.retry_policy import delay_after
from shared.core.times import Now, utc_now
from shared.incidents.incidents import chunk_incident, message_incident
from shared.storage.ledger import best_effort

if TYPE_CHECKING:
    from shared.core.errors import CopyError, InvalidEvent, Retryable
    from shared.events.chunk_message import ChunkMessage
    from shared.incidents.incidents import Incidents
    from shared.storage.ledger import Ledger
    from shared.storage.message_queue import MessageQueue


class ChunkRetries:
    """Decides what follows a failed try; `first` is the delay after a chunk's first one."""

    def __init__(
        self,
        queue: MessageQueue,
        ledger: Ledger,
        incidents: Incidents,
        *,
        first: timedelta = timedelta(seconds=15),
        now: Now = utc_now,
    ) -> None:
        self._queue = queue
        self._ledger = ledger
        self._incidents = incidents
        self._first = first
        self._now = now

    async def try_again(self, message: ChunkMessage, error: Retryable) -> None:
        """Send the message again, visible when the next try is due."""
        if isinstance(error, Handover):
            log.info("chunk.handed_over", reason=str(error))
            await self._send(message, timedelta())
            return
        tries, time_left = message.tries + 1, message.expires_at - self._now()
        delay = delay_after(
            tries,
            first=self._first,
            retry_after=error.retry_after,
            # After the deadline only the archive's own services are waited for, so nothing is urgent.
            time_left=time_left if time_left > timedelta() else timedelta.max,
            random=random.random,
        )
        seconds = round(delay.total_seconds())
        log.warning("chunk.postponed", tries=tries, seconds=seconds, error=type(error).__name__, reason=str(error))
        await self._send(message.model_copy(update={"tries": tries}), delay)
        name = blob_names.ledger_name(message.recording_id, message.prefix)
        next_try = self._now() + delay
        await best_effort(self._ledger.failed(name, message.chunk.index, tries, str(error), next_try))

    async def _send(self, message: ChunkMessage, delay: timedelta) -> None:
        await self._queue.send(message.model_copy(update={"due_at": self._now() + delay}).to_json(), delay)

    async def refuse(self, body: str, error: InvalidEvent) -> None:
        """Report a message that cannot be read."""
        log.error("message.refused", reason=str(error))
        await self._incidents.report(message_incident(body, error))

    async def give_up(self, message: ChunkMessage, error: CopyError) -> None:
        """Report a chunk that no more tries are made for."""
        log.error("chunk.given_up", reason=str(error), error=type(error).__name__)
        await self._incidents.report(chunk_incident(message, str(error), type(error).__name__))
        name = blob_names.ledger_name(message.recording_id, message.prefix)
        await best_effort(self._ledger.give_up(name, message.chunk.index, str(error)))
