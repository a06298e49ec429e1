"""The queue's message: everything that a worker needs to archive one chunk.

Messages outlive deployments, so fields are only added and have defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from shared.core.errors import InvalidEvent
from shared.core.models import ReceivedModel, UtcDatetime, faults_of
from shared.events.recording_files import Chunk


class ChunkMessage(ReceivedModel):
    """One chunk to archive.

    Attributes
    ----------
    prefix
        The recording's prefix in the container.
    format
        The announced media format; None where the event did not say.
    expires_at
        When the service deletes the files.
    tries
        Failed tries so far.
    due_at
        When it became, or becomes, visible in the queue.
    traceparent
        The announcement's trace (W3C Trace Context).
    """

    schema_version: Literal[1] = 1
    prefix: Annotated[str, Field(pattern=r"^\d{4}/\d{2}/\d{2}/[A-Za-z0-9_.~-]{1,500}$")]
    recording_id: str | None = None
    call_id: str | None = None
    chunk: Chunk
    format: str | None = None
    expires_at: UtcDatetime
    tries: int = 0
    due_at: UtcDatetime | None = None
    traceparent: str | None = None

    def to_json(self) -> str:
        """Return the message's body."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, body: str | bytes) -> ChunkMessage:
        """Read a message's body; raises `InvalidEvent` where it is no such message."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise InvalidEvent(f"the queue message is not a chunk to archive: {faults_of(error)}") from None
