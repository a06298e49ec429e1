"""The documents that the service stores for each chunk: media and metadata under one id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from local.acs.bodies import Body
    from local.acs.chunks import ChunkPlan

#: Last part of a metadata file's address.
METADATA_NAME = "acsmetadata"


@dataclass(slots=True)
class Chunk:
    """A stored file with its metadata, and what the control routes report about it."""

    plan: ChunkPlan
    document_id: str
    content: Body
    content_sha256: str
    metadata: bytes
    metadata_sha256: str
    participants: list[tuple[str, int | None]]
    channels: int
    available: int
    expires: int
    name: str
    deleted: bool = False

    @property
    def end_reason(self) -> str:
        """Why the chunk ended where it did."""
        return "SessionEnded" if self.plan.last else "ChunkMaximumSizeExceeded"

    def locations(self, base_url: str) -> dict[str, str]:
        """Return the three addresses of the stored object."""
        root = f"{base_url}/v1/objects/{self.document_id}"
        return {
            "contentLocation": f"{root}/content/{self.name}",
            "metadataLocation": f"{root}/content/{METADATA_NAME}",
            "deleteLocation": root,
        }

    def as_json(self, base_url: str, now: int) -> dict[str, Any]:
        """Return the document as the control routes show it."""
        return {
            "documentId": self.document_id,
            "index": self.plan.index,
            "startTime": stamp(self.plan.begin),
            "durationMs": self.plan.media_length,
            "endReason": self.end_reason,
            "contentLength": self.content.length,
            "sha256": self.content_sha256,
            "metadataSha256": self.metadata_sha256,
            "participants": [
                {"participantId": raw_id} if channel is None else {"participantId": raw_id, "channel": channel}
                for raw_id, channel in self.participants
            ],
            **self.locations(base_url),
            "availableTime": stamp(self.available),
            "expiryTime": stamp(self.expires),
            "expired": now >= self.expires,
            "deleted": self.deleted,
        }
