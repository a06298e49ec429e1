"""The two event schemas: what a publisher must send, and what a subscriber or a dead-letter blob gets.

Sources: the pages "Event Grid event schema", "CloudEvents v1.0 schema" and "Delivery and retry" of the Event Grid
documentation, and the CloudEvents 1.0 JSON format.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from local.eventgrid.errors import EventGridError

type JsonObject = dict[str, Any]

_REQUIRED_EVENT_GRID = ("id", "subject", "eventType", "eventTime", "data")
_KNOWN_EVENT_GRID = frozenset({*_REQUIRED_EVENT_GRID, "topic", "dataVersion", "metadataVersion"})
_REQUIRED_CLOUD_EVENT = ("id", "source", "type", "specversion")
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")
_SINGLE = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"


class EventSchema(StrEnum):
    """The schema in which events are published or delivered."""

    EVENT_GRID = "EventGridSchema"
    CLOUD_EVENTS = "CloudEventSchemaV1_0"


class TopicKind(StrEnum):
    """Who publishes: an Azure service, which names itself as the topic, or the customer's own program."""

    SYSTEM = "system"
    CUSTOM = "custom"


@dataclass(slots=True, frozen=True)
class AcceptedEvent:
    """An event that a topic has taken in.

    Parameters
    ----------
    schema
        The schema it was published in.
    body
        The event as JSON, with what Event Grid fills in.
    published
        Emulated seconds since the epoch at which it was accepted.
    size
        Bytes of its JSON.
    """

    schema: EventSchema
    body: JsonObject
    published: float
    size: int

    @property
    def id(self) -> str:
        """The publisher's id of the event."""
        return str(self.body["id"])

    @property
    def type(self) -> str:
        """The event type, such as ``Microsoft.Communication.RecordingFileStatusUpdated``."""
        return str(self.body["eventType" if self.schema is EventSchema.EVENT_GRID else "type"])

    @property
    def subject(self) -> str:
        """The subject; empty if the event has none."""
        return str(self.body.get("subject") or "")

    def in_schema(self, schema: EventSchema) -> JsonObject:
        """Return the event as a subscription with that delivery schema gets it."""
        if schema is self.schema:
            return self.body
        return cloud_event_from(self.body)


def cloud_event_from(event: JsonObject) -> JsonObject:
    """Turn an event of the Event Grid schema into CloudEvents 1.0, as the service does.

    ``source`` is the topic, ``dataschema`` is ``#`` followed by the data version. There is no way back: Event Grid
    does not deliver CloudEvents in its own schema.
    """
    return {
        "id": event["id"],
        "source": event["topic"],
        "specversion": "1.0",
        "type": event["eventType"],
        "dataschema": f"#{event.get('dataVersion', '')}",
        "subject": event["subject"],
        "time": event["eventTime"],
        "data": event["data"],
    }


def parse_published(
    body: bytes, content_type: str, *, schema: EventSchema, kind: TopicKind, resource_id: str, now: float
) -> list[AcceptedEvent]:
    """Read and check what was posted to a topic.

    Parameters
    ----------
    body
        The request's body.
    content_type
        Its media type, without parameters.
    schema
        The topic's input schema.
    kind
        System topics take the ``topic`` that the Azure service gives itself; custom topics only their own id.
    resource_id
        The topic's id, filled in where an event has none.
    now
        Emulated seconds since the epoch.

    Raises
    ------
    EventGridError
        If the body is not valid in this schema; the message names the field.
    """
    try:
        posted = json.loads(body)
    except ValueError as error:
        raise _invalid(f"The request's body is not JSON: {error}.") from error
    if schema is EventSchema.EVENT_GRID:
        events = [_event_grid_event(item, kind, resource_id) for item in _items(posted)]
    else:
        events = [_cloud_event(item) for item in _cloud_event_items(posted, content_type)]
    return [AcceptedEvent(schema, event, now, len(json.dumps(event))) for event in events]


def dead_letter_form(event: JsonObject, schema: EventSchema, facts: JsonObject) -> JsonObject:
    """Return the event with the facts about its failed delivery, as it lies in a dead-letter blob.

    The names of the facts are camelCase in the Event Grid schema; CloudEvents attributes have to be lower case.
    """
    if schema is EventSchema.CLOUD_EVENTS:
        facts = {name.lower(): value for name, value in facts.items()}
    return {**event, **facts}


def timestamp(seconds: float) -> str:
    """Write seconds since the epoch as the service does: UTC with seven fractional digits."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _items(posted: object) -> list[object]:
    if not isinstance(posted, list):
        raise _invalid("The request's body has to be a JSON array of events.")
    if not posted:
        raise _invalid("The array of events is empty.")
    return posted


def _cloud_event_items(posted: object, content_type: str) -> list[object]:
    match content_type:
        case "application/cloudevents+json":
            return [posted]
        case "application/cloudevents-batch+json":
            return _items(posted)
    raise EventGridError(
        f"This topic takes CloudEvents as '{_SINGLE}' or '{_BATCH}', not as '{content_type}'.",
        status=415,
        code="UnsupportedMediaType",
    )


def _event_grid_event(item: object, kind: TopicKind, resource_id: str) -> JsonObject:
    event = _object(item)
    if unexpected := next((name for name in event if name not in _KNOWN_EVENT_GRID), None):
        raise _invalid(
            f"This topic is configured for the schema 'EventGridSchema', which has no property '{unexpected}'."
        )
    _require(event, _REQUIRED_EVENT_GRID, "EventGridSchema", may_be_null="data")
    _check_time(event["eventTime"], "eventTime")
    if event.get("metadataVersion") not in (None, "1"):
        raise _invalid("The property 'metadataVersion' is set by Event Grid; leave it out or send '1'.")
    topic = event.get("topic")
    if topic and kind is TopicKind.CUSTOM and str(topic).lower() != resource_id.lower():
        raise _invalid(f"The property 'topic' is set by Event Grid; leave it out or send '{resource_id}'.")
    return {
        **event,
        "topic": topic or resource_id,
        "dataVersion": event.get("dataVersion") or "",
        "metadataVersion": "1",
    }


def _cloud_event(item: object) -> JsonObject:
    event = _object(item)
    _require(event, _REQUIRED_CLOUD_EVENT, "CloudEventSchemaV1_0")
    if event["specversion"] != "1.0":
        raise _invalid(f"The property 'specversion' has to be '1.0', not '{event['specversion']}'.")
    for name in event:
        if not _ATTRIBUTE_NAME.fullmatch(name) and name != "data_base64":
            raise _invalid(f"The property '{name}' is no CloudEvents attribute: only a-z and 0-9 are allowed.")
    if event.get("time") is not None:
        _check_time(event["time"], "time")
    return event


def _object(item: object) -> JsonObject:
    if not isinstance(item, dict):
        raise _invalid("Each event has to be a JSON object.")
    return item


def _require(event: JsonObject, names: tuple[str, ...], schema: str, may_be_null: str = "") -> None:
    for name in names:
        if name not in event or (name != may_be_null and event[name] in (None, "")):
            raise _invalid(f"The property '{name}' is missing or empty; the schema '{schema}' requires it.")
        if name != may_be_null and not isinstance(event[name], str):
            raise _invalid(f"The property '{name}' has to be a string.")


def _check_time(value: object, name: str) -> None:
    try:
        datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _invalid(f"The property '{name}' is no ISO 8601 time: '{value}'.") from error


def _invalid(message: str) -> EventGridError:
    return EventGridError(message, detail_code="InputJsonInvalid")
