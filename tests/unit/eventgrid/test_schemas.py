"""What a topic takes, and the forms in which it hands events on."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.eventgrid.dead_letters import blob_name
from local.eventgrid.errors import EventGridError
from local.eventgrid.schemas import (
    AcceptedEvent,
    EventSchema,
    TopicKind,
    dead_letter_form,
    parse_published,
    timestamp,
)

RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/acs"
EVENT = {
    "id": "1",
    "subject": "/recording/call/c",
    "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
    "eventTime": "2024-05-06T07:08:09.1234567Z",
    "data": {"a": 1},
    "dataVersion": "1.0",
}
CLOUD = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}
GRID_TYPE, SINGLE, BATCH = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"


def take(
    posted: object,
    content_type: str = GRID_TYPE,
    schema: EventSchema = EventSchema.EVENT_GRID,
    kind: TopicKind = TopicKind.CUSTOM,
) -> list[AcceptedEvent]:
    body = posted if isinstance(posted, bytes) else json.dumps(posted).encode()
    return parse_published(body, content_type, schema=schema, kind=kind, resource_id=RESOURCE, now=7.0)


def take_cloud(posted: object, content_type: str = BATCH) -> list[AcceptedEvent]:
    return take(posted, content_type, EventSchema.CLOUD_EVENTS)


def test_event_grid_fills_in_topic_and_versions() -> None:
    (event,) = take([{key: value for key, value in EVENT.items() if key != "dataVersion"}])
    assert event.body == {**EVENT, "topic": RESOURCE, "metadataVersion": "1", "dataVersion": ""}
    assert (event.id, event.subject, event.published) == ("1", "/recording/call/c", 7.0)


def test_a_system_topic_keeps_the_topic_that_the_service_names() -> None:
    (event,) = take([{**EVENT, "topic": "/acs"}], kind=TopicKind.SYSTEM)
    assert event.body["topic"] == "/acs"


def test_a_custom_topic_refuses_the_name_of_another() -> None:
    take([{**EVENT, "topic": RESOURCE.upper()}])
    with pytest.raises(EventGridError, match="'topic'"):
        take([{**EVENT, "topic": "/other"}])


@pytest.mark.parametrize("name", ["id", "subject", "eventType", "eventTime", "data"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(EventGridError, match=f"'{name}'") as refused:
        take([{key: value for key, value in EVENT.items() if key != name}])
    assert refused.value.status == 400
    assert refused.value.body()["error"]["details"][0]["code"] == "InputJsonInvalid"  # type: ignore[index] # it is JSON


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_a_missing_cloudevents_attribute_is_named(name: str) -> None:
    with pytest.raises(EventGridError, match=f"'{name}'"):
        take_cloud([{key: value for key, value in CLOUD.items() if key != name}])


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        (b"{", "not JSON"),
        (EVENT, "array"),
        ([], "empty"),
        ([1], "object"),
        ([{**EVENT, "id": 1}], "'id'"),
        ([{**EVENT, "eventTime": "yesterday"}], "'eventTime'"),
        ([{**EVENT, "metadataVersion": "2"}], "'metadataVersion'"),
        ([{**EVENT, "source": "/s"}], "'source'"),
    ],
)
def test_a_malformed_request_is_refused_with_its_reason(posted: object, said: str) -> None:
    with pytest.raises(EventGridError, match=said):
        take(posted)


def test_cloudevents_come_single_or_in_batches() -> None:
    assert take_cloud(CLOUD, SINGLE)[0].body == CLOUD
    assert len(take_cloud([CLOUD, {**CLOUD, "id": "2", "data_base64": "AA=="}], BATCH)) == 2


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({**CLOUD, "specversion": "0.3"}, "specversion"),
        ({**CLOUD, "traceParent": "x"}, "'traceParent'"),
        ({**CLOUD, "time": "now"}, "'time'"),
    ],
)
def test_a_wrong_cloudevents_attribute_is_named(event: dict[str, str], said: str) -> None:
    with pytest.raises(EventGridError, match=said):
        take_cloud([event])


def test_cloudevents_of_another_media_type_are_refused() -> None:
    with pytest.raises(EventGridError, match="application/json") as refused:
        take_cloud([CLOUD], "application/json")
    assert refused.value.status == 415


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
filled = st.text(min_size=1, max_size=30)


@given(identifier=filled, subject=filled, kind=filled, data=json_values, version=st.text(max_size=5))
def test_conversion_to_cloudevents_keeps_everything(
    identifier: str, subject: str, kind: str, data: object, version: str
) -> None:
    (event,) = take(
        [{**EVENT, "id": identifier, "subject": subject, "eventType": kind, "data": data, "dataVersion": version}]
    )
    assert event.in_schema(EventSchema.CLOUD_EVENTS) == {
        "id": identifier,
        "source": RESOURCE,
        "specversion": "1.0",
        "type": kind,
        "dataschema": f"#{version}",
        "subject": subject,
        "time": EVENT["eventTime"],
        "data": data,
    }
    assert event.in_schema(EventSchema.EVENT_GRID) is event.body


def test_dead_letter_facts_are_lower_case_in_cloudevents() -> None:
    facts = {"deadLetterReason": "TimeToLiveExceeded", "deliveryAttempts": 3}
    assert dead_letter_form({"id": "1"}, EventSchema.EVENT_GRID, facts) == {"id": "1", **facts}
    assert dead_letter_form({"id": "1"}, EventSchema.CLOUD_EVENTS, facts) == {
        "id": "1",
        "deadletterreason": "TimeToLiveExceeded",
        "deliveryattempts": 3,
    }


def test_a_dead_letter_is_named_by_subscription_and_hour_without_padding() -> None:
    name = blob_name("my-Subscription", 1565226900.0, uuid.UUID(int=5))  # 2019-08-08T01:15Z
    assert name == "MY-SUBSCRIPTION/2019/8/8/1/00000000-0000-0000-0000-000000000005.json"


def test_times_have_seven_fractional_digits() -> None:
    assert timestamp(1.25) == "1970-01-01T00:00:01.2500000Z"
