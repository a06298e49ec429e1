"""A topic: who may publish to it, in which schema, and who has subscribed."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.eventgrid import sas
from local.eventgrid.errors import EventGridError, UnknownResourceError
from local.eventgrid.faults import Faults
from local.eventgrid.metrics import TOPIC_METRICS, Counters, Metric
from local.eventgrid.schemas import EventSchema, TopicKind, parse_published, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.eventgrid.delivery import Subscription
    from local.eventgrid.schemas import AcceptedEvent

_NAME = re.compile(r"[A-Za-z0-9-]{3,50}")
_RESOURCE_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"


@dataclass(slots=True, eq=False)
class Topic:
    """A topic that takes events and hands them to its subscriptions."""

    name: str
    kind: TopicKind = TopicKind.SYSTEM
    input_schema: EventSchema = EventSchema.EVENT_GRID
    resource_id: str = ""
    key: str = field(default="", repr=False)
    counters: Counters = field(default_factory=lambda: Counters(TOPIC_METRICS), repr=False)
    subscriptions: dict[str, Subscription] = field(default_factory=dict, repr=False)
    faults: Faults = field(default_factory=Faults, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise EventGridError(
                f"The topic name '{self.name}' is invalid: use 3 to 50 letters, digits and hyphens.", code="InvalidName"
            )
        self.key = self.key or base64.b64encode(secrets.token_bytes(32)).decode()
        if not self.resource_id:
            kind = "systemTopics" if self.kind is TopicKind.SYSTEM else "topics"
            self.resource_id = f"{_RESOURCE_GROUP}/providers/Microsoft.EventGrid/{kind}/{self.name}"

    def authorize(self, headers: Mapping[str, str], endpoint: str) -> None:
        """Check the publisher's key or shared access signature.

        Parameters
        ----------
        headers
            ``aeg-sas-key``, ``aeg-sas-token`` or ``Authorization: SharedAccessSignature``.
        endpoint
            The topic's URL, which a signature has to name.

        Raises
        ------
        EventGridError
            401, if there is none of them or it is wrong.
        """
        scheme, _, credentials = headers.get("Authorization", "").partition(" ")
        if (sent := headers.get("aeg-sas-key")) is not None:
            if not hmac.compare_digest(sent.encode(), self.key.encode()):
                raise _unauthorized(f"The header 'aeg-sas-key' is not the key of the topic '{self.name}'.")
        elif (token := headers.get("aeg-sas-token")) is not None:
            sas.check(token, self.key, endpoint, time.time())
        elif scheme.lower() == "sharedaccesssignature":
            sas.check(credentials.strip(), self.key, endpoint, time.time())
        elif scheme:
            raise _unauthorized(
                f"This emulator does not check '{scheme}' in Authorization; send 'SharedAccessSignature' there, or the "
                "topic's key in the header 'aeg-sas-key'."
            )
        else:
            raise _unauthorized(
                "The request has no 'aeg-sas-key' header; send the topic's key there, "
                "or a shared access signature in 'aeg-sas-token'."
            )

    def read(self, body: bytes, content_type: str, now: float) -> list[AcceptedEvent]:
        """Check what was published, and return its events.

        Raises
        ------
        EventGridError
            If any event is invalid.
        """
        return parse_published(
            body, content_type, schema=self.input_schema, kind=self.kind, resource_id=self.resource_id, now=now
        )

    def take(self, events: list[AcceptedEvent], now: float) -> None:
        """Hand events to the subscriptions that match, at the emulated time `now`."""
        self.counters.add(Metric.PUBLISHED, len(events))
        for event in events:
            orders = self.faults.meet_delivery(event, now)
            matched = [subscription.accept(event, orders) for subscription in self.subscriptions.values()]
            if not any(matched):
                self.counters.add(Metric.UNMATCHED)

    def subscription(self, name: str) -> Subscription:
        """Return a subscription; names are compared without case, as Azure does.

        Raises
        ------
        UnknownResourceError
            If the topic has none of that name.
        """
        try:
            return self.subscriptions[name.lower()]
        except KeyError:
            raise UnknownResourceError(f"The topic '{self.name}' has no subscription '{name}'.") from None

    def shown(self, endpoint: str) -> dict[str, Any]:
        """Return the topic as JSON, without its key."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "inputSchema": self.input_schema.value,
            "resourceId": self.resource_id,
            "endpoint": endpoint,
            "subscriptions": [subscription.settings.name for subscription in self.subscriptions.values()],
            "metrics": self.counters.as_dict(),
        }

    def deleted_event(self, subscription: str, identifier: str, now: float) -> dict[str, Any]:
        """Return the event that a subscription is gone, in the Event Grid schema."""
        return {
            "id": identifier,
            "topic": self.resource_id,
            "subject": "",
            "data": {
                "eventSubscriptionId": (
                    f"{self.resource_id}/providers/Microsoft.EventGrid/eventSubscriptions/{subscription}"
                )
            },
            "eventType": "Microsoft.EventGrid.SubscriptionDeletedEvent",
            "eventTime": timestamp(now),
            "metadataVersion": "1",
            "dataVersion": "1",
        }


def _unauthorized(message: str) -> EventGridError:
    return EventGridError(message, status=401, code="Unauthorized")
