"""The events of a recording, kept with it as they were received."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.core import blob_names, log
from shared.storage.blobs import json_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.storage.blobs import Blobs


class KeptEvents:
    """Keeps events and reads them back."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def keep(self, prefix: str, event_id: str, event: Mapping[str, Any]) -> None:
        """Keep an event as received with its recording."""
        await self._blobs.put_once(blob_names.event_blob(prefix, event_id), json_bytes(event))

    async def of(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the events that are kept with a recording; an unreadable one is left out."""
        async for blob in self._blobs.list(f"{prefix}/events/"):
            try:
                event = json.loads(await self._blobs.read(blob.name) or b"")
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                yield event
            else:
                log.warning("event.unread", blob=blob.name)
