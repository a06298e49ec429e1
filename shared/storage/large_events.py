"""Events that are too large for a queue message, in container `operations` until they are taken in."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.blobs import Blobs

OPERATIONS = "operations"
"""The container for what the app keeps for its own work, outside any immutability."""


class LargeEvents:
    """Keeps large events; `blobs` are those of container `operations`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def put(self, event: Mapping[str, Any]) -> str:
        """Keep an event, and return the blob's name: the same for an event that is delivered again."""
        content = json.dumps(event).encode()
        name = f"events/{hashlib.sha256(content).hexdigest()}.json"
        await self._blobs.put_once(name, content)
        return name

    async def get(self, name: str) -> dict[str, Any] | None:
        """Return an event; None where it is not kept any more: it was taken in."""
        content = await self._blobs.read(name)
        event: dict[str, Any] | None = None if content is None else json.loads(content)
        return event

    async def drop(self, name: str) -> None:
        """Delete an event that was taken in."""
        await self._blobs.delete(name)
