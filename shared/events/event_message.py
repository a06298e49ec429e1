"""The message of queue `recording-events`: an event as it was received, to be taken in.

Messages outlive deployments, so fields are only added and have defaults.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ValidationError

from shared.core.errors import InvalidEvent
from shared.core.models import ReceivedModel, UtcDatetime, faults_of
from shared.core.times import iso_time


class EventMessage(ReceivedModel):
    """An event to take in.

    Attributes
    ----------
    received_at
        When it was received.
    event
        The event's JSON object, in its own schema; None where `blob` has it.
    blob
        Name of the blob, in container `operations`, that has an event too large for a message.
    cut
        Why only the head of the event was kept; None where it is whole.
    tries
        How often it could not be taken in, because of our own storage.
    traceparent
        The trace that its delivery belongs to, as W3C Trace Context writes it.
    """

    schema_version: Literal[1] = 1
    received_at: UtcDatetime
    event: dict[str, Any] | None = None
    blob: str | None = None
    cut: str | None = None
    tries: int = 0
    traceparent: str | None = None

    def to_json(self) -> str:
        """Return the message's body."""
        # Not pydantic's own JSON: an event can hold half a surrogate pair, which only escapes can write.
        members = self.model_dump(by_alias=True, exclude_none=True)
        return json.dumps(members | {"receivedAt": iso_time(self.received_at)})

    @classmethod
    def from_json(cls, body: str | bytes) -> EventMessage:
        """Read a message's body; raises `InvalidEvent` where it is no such message."""
        try:
            message = cls.model_validate(json.loads(body))
        except ValidationError as error:
            raise InvalidEvent(f"the queue message holds no event: {faults_of(error)}") from None
        except (ValueError, RecursionError):
            raise InvalidEvent("the queue message holds no event: the body is not JSON") from None
        if message.event is None and message.blob is None:
            raise InvalidEvent("the queue message holds no event: neither event nor blob is there")
        return message
