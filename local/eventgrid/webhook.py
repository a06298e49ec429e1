"""The requests with which Event Grid delivers events to a webhook.

Sources: the pages "Webhook event delivery" and "Message headers" of the Event Grid documentation, and the CloudEvents
specification "HTTP 1.1 Web Hooks for Event Delivery", which has the sender name itself in ``Origin``.
"""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import aiohttp

from local.eventgrid.retries import Outcome, outcome_of_status
from local.eventgrid.schemas import EventSchema, cloud_event_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.eventgrid.schemas import AcceptedEvent, JsonObject
    from local.eventgrid.subscriptions import SubscriptionSettings

ORIGIN = "eventgrid.azure.net"
_EXCERPT_BYTES = 300


class Webhook:
    """Sends to webhooks.

    Parameters
    ----------
    session
        The client session, shared by all subscriptions.
    timeout
        Real seconds to wait for an answer.
    """

    def __init__(self, session: aiohttp.ClientSession, timeout: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def deliver(self, settings: SubscriptionSettings, events: Sequence[AcceptedEvent], attempts: int) -> Outcome:
        """Post events to the webhook and return how it went.

        Parameters
        ----------
        settings
            The subscription.
        events
            One event, or more where the subscription asks for batches.
        attempts
            Attempts made before this one, sent as ``aeg-delivery-count``.
        """
        first = events[0]
        forms = [event.in_schema(settings.event_delivery_schema) for event in events]
        if settings.event_delivery_schema is EventSchema.CLOUD_EVENTS:
            batched = settings.max_events_per_batch > 1
            headers = _cloud_event_headers(settings, "Notification", first.id, attempts, batched=batched)
            return await self._post(settings.endpoint, forms if batched else forms[0], headers)
        headers = event_grid_headers(
            settings, "Notification", first.id, attempts, data_version=str(first.body["dataVersion"])
        )
        return await self._post(settings.endpoint, forms, headers)

    async def announce_deletion(self, settings: SubscriptionSettings, event: JsonObject, kind: str) -> Outcome:
        """Post the event of a deleted subscription, once.

        Parameters
        ----------
        settings
            The subscription that is gone.
        event
            The event, in the Event Grid schema.
        kind
            What to send as ``aeg-event-type``.
        """
        if settings.event_delivery_schema is EventSchema.CLOUD_EVENTS:
            headers = _cloud_event_headers(settings, kind, event["id"], 0, batched=False)
            return await self._post(settings.endpoint, cloud_event_from(event), headers)
        return await self._post(settings.endpoint, [event], event_grid_headers(settings, kind, event["id"]))

    async def _post(self, endpoint: str, body: object, headers: dict[str, str]) -> Outcome:
        data = io.BytesIO(json.dumps(body).encode())
        try:
            async with self._session.post(
                endpoint, data=data, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                excerpt = b"" if response.status < 300 else await response.content.read(_EXCERPT_BYTES)
                return outcome_of_status(response.status, excerpt.decode(errors="replace"))
        except TimeoutError:
            return Outcome("TimedOut", None, f"no answer within {self._timeout.total:g} seconds")
        except aiohttp.ClientConnectorDNSError as error:
            return Outcome("ResolutionError", None, reason(error))
        except aiohttp.ClientError as error:
            return Outcome("SocketError", None, reason(error))
        except (OSError, ValueError) as error:
            return Outcome("GenericError", None, type(error).__name__)


def event_grid_headers(
    settings: SubscriptionSettings, kind: str, event_id: str, attempts: int = 0, *, data_version: str = "1"
) -> dict[str, str]:
    """Return the headers of a request in the Event Grid schema."""
    return {
        "Content-Type": "application/json; charset=utf-8",
        **_common_headers(settings, kind, event_id, attempts),
        "aeg-data-version": data_version,
        "aeg-metadata-version": "1",
    }


def reason(error: aiohttp.ClientError) -> str:
    """Say why a request got no answer, without the URL, whose query is a secret."""
    match error:
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else "the name cannot be resolved"
            return f"no connection to {error.host}:{error.port}: {why}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case _:
            return type(error).__name__


def _cloud_event_headers(
    settings: SubscriptionSettings, kind: str, event_id: str, attempts: int, *, batched: bool
) -> dict[str, str]:
    form = "cloudevents-batch" if batched else "cloudevents"
    return {
        "Content-Type": f"application/{form}+json; charset=utf-8",
        "Origin": ORIGIN,
        **_common_headers(settings, kind, event_id, attempts),
        "aeg-metadata-version": "1.0",  # documented: the spec version; there is no data version
    }


def _common_headers(settings: SubscriptionSettings, kind: str, event_id: str, attempts: int) -> dict[str, str]:
    return {
        "aeg-event-type": kind,
        "aeg-subscription-name": settings.name.upper(),
        "aeg-delivery-count": str(attempts),
        "aeg-output-event-id": event_id,
    }
