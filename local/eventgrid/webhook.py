"""The requests that Event Grid sends to a subscriber: the two validation handshakes and the deliveries.

Sources: the pages "Webhook event delivery" and "Endpoint validation with CloudEvents schema" of the Event Grid
documentation, and the CloudEvents specification "HTTP 1.1 Web Hooks for Event Delivery".
"""

from __future__ import annotations

import io
import json
import os
import uuid
from typing import TYPE_CHECKING

import aiohttp

from local.eventgrid.errors import HandshakeError
from local.eventgrid.retries import Outcome, outcome_of_status
from local.eventgrid.schemas import EventSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.eventgrid.schemas import AcceptedEvent
    from local.eventgrid.subscriptions import SubscriptionSettings

ORIGIN = "eventgrid.azure.net"
_EXCERPT_BYTES = 300


class Webhook:
    """Sends to subscribers.

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
        """Post events to the subscriber and tell how it went.

        Parameters
        ----------
        settings
            The subscription.
        events
            One event, or more where the subscription asks for batches.
        attempts
            Attempts made before this one, sent as ``aeg-delivery-count``.
        """
        headers = self._headers(settings, "Notification", events[0], attempts)
        forms = [event.in_schema(settings.event_delivery_schema) for event in events]
        body: object = forms
        if settings.event_delivery_schema is EventSchema.CLOUD_EVENTS:
            batched = settings.max_events_per_batch > 1
            body = forms if batched else forms[0]
            kind = "cloudevents-batch" if batched else "cloudevents"
            headers["Content-Type"] = f"application/{kind}+json; charset=utf-8"
        return await self._post(settings.endpoint, json.dumps(body).encode(), headers)

    async def handshake(
        self, settings: SubscriptionSettings, topic_id: str, time: str, validation_code: str, validation_url: str
    ) -> bool:
        """Ask the endpoint whether it wants the events.

        Returns
        -------
        bool
            True if it agreed; False if it answered well but left the agreement to somebody who opens the
            validation URL.

        Raises
        ------
        HandshakeError
            If it refused or could not be reached.
        """
        try:
            if settings.event_delivery_schema is EventSchema.CLOUD_EVENTS:
                return await self._ask_permission(settings, validation_url)
            event: dict[str, object] = {
                "id": str(uuid.uuid4()),
                "topic": topic_id,
                "subject": "",
                "data": {"validationCode": validation_code, "validationUrl": validation_url},
                "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                "eventTime": time,
                "metadataVersion": "1",
                "dataVersion": "1",
            }
            return await self._send_code(settings, event, validation_code)
        except TimeoutError as error:
            raise _failed(settings, f"no answer within {self._timeout.total:g} seconds", transient=True) from error
        except aiohttp.ClientError as error:
            raise _failed(settings, _reason(error), transient=True) from error

    async def _ask_permission(self, settings: SubscriptionSettings, callback: str) -> bool:
        headers = {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Callback": callback}
        async with self._session.options(
            settings.endpoint, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as response:
            _check_status(settings, "OPTIONS", response.status)
            allowed = response.headers.get("WebHook-Allowed-Origin")
        if allowed is not None and allowed not in ("*", ORIGIN):
            raise _failed(settings, f"WebHook-Allowed-Origin names '{allowed}', not '{ORIGIN}'")
        return allowed is not None

    async def _send_code(self, settings: SubscriptionSettings, event: dict[str, object], code: str) -> bool:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "aeg-event-type": "SubscriptionValidation",
            "aeg-subscription-name": settings.name.upper(),
            "aeg-delivery-count": "0",
            "aeg-data-version": "1",
            "aeg-metadata-version": "1",
        }
        async with self._session.post(
            settings.endpoint,
            data=json.dumps([event]).encode(),
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            _check_status(settings, "POST", response.status)
            answer = await response.read()
        try:
            parsed = json.loads(answer)
        except ValueError:
            return False
        returned = parsed.get("validationResponse") if isinstance(parsed, dict) else None
        if returned is not None and returned != code:
            raise _failed(settings, "the answer's validationResponse is not the validation code")
        return returned is not None

    async def _post(self, endpoint: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            async with self._session.post(
                endpoint, data=io.BytesIO(body), headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                excerpt = b"" if response.status < 300 else await response.content.read(_EXCERPT_BYTES)
                return outcome_of_status(response.status, excerpt.decode(errors="replace"))
        except TimeoutError:
            return Outcome("TimedOut", None, f"no answer within {self._timeout.total:g} seconds")
        except aiohttp.ClientConnectorDNSError as error:
            return Outcome("ResolutionError", None, _reason(error))
        except aiohttp.ClientError as error:
            return Outcome("SocketError", None, _reason(error))
        except (OSError, ValueError) as error:
            return Outcome("GenericError", None, type(error).__name__)

    @staticmethod
    def _headers(
        settings: SubscriptionSettings, event_type: str, event: AcceptedEvent, attempts: int
    ) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "aeg-event-type": event_type,
            "aeg-subscription-name": settings.name.upper(),
            "aeg-delivery-count": str(attempts),
        }
        if settings.event_delivery_schema is EventSchema.EVENT_GRID:
            headers["aeg-data-version"] = str(event.body["dataVersion"])
            headers["aeg-metadata-version"] = "1"
        else:
            headers["aeg-metadata-version"] = "1.0"  # documented: the spec version; there is no data version
        return headers


def _reason(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else "the name cannot be resolved"
            return f"no connection to {error.host}:{error.port}: {why}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case _:
            # The text of other errors can hold the URL, whose query is a secret.
            return type(error).__name__


def _check_status(settings: SubscriptionSettings, method: str, status: int) -> None:
    if not 200 <= status <= 204:
        transient = status == 404 or status >= 500
        raise _failed(settings, f"{method} was answered with {status}", transient=transient)


def _failed(settings: SubscriptionSettings, why: str, *, transient: bool = False) -> HandshakeError:
    message = f"Webhook validation handshake failed for {settings.endpoint_base_url}: {why}."
    return HandshakeError(message, transient=transient)
