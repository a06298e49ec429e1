"""What the platform could not deliver is tried again: Event Grid's dead letters, and the poison queue's messages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import log
from shared.core.errors import InvalidEvent
from shared.core.retry_policy import event_delay
from shared.core.times import Now, utc_now
from shared.events.chunk_message import ChunkMessage
from shared.events.event_message import EventMessage
from shared.incidents.incidents import Incident, chunk_incident, message_incident
from shared.incidents.kinds import IncidentKind
from shared.recovery.item_by_item import each
from shared.storage.dead_letters import REPLAYED

if TYPE_CHECKING:
    from shared.incidents.incidents import Incidents
    from shared.recovery.replay import Replay
    from shared.storage.dead_letters import DeadLetters
    from shared.storage.message_queue import MessageQueue


class DeadLetterReplay:
    """Replays the events that Event Grid could not deliver; unreadable ones become incidents."""

    def __init__(self, dead_letters: DeadLetters, replay: Replay, incidents: Incidents) -> None:
        self._dead_letters = dead_letters
        self._replay = replay
        self._incidents = incidents

    async def replay_all(self) -> None:
        """Replay every dead letter, and then move it to `replayed/`."""
        await each("replay", self._dead_letters.waiting(), self._take)

    async def _take(self, name: str) -> None:
        events = await self._dead_letters.read(name)
        if events is None:
            reason = f"the dead letter {name} holds no event that can be read: fix it, or move it to {REPLAYED}"
            await self._incidents.report(Incident(kind=IncidentKind.DEAD_LETTER, identifier=name, reason=reason))
            return
        for event in events:
            await self._replay.replay(event)
        await self._dead_letters.done(name)
        log.warning("dead_letter.replayed", blob=name, events=len(events))


class ChunkPoison:
    """Drains the poison queue into the queue of chunks; unreadable and expired messages become incidents."""

    def __init__(self, poison: MessageQueue, queue: MessageQueue, incidents: Incidents, *, now: Now = utc_now) -> None:
        self._poison = poison
        self._queue = queue
        self._incidents = incidents
        self._now = now

    async def drain(self) -> None:
        """Send every message to the queue of chunks again, unless its source has expired."""
        await self._poison.take_all(self._take)

    async def _take(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._incidents.report(message_incident(body, error))
            return
        if self._now() < message.expires_at:
            await self._queue.send(body, timedelta())
            log.warning("chunk.revived", recordingId=message.recording_id, documentId=message.chunk.document_id)
            return
        reason = "the service has deleted the file, and every try to archive it failed"
        await self._incidents.report(chunk_incident(message, reason))


class EventPoison:
    """Puts poison messages about events back to work; such a message may never have been run.

    Parameters
    ----------
    poison
        Where the platform puts messages that failed too often.
    events
        Where events wait to be taken in.
    incidents
        Gets messages that cannot be read.
    """

    def __init__(self, poison: MessageQueue, events: MessageQueue, incidents: Incidents) -> None:
        self._poison = poison
        self._events = events
        self._incidents = incidents

    async def drain(self) -> None:
        """Send every message to the events' queue once more, to show up the later the more often it failed."""
        await self._poison.take_all(self._take)

    async def _take(self, body: str) -> None:
        try:
            message = EventMessage.from_json(body)
        except InvalidEvent as error:
            await self._incidents.report(message_incident(body, error))
            return
        again = message.model_copy(update={"tries": message.tries + 1})
        await self._events.send(again.to_json(), event_delay(message.tries))
        log.warning("event.revived", tries=again.tries)
