"""Delivers to queues of a storage account.

Source: the page "Storage queue as an event handler" of the Event Grid documentation. Each event is a message of its
own, its JSON in base64.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, HttpResponseError

from local.eventgrid.errors import EventGridError
from local.eventgrid.retries import Outcome, outcome_of_status

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient

    from local.eventgrid.schemas import AcceptedEvent
    from local.eventgrid.subscriptions import StorageQueueDestination, SubscriptionSettings


class StorageQueues:
    """Keeps one client a queue.

    Parameters
    ----------
    timeout
        Real seconds to wait for an answer.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._clients: dict[tuple[str, str], QueueClient] = {}

    async def deliver(self, settings: SubscriptionSettings, event: AcceptedEvent) -> Outcome:
        """Put one event into the subscription's queue and return how it went."""
        destination = _destination(settings)
        text = json.dumps(event.in_schema(settings.event_delivery_schema)).encode()
        try:
            await self._client(destination).send_message(
                base64.b64encode(text).decode(), time_to_live=destination.queue_message_time_to_live_in_seconds
            )
        except HttpResponseError as error:
            return outcome_of_status(error.status_code or 500, _code(error))
        except (AzureError, ValueError) as error:
            return Outcome("SocketError", None, f"the storage account does not answer ({_code(error)})")
        return Outcome("Delivered", 201, "HTTP 201")

    async def check(self, settings: SubscriptionSettings) -> None:
        """Look whether the subscription's queue is there.

        Raises
        ------
        EventGridError
            If it is missing or out of reach.
        """
        destination = _destination(settings)
        try:
            await self._client(destination).get_queue_properties()
        except (AzureError, ValueError) as error:
            raise EventGridError(
                f"Destination endpoint not found: the queue '{destination.queue_name}' cannot be reached "
                f"({_code(error)}); create it, or look whether the storage account is up.",
                code="InvalidRequest",
            ) from error

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, destination: StorageQueueDestination) -> QueueClient:
        from azure.storage.queue.aio import QueueClient  # noqa: PLC0415 - only who delivers to queues needs it

        key = (destination.connection_string.get_secret_value(), destination.queue_name)
        if key not in self._clients:
            # Event Grid has its own schedule for what failed, so the client fails at once.
            self._clients[key] = QueueClient.from_connection_string(
                *key, retry_total=0, connection_timeout=5, read_timeout=self._timeout
            )
        return self._clients[key]


def _destination(settings: SubscriptionSettings) -> StorageQueueDestination:
    if settings.storage_queue is None:
        raise ValueError(f"the subscription {settings.name} does not deliver to a queue")
    return settings.storage_queue


def _code(error: Exception) -> str:
    return str(getattr(error, "error_code", None) or type(error).__name__)
