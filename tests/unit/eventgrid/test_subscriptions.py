"""Settings and filters of a subscription."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from local.eventgrid.schemas import AcceptedEvent, EventSchema
from local.eventgrid.subscriptions import DeadLetterDestination, EventFilter, SubscriptionSettings

ENDPOINT = "http://user:word@127.0.0.1:7071/runtime/webhooks/EventGrid?functionName=f&code=SECRET"


def event(subject: str = "/recording/call/c", kind: str = "Recorded") -> AcceptedEvent:
    return AcceptedEvent(EventSchema.EVENT_GRID, {"id": "1", "subject": subject, "eventType": kind}, 0.0, 2)


@pytest.mark.parametrize("types", [None, (), ("All",), ("Other", "Recorded")])
def test_events_of_an_included_type_match(types: tuple[str, ...] | None) -> None:
    assert EventFilter(included_event_types=types).matches(event())


def test_events_of_another_type_do_not_match() -> None:
    assert not EventFilter(included_event_types=("Other",)).matches(event())


def test_subjects_are_compared_without_case_unless_told() -> None:
    loose = EventFilter(subject_begins_with="/RECORDING/", subject_ends_with="/C")
    assert loose.matches(event())
    assert not loose.model_copy(update={"is_subject_case_sensitive": True}).matches(event())


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_a_subject_matches_its_own_beginning_and_end(begin: str, middle: str, end: str) -> None:
    chosen = EventFilter(subject_begins_with=begin, subject_ends_with=end, is_subject_case_sensitive=True)
    assert chosen.matches(event(begin + middle + end))
    assert chosen.matches(event("x" + begin + middle + end)) == ("x" + begin).startswith(begin)


def test_a_cloudevent_without_subject_matches_an_open_filter() -> None:
    cloud = AcceptedEvent(EventSchema.CLOUD_EVENTS, {"id": "1", "type": "Recorded"}, 0.0, 2)
    assert EventFilter(included_event_types=("Recorded",)).matches(cloud)
    assert not EventFilter(subject_begins_with="/").matches(cloud)


def test_settings_are_read_under_the_names_of_the_azure_resource() -> None:
    settings = SubscriptionSettings.model_validate(
        {
            "name": "archive",
            "endpoint": ENDPOINT,
            "eventDeliverySchema": "CloudEventSchemaV1_0",
            "retryPolicy": {"maxDeliveryAttempts": 3, "eventTimeToLiveInMinutes": 5},
            "filter": {"includedEventTypes": ["Recorded"]},
        }
    )
    assert settings.retry_policy.max_delivery_attempts == 3
    assert settings.event_delivery_schema is EventSchema.CLOUD_EVENTS


def test_the_defaults_are_those_of_the_service() -> None:
    settings = SubscriptionSettings(name="archive", endpoint=ENDPOINT)
    assert settings.retry_policy.model_dump() == {"max_delivery_attempts": 30, "event_time_to_live_in_minutes": 1440}
    assert (settings.max_events_per_batch, settings.event_delivery_schema) == (1, EventSchema.EVENT_GRID)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a"),
        ("name", "a b c"),
        ("endpoint", "not-a-url"),
        ("endpoint", "ftp://host/x"),
        ("retryPolicy", {"maxDeliveryAttempts": 31}),
        ("retryPolicy", {"eventTimeToLiveInMinutes": 0}),
        ("maxEventsPerBatch", 0),
        ("deadLetter", {"connectionString": "x", "container": "Upper"}),
        ("unknown", 1),
    ],
)
def test_a_setting_out_of_bounds_is_named(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        SubscriptionSettings.model_validate({"name": "archive", "endpoint": ENDPOINT, field: value})
    assert refused.value.errors()[0]["loc"][0] == field


def test_what_is_shown_holds_no_secret() -> None:
    settings = SubscriptionSettings(
        name="archive",
        endpoint=ENDPOINT,
        dead_letter=DeadLetterDestination(connection_string=SecretStr("KEY"), container="dead-letters"),
    )
    for text in (str(settings.shown()), repr(settings)):
        assert not any(secret in text for secret in ("SECRET", "KEY", "word"))
    assert settings.shown()["endpointBaseUrl"] == "http://127.0.0.1:7071/runtime/webhooks/EventGrid"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"maxEventsPerBatch": 2}, "is for webhooks"),
        ({"endpoint": ENDPOINT}, "no 'endpoint'"),
        ({"endpointType": "WebHook"}, "needs 'endpoint'"),
    ],
)
def test_a_queue_takes_no_settings_of_a_webhook(changed: dict[str, object], said: str) -> None:
    queue = {"connectionString": "x", "queueName": "events"}
    base = {"name": "archive", "endpointType": "StorageQueue", "storageQueue": queue}
    SubscriptionSettings.model_validate(base)
    with pytest.raises(ValidationError, match=said):
        SubscriptionSettings.model_validate({**base, **changed})
