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


class _Poison:
    """Drains a poison queue: its messages are sent again, and those that cannot be read become incidents."""

    def __init__(self, poison: MessageQueue, queue: MessageQueue, incidents: Incidents, *, now: Now = utc_now) -> None:
        self._poison = poison
        self._queue = queue
        self._incidents = incidents
        self._now = now

    async def drain(self) -> None:
        """Handle every message that is in the poison queue."""
        await self._poison.take_all(self._take)

    async def _take(self, body: str) -> None:
        try:
            await self._send_again(body)
        except InvalidEvent as error:
            await self._incidents.report(message_incident(body, error))

    async def _send_again(self, body: str) -> None:
        raise NotImplementedError


class ChunkPoison(_Poison):
    """Drains the poison queue into the queue of chunks; messages whose source has expired become incidents."""

    async def _send_again(self, body: str) -> None:
        message = ChunkMessage.from_json(body)
        if self._now() < message.expires_at:
            await self._queue.send(body, timedelta())
            log.warning("chunk.revived", recordingId=message.recording_id, documentId=message.chunk.document_id)
            return
        reason = "the service has deleted the file, and every try to archive it failed"
        await self._incidents.report(chunk_incident(message, reason))


class EventPoison(_Poison):
    """Drains the poison queue into the queue of events, with a delay; such a message may never have been run."""

    async def _send_again(self, body: str) -> None:
        message = EventMessage.from_json(body)
        again = message.model_copy(update={"tries": message.tries + 1})
        await self._queue.send(again.to_json(), event_delay(message.tries))
        log.warning("event.revived", tries=again.tries)
