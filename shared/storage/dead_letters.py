"""Events that Event Grid could not deliver: it writes them to a container, from which they are replayed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceNotFoundError

from shared.core import limits, log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from azure.storage.blob.aio import ContainerClient

REPLAYED = "replayed/"
"""Where a dead letter is moved after it was replayed; nothing is deleted."""


class DeadLetters:
    """Reads the dead-letter container: blobs of one or more events, in either schema."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def waiting(self) -> AsyncIterator[str]:
        """Yield the names of the blobs that were not replayed yet."""
        try:
            async for blob in self._container.list_blobs():
                if not blob.name.startswith(REPLAYED):
                    yield blob.name
        except ResourceNotFoundError:
            return

    async def read(self, name: str) -> list[dict[str, Any]] | None:
        """Return the events of a blob; None when it holds none that can be read."""
        content = await self._content(name)
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return None
        events = document if isinstance(document, list) else [document]
        return events if all(isinstance(event, dict) for event in events) else None

    async def done(self, name: str) -> None:
        """Move a blob to `replayed/`."""
        content = await self._content(name)
        await self._container.upload_blob(f"{REPLAYED}{name}", content, overwrite=True)
        try:
            await self._container.delete_blob(name)
        except ResourceNotFoundError:
            log.info("dead_letter.moved_by_another", blob=name)

    async def _content(self, name: str) -> bytes:
        stream = await self._container.download_blob(name, offset=0, length=limits.LARGEST_DEAD_LETTER)
        return bytes(await stream.readall())


def event_type(event: Mapping[str, Any]) -> str:
    """Return an event's type in lower case, in either schema; empty where it has none."""
    kind = event.get("eventType") or event.get("type")
    return kind.lower() if isinstance(kind, str) else ""
