"""Announces deleted subscriptions to their webhooks, in the background."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.eventgrid.destinations import Destinations
    from local.eventgrid.schemas import JsonObject
    from local.eventgrid.subscriptions import SubscriptionSettings

log = logging.getLogger(__name__)


class Deletions:
    """The announcements under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(
        self, destinations: Destinations, settings: SubscriptionSettings, event: JsonObject, kind: str
    ) -> None:
        """Send the event once; `kind` is its ``aeg-event-type``. A failure is logged."""
        task = asyncio.create_task(_announce(destinations, settings, event, kind))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(destinations: Destinations, settings: SubscriptionSettings, event: JsonObject, kind: str) -> None:
    outcome = await destinations.announce_deletion(settings, event, kind)
    if outcome is not None and not outcome.delivered:
        log.info("%s: the event that it is deleted was not taken: %s", settings.name, outcome.detail)
