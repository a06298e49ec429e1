"""Where a subscription delivers: a webhook or a storage queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.eventgrid.handshake import Handshake
from local.eventgrid.retries import EndpointType
from local.eventgrid.storage_queue import StorageQueues
from local.eventgrid.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

    from local.eventgrid.options import EventGridOptions
    from local.eventgrid.retries import Outcome
    from local.eventgrid.schemas import AcceptedEvent, JsonObject
    from local.eventgrid.subscriptions import SubscriptionSettings


class Destinations:
    """Delivers to what a subscription names.

    Parameters
    ----------
    session
        The client session of the webhooks.
    options
        See `EventGridOptions`.
    """

    def __init__(self, session: aiohttp.ClientSession, options: EventGridOptions) -> None:
        self._handshake = Handshake(session, options)
        self._webhook = Webhook(session, options.delivery_timeout)
        self._queues = StorageQueues(options.delivery_timeout)

    async def prepare(
        self, settings: SubscriptionSettings, topic_id: str, time: str, validation_url: str, wait_seconds: float
    ) -> bool:
        """Check the destination of a subscription that is created or updated; see `Handshake.complete`."""
        if settings.endpoint_type is EndpointType.STORAGE_QUEUE:
            await self._queues.check(settings)
            return True
        return await self._handshake.complete(settings, topic_id, time, validation_url, wait_seconds)

    async def deliver(self, settings: SubscriptionSettings, events: Sequence[AcceptedEvent], attempts: int) -> Outcome:
        """Deliver events and return how it went; `attempts` were made before this one."""
        if settings.endpoint_type is EndpointType.STORAGE_QUEUE:
            return await self._queues.deliver(settings, events[0])
        return await self._webhook.deliver(settings, events, attempts)

    async def announce_deletion(self, settings: SubscriptionSettings, event: JsonObject, kind: str) -> Outcome | None:
        """Send the event of a deleted subscription to its webhook; None where there is none."""
        if settings.endpoint_type is EndpointType.STORAGE_QUEUE:
            return None
        return await self._webhook.announce_deletion(settings, event, kind)

    async def close(self) -> None:
        """Close the clients of the queues."""
        await self._queues.close()
