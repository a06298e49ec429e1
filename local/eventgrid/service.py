"""What Event Grid does, without HTTP: topics and their publishers, subscriptions, what is pending."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from local.eventgrid.clock import EmulatedClock
from local.eventgrid.deletions import Deletions
from local.eventgrid.delivery import DeliveryParts, Subscription
from local.eventgrid.errors import EventGridError, UnknownResourceError
from local.eventgrid.metrics import Metric
from local.eventgrid.options import EventGridOptions
from local.eventgrid.schemas import EventSchema, TopicKind, timestamp
from local.eventgrid.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.eventgrid.clock import Clock
    from local.eventgrid.faults import FaultOrder
    from local.eventgrid.subscriptions import SubscriptionSettings


class EventGridService:
    """Event Grid's topics and subscriptions.

    Parameters
    ----------
    options
        See `EventGridOptions`.
    clock
        Emulated time for retries, time to live and dead letters; may be shared with other emulators.
    randomness
        Source of jitter and shuffling, replaceable for repeatable tests.
    """

    def __init__(
        self,
        options: EventGridOptions | None = None,
        *,
        clock: Clock | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self.options = options or EventGridOptions()
        self.clock: Clock = clock or EmulatedClock()
        self.endpoint = ""
        self._randomness = randomness or random.Random()  # noqa: S311 - jitter is no secret
        self._topics: dict[str, Topic] = {}
        self._validations: dict[str, tuple[str, Subscription]] = {}
        self._deletions = Deletions()
        self._settled = asyncio.Event()
        self._parts: DeliveryParts | None = None

    # -- topics --------------------------------------------------------------------------------------------------

    async def create_topic(
        self,
        name: str,
        *,
        kind: TopicKind = TopicKind.SYSTEM,
        input_schema: EventSchema = EventSchema.EVENT_GRID,
        resource_id: str = "",
        key: str = "",
    ) -> Topic:
        """Create a topic; the same one again gives the topic that is there.

        Parameters
        ----------
        name
            3 to 50 letters, digits and hyphens.
        kind
            `SYSTEM` for the events of an Azure service, `CUSTOM` for a program's own.
        input_schema
            The only schema the topic takes.
        resource_id
            The Azure id to stamp on events as ``topic``; made up by default.
        key
            The publishers' key; random by default.

        Raises
        ------
        EventGridError
            If the name is invalid or the topic is there with other settings.
        """
        created = Topic(name, kind, input_schema, resource_id, key)
        existing = self._topics.setdefault(name.lower(), created)
        changed = (existing.kind, existing.input_schema) != (kind, input_schema)
        if changed or (resource_id and existing.resource_id != resource_id):
            raise EventGridError(
                f"The topic '{name}' is there with other settings; delete it first.", status=409, code="Conflict"
            )
        if key:
            existing.key = key
        return existing

    def topic(self, name: str) -> Topic:
        """Return a topic, or raise `UnknownResourceError`."""
        try:
            return self._topics[name.lower()]
        except KeyError:
            raise UnknownResourceError(f"There is no topic '{name}'.") from None

    def topics(self) -> list[Topic]:
        """Return all topics."""
        return list(self._topics.values())

    def topic_key(self, name: str) -> str:
        """Return the key that publishers send as ``aeg-sas-key``."""
        return self.topic(name).key

    def topic_endpoint(self, name: str) -> str:
        """Return the URL to publish to."""
        return f"{self.endpoint}/topics/{self.topic(name).name}/api/events"

    def publish_url(self, name: str, headers: Mapping[str, str]) -> str:
        """Return the URL to publish to under the host name that a request has."""
        host = headers.get("Host") or self.endpoint.partition("://")[2]
        return f"http://{host}/topics/{self.topic(name).name}/api/events"

    async def delete_topic(self, name: str) -> None:
        """Delete a topic with its subscriptions and what they have pending."""
        topic = self.topic(name)
        for subscription in list(topic.subscriptions.values()):
            await self.delete_subscription(name, subscription.settings.name)
        del self._topics[name.lower()]

    # -- subscriptions -------------------------------------------------------------------------------------------

    async def create_subscription(
        self, topic: str, settings: SubscriptionSettings, *, wait_seconds: float = 0.0
    ) -> Subscription:
        """Create a subscription, or update the one of that name, after the handshake with its endpoint.

        Parameters
        ----------
        topic
            The topic's name.
        settings
            What to deliver where.
        wait_seconds
            Real seconds for which a webhook that is not there yet is asked again.

        Raises
        ------
        HandshakeError
            If the webhook refuses or is not there.
        EventGridError
            If the delivery schema does not go with the topic's input schema, or the queue is not there.
        """
        owner = self.topic(topic)
        if owner.input_schema is EventSchema.CLOUD_EVENTS and settings.event_delivery_schema is EventSchema.EVENT_GRID:
            raise EventGridError(
                f"eventDeliverySchema '{settings.event_delivery_schema}' does not go with the input schema "
                f"'{owner.input_schema}' of the topic '{owner.name}'; use 'CloudEventSchemaV1_0'.",
                code="InvalidRequest",
            )
        token = secrets.token_urlsafe(24)
        agreed = await self._started().destinations.prepare(
            settings,
            owner.resource_id,
            timestamp(self.clock.time()),
            f"{self.endpoint}/validate?token={token}",
            wait_seconds,
        )
        subscription = owner.subscriptions.get(settings.name.lower())
        if subscription is None:
            subscription = Subscription(settings, self._started(), owner.counters)
            subscription.start()
            owner.subscriptions[settings.name.lower()] = subscription
        subscription.settings = settings
        self._validations = {code: entry for code, entry in self._validations.items() if entry[1] is not subscription}
        if agreed:
            subscription.validated()
        else:
            subscription.await_manual_validation(self.options.manual_validation_seconds)
            self._validations[token] = (owner.name, subscription)
        return subscription

    def subscription(self, topic: str, name: str) -> Subscription:
        """Return a subscription, or raise `UnknownResourceError`."""
        return self.topic(topic).subscription(name)

    async def delete_subscription(self, topic: str, name: str) -> None:
        """Delete a subscription and what it has pending; its webhook hears of it in the background."""
        owner = self.topic(topic)
        subscription = owner.subscription(name)
        del owner.subscriptions[name.lower()]
        await subscription.stop()
        self._on_settled()
        kind = self.options.subscription_deleted_event
        if kind and subscription.provisioning_state == "Succeeded":
            event = owner.deleted_event(subscription.settings.name, str(uuid.uuid4()), self.clock.time())
            self._deletions.announce(self._started().destinations, subscription.settings, event, kind)

    def validate_manually(self, token: str) -> str:
        """Complete the handshake for whoever opened the validation URL; return the subscription's name.

        Raises
        ------
        EventGridError
            If the URL is unknown or too old.
        """
        _, subscription = self._validations.pop(token, ("", None))
        if subscription is None or subscription.provisioning_state != "AwaitingManualAction":
            raise EventGridError("This validation URL is unknown or has expired; create the subscription again.")
        subscription.validated()
        return subscription.settings.name

    # -- events --------------------------------------------------------------------------------------------------

    def publish(self, topic: str, headers: Mapping[str, str], content_type: str, body: bytes) -> FaultOrder | None:
        """Take a publisher's request and return the ordered fault that it meets, if any.

        Raises
        ------
        EventGridError
            401 for a wrong key, 400 for invalid events, 503 while too much is undelivered.
        """
        owner = self.topic(topic)
        try:
            owner.authorize(headers, self.publish_url(topic, headers))
            self._check_room(len(body))
            now = self.clock.time()
            events = owner.read(body, content_type, now)
        except EventGridError:
            owner.counters.add(Metric.REFUSED)
            raise
        fault = owner.faults.meet(events, now)
        if fault is None or fault.takes_events:
            owner.take(events, now)
        else:
            owner.counters.add(Metric.REFUSED)
        return fault

    def _check_room(self, size: int) -> None:
        held = sum(sub.held_bytes for topic in self._topics.values() for sub in topic.subscriptions.values())
        if held + size > self.options.max_pending_bytes:
            raise EventGridError(
                f"{held} bytes of events wait for delivery, which leaves no room under the option max_pending_bytes.",
                status=503,
                code="ServiceUnavailable",
            )

    def metrics(self, topic: str, subscription: str | None = None) -> dict[str, int]:
        """Return the counters of a topic, or of one subscription, under the names of the service's metrics."""
        owner = self.topic(topic)
        return (owner if subscription is None else owner.subscription(subscription)).counters.as_dict()

    def pending(self, limit: int = 200) -> list[dict[str, Any]]:
        """Return undelivered events with the time of their next attempt, at most `limit`."""
        every = (
            {"topic": topic.name, "subscription": subscription.settings.name, **item}
            for topic in self._topics.values()
            for subscription in topic.subscriptions.values()
            for item in subscription.pending()
        )
        return list(itertools.islice(every, limit))

    @property
    def idle(self) -> bool:
        """Whether every accepted event is delivered, dead-lettered or dropped."""
        return all(sub.idle for topic in self._topics.values() for sub in topic.subscriptions.values())

    async def wait_until_idle(self, timeout: float) -> bool:  # noqa: ASYNC109 - the answer says whether it ran out
        """Wait for up to `timeout` real seconds until nothing is pending; return whether that came true."""
        try:
            async with asyncio.timeout(timeout):
                while not self.idle:
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def _on_settled(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()

    async def stop(self) -> None:
        """Stop delivering and close the clients."""
        await self._deletions.stop()
        for topic in self._topics.values():
            for subscription in topic.subscriptions.values():
                await subscription.stop()
        if self._parts is not None:
            await self._parts.dead_letters.close()
            await self._parts.destinations.close()

    def _started(self) -> DeliveryParts:
        if self._parts is None:
            raise RuntimeError("the Event Grid emulator is used before it was started with 'async with'")
        return self._parts
