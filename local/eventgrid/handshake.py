"""The handshake with which a webhook shows that it wants a subscription's events.

Sources: the pages "Endpoint validation with Event Grid event schema" and "Endpoint validation with CloudEvents schema"
of the Event Grid documentation, and the CloudEvents specification "HTTP 1.1 Web Hooks for Event Delivery".
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING

import aiohttp

from local.eventgrid.errors import HandshakeError
from local.eventgrid.schemas import EventSchema
from local.eventgrid.webhook import ORIGIN, event_grid_headers, reason

if TYPE_CHECKING:
    from local.eventgrid.options import EventGridOptions
    from local.eventgrid.subscriptions import SubscriptionSettings

_PAUSE = 0.2  # real seconds between two tries while a host is starting


class Handshake:
    """Asks webhooks whether they want events.

    Parameters
    ----------
    session
        The client session, shared with the deliveries.
    options
        See `EventGridOptions`.
    """

    def __init__(self, session: aiohttp.ClientSession, options: EventGridOptions) -> None:
        self._session = session
        self._options = options
        self._timeout = aiohttp.ClientTimeout(total=options.delivery_timeout)

    async def complete(
        self, settings: SubscriptionSettings, topic_id: str, time: str, validation_url: str, wait_seconds: float = 0.0
    ) -> bool:
        """Ask the endpoint; a request that timed out is made again.

        Parameters
        ----------
        settings
            The subscription.
        topic_id
            The Azure id of its topic.
        time
            The emulated time, as an event has it.
        validation_url
            What somebody can open to agree in the endpoint's place.
        wait_seconds
            Real seconds for which an endpoint that is not there yet is asked again.

        Returns
        -------
        bool
            True if the endpoint agreed; False if it answered 200 and left the agreement to whoever opens the
            validation URL.

        Raises
        ------
        HandshakeError
            If it refused, answered with another status than 200, or could not be reached.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        timeouts = 0
        while True:
            try:
                return await self._ask(settings, topic_id, time, validation_url)
            except HandshakeError as error:
                timeouts += error.timed_out
                again = error.timed_out and timeouts < self._options.handshake_attempts
                if not again and not (error.transient and loop.time() < deadline):
                    raise
                pause = self._options.handshake_retry if error.timed_out else _PAUSE
            await asyncio.sleep(pause)

    async def _ask(self, settings: SubscriptionSettings, topic_id: str, time: str, validation_url: str) -> bool:
        try:
            if settings.event_delivery_schema is EventSchema.CLOUD_EVENTS:
                return await self._ask_permission(settings, validation_url)
            code = str(uuid.uuid4()).upper()
            event: dict[str, object] = {
                "id": str(uuid.uuid4()),
                "topic": topic_id,
                "subject": "",
                "data": {"validationCode": code, "validationUrl": validation_url},
                "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                "eventTime": time,
                "metadataVersion": "1",
                "dataVersion": "1",
            }
            return await self._send_code(settings, event, code)
        except TimeoutError as error:
            seconds = f"{self._options.delivery_timeout:g}"
            raise _failed(settings, f"no answer within {seconds} seconds", transient=True, timed_out=True) from error
        except aiohttp.ClientError as error:
            raise _failed(settings, reason(error), transient=True) from error

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
        async with self._session.post(
            settings.endpoint,
            data=json.dumps([event]).encode(),
            headers=event_grid_headers(settings, "SubscriptionValidation", str(event["id"])),
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            _check_status(settings, "POST", response.status)
            answer = await response.read()
        try:
            parsed = json.loads(answer)
        except ValueError:
            return False
        if not isinstance(parsed, dict):
            return False
        # Microsoft's own samples answer with either case.
        returned = parsed.get("validationResponse", parsed.get("ValidationResponse"))
        if returned is not None and returned != code:
            raise _failed(settings, "the answer's validationResponse is not the validation code")
        return returned is not None


def _check_status(settings: SubscriptionSettings, method: str, status: int) -> None:
    if status != 200:
        transient = status == 404 or status >= 500
        raise _failed(settings, f"{method} was answered with {status}, and only 200 is success", transient=transient)


def _failed(
    settings: SubscriptionSettings, why: str, *, transient: bool = False, timed_out: bool = False
) -> HandshakeError:
    message = f"Webhook validation handshake failed for {settings.endpoint_base_url}: {why}."
    return HandshakeError(message, transient=transient, timed_out=timed_out)
