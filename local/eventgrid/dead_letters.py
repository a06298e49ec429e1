"""Writes dead letters to blob containers, under the names that the service gives them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from local.eventgrid.errors import DeadLetterWriteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.storage.blob.aio import ContainerClient

    from local.eventgrid.subscriptions import DeadLetterDestination


def blob_name(subscription: str, now: float, identifier: uuid.UUID) -> str:
    """Return ``<SUBSCRIPTION>/YYYY/M/D/H/<guid>.json``; the parts of the date are not padded and in UTC."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"{subscription.upper()}/{moment.year}/{moment.month}/{moment.day}/{moment.hour}/{identifier}.json"


class DeadLetterStore:
    """Keeps one client a container.

    Parameters
    ----------
    new_id
        Makes the blobs' names.
    """

    def __init__(self, new_id: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
        self._clients: dict[tuple[str, str], ContainerClient] = {}
        self._new_id = new_id

    async def write(
        self, destination: DeadLetterDestination, subscription: str, letters: list[dict[str, Any]], now: float
    ) -> str:
        """Write the letters as one blob, a JSON array, and return its name.

        Raises
        ------
        DeadLetterWriteError
            If the container is missing, out of reach, or refuses the write.
        """
        from azure.storage.blob import ContentSettings  # noqa: PLC0415 - only who has dead letters needs it

        name = blob_name(subscription, now, self._new_id())
        try:
            await self._client(destination).upload_blob(
                name,
                json.dumps(letters).encode(),
                content_settings=ContentSettings(content_type="application/json"),
            )
        except (AzureError, ValueError) as error:
            reason = getattr(error, "error_code", None) or type(error).__name__
            raise DeadLetterWriteError(
                f"the dead-letter container '{destination.container}' cannot be written to ({reason}): "
                "create it, or look whether the storage account is up"
            ) from error
        return name

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, destination: DeadLetterDestination) -> ContainerClient:
        from azure.storage.blob.aio import ContainerClient  # noqa: PLC0415 - only who has dead letters needs it

        secret = destination.connection_string.get_secret_value()
        key = (secret, destination.container)
        if key not in self._clients:
            # The emulator has its own schedule for failed writes, so the client fails at once.
            self._clients[key] = ContainerClient.from_connection_string(
                secret, destination.container, retry_total=0, connection_timeout=5, read_timeout=30
            )
        return self._clients[key]
