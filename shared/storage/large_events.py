"""Events that are too large for a queue message, in container `operations` until they are taken in."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.storage.blobs import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.storage.blob.aio import ContainerClient

OPERATIONS = "operations"
"""The container for what the app keeps for its own work, outside any immutability."""


class LargeEvents:
    """Keeps large events.

    Parameters
    ----------
    container
        Container `operations`.
    """

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def put(self, event: Mapping[str, Any]) -> str:
        """Keep an event, and return the blob's name: the same for an event that is delivered again."""
        content = json.dumps(event).encode()
        name = f"events/{hashlib.sha256(content).hexdigest()}.json"
        try:
            await self._container.upload_blob(name, content, content_settings=JSON)
        except ResourceExistsError:
            return name
        return name

    async def get(self, name: str) -> dict[str, Any] | None:
        """Return an event; None where it is not kept any more: it was taken in."""
        try:
            stream = await self._container.download_blob(name)
            event: dict[str, Any] = json.loads(await stream.readall())
        except ResourceNotFoundError:
            return None
        return event

    async def drop(self, name: str) -> None:
        """Delete an event that was taken in."""
        try:
            await self._container.delete_blob(name)
        except ResourceNotFoundError:
            return
