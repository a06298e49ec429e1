"""Events taken in again: dead letters, events that were refused, events that are kept with a recording."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.events.call_events import CALL_EVENTS
from shared.events.chunk_message import ChunkMessage
from shared.storage.dead_letters import event_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.archiving.intake import Intake
    from shared.recordings.auto_record import AutoRecord
    from shared.storage.message_queue import MessageQueue


class Replay:
    """Does with an event what its delivery does; where `calls` is None, events about calls are dropped."""

    def __init__(self, intake: Intake, calls: AutoRecord | None, queue: MessageQueue) -> None:
        self._intake = intake
        self._calls = calls
        self._queue = queue

    async def replay(self, event: Mapping[str, Any], only: set[int] | None = None) -> list[ChunkMessage]:
        """Take an event in, and send its chunks to the queue.

        Parameters
        ----------
        only
            Indexes of the chunks to send; all that are not archived by default.
        """
        if event_type(event) in CALL_EVENTS:
            if self._calls is not None:
                await self._calls.take(event)
            return []
        sent = []
        for body in await self._intake.announce(event):
            message = ChunkMessage.from_json(body)
            if only is None or message.chunk.index in only:
                await self._queue.send(body, timedelta())
                sent.append(message)
        return sent
