"""A topic: who may publish to it, in which schema, and who has subscribed."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.eventgrid.errors import EventGridError, UnknownResourceError
from local.eventgrid.faults import Faults
from local.eventgrid.metrics import TOPIC_METRICS, Counters, Metric
from local.eventgrid.schemas import EventSchema, TopicKind, parse_published

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

    def authorize(self, headers: Mapping[str, str]) -> None:
        """Check the publisher's key.

        Raises
        ------
        EventGridError
            401, if the header ``aeg-sas-key`` is missing or wrong.
        """
        sent = headers.get("aeg-sas-key")
        if sent is None:
            other = "aeg-sas-token" if "aeg-sas-token" in headers else "Authorization"
            raise EventGridError(
                f"This emulator does not check '{other}'; send the topic's key in the header 'aeg-sas-key'."
                if other in headers
                else "The request has no 'aeg-sas-key' header; send the topic's key there.",
                status=401,
                code="Unauthorized",
            )
        if not hmac.compare_digest(sent.encode(), self.key.encode()):
            raise EventGridError(
                f"The header 'aeg-sas-key' is not the key of the topic '{self.name}'.",
                status=401,
                code="Unauthorized",
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

    def take(self, events: list[AcceptedEvent]) -> None:
        """Hand events to the subscriptions that match."""
        self.counters.add(Metric.PUBLISHED, len(events))
        for event in events:
            matched = [subscription.accept(event) for subscription in self.subscriptions.values()]
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
