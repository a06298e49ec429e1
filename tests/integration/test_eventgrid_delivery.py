"""Deliveries to a real subscriber: forms, statuses, time-outs, retries on the emulated clock, a burst."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from local.eventgrid.schemas import EventSchema
from local.eventgrid.subscriptions import EventFilter, RetryPolicy
from tests.integration.eventgrid_fixtures import emulator, event, settings, subscriber

if TYPE_CHECKING:
    from local.eventgrid.emulator import EventGridEmulator


async def publish(grid: EventGridEmulator, *events: dict[str, object], topic: str = "acs") -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            grid.topic_endpoint(topic), json=list(events), headers={"aeg-sas-key": grid.topic_key(topic)}
        ) as response,
    ):
        assert (response.status, await response.text()) == (200, "")


async def test_an_event_arrives_in_the_event_grid_schema() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url, "my-archive"))
        await publish(grid, event("1", topic="/acs"))
        (got,) = await hook.until(1)
        assert got.body == [event("1", topic="/acs", metadataVersion="1")]
        assert got.headers["Content-Type"] == "application/json; charset=utf-8"
        assert got.headers["aeg-event-type"] == "Notification"
        assert got.headers["aeg-subscription-name"] == "MY-ARCHIVE"
        assert got.headers["aeg-delivery-count"] == "0"
        assert got.headers["aeg-data-version"] == "1.0"
        assert got.headers["aeg-output-event-id"] == "1"
        assert "Origin" not in got.headers
        assert got.headers["aeg-metadata-version"] == "1"
        assert await grid.wait_until_idle(5)
        assert grid.metrics("acs", "my-archive") == {
            "MatchedEventCount": 1,
            "DeliverySuccessCount": 1,
            "DeliveryAttemptFailCount": 0,
            "DeadLetteredCount": 0,
            "DroppedEventCount": 0,
        }


@pytest.mark.parametrize(("batch", "media_type"), [(1, "cloudevents"), (10, "cloudevents-batch")])
async def test_an_event_arrives_as_cloudevent_single_or_batched(batch: int, media_type: str) -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription(
            "acs",
            settings(hook.url, event_delivery_schema=EventSchema.CLOUD_EVENTS, max_events_per_batch=batch),
        )
        await publish(grid, event("1"))
        (got,) = await hook.until(1)
        assert got.headers["Content-Type"] == f"application/{media_type}+json; charset=utf-8"
        assert got.headers["aeg-metadata-version"] == "1.0"
        assert "aeg-data-version" not in got.headers
        assert got.headers["aeg-output-event-id"] == "1"
        assert got.headers["Origin"] == "eventgrid.azure.net"
        assert isinstance(got.body, list) == (batch > 1)
        (cloud,) = hook.events()
        assert cloud["source"] == grid.topic("acs").resource_id
        assert (cloud["dataschema"], cloud["specversion"]) == ("#1.0", "1.0")


async def test_only_matching_events_are_delivered_and_the_rest_is_counted() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription(
            "acs", settings(hook.url, filter=EventFilter(included_event_types=("Wanted",), subject_begins_with="/r"))
        )
        await publish(
            grid,
            event("1"),
            event("2", eventType="Wanted"),
            event("3", eventType="Wanted", subject="/x"),
        )
        assert await grid.wait_until_idle(5)
        assert [got["id"] for got in hook.events()] == ["2"]
        topic = grid.metrics("acs")
        assert (topic["PublishSuccessCount"], topic["MatchedEventCount"], topic["UnmatchedEventCount"]) == (3, 1, 2)


async def test_failed_deliveries_come_again_when_the_emulated_clock_says_so() -> None:
    async with emulator() as grid, subscriber(statuses=[500, 503, 200]) as hook:
        await grid.create_subscription("acs", settings(hook.url))
        await publish(grid, event("1"))
        for count, seconds in ((1, 10), (2, 30), (3, 0)):
            await hook.until(count)
            if seconds:
                assert not await grid.wait_until_idle(0.05)
                assert [item["attempts"] for item in grid.pending()] == [count]
                grid.clock.advance(seconds)
        assert await grid.wait_until_idle(5)
        assert [got.headers["aeg-delivery-count"] for got in hook.deliveries] == ["0", "1", "2"]
        failures = grid.subscription("acs", "archive").failures.as_list()
        assert [failure["detail"] for failure in failures] == [
            "HTTP 500: the subscriber says why",
            "HTTP 503: the subscriber says why",
        ]


async def test_hours_of_retries_pass_quickly_at_a_high_rate() -> None:
    async with emulator() as grid, subscriber(statuses=[500]) as hook:
        grid.clock.set_rate(100_000)
        await grid.create_subscription("acs", settings(hook.url))
        await publish(grid, event("1"))
        assert await grid.wait_until_idle(10)
        assert grid.metrics("acs", "archive")["DroppedEventCount"] == 1
        assert len(hook.deliveries) >= 8


@pytest.mark.parametrize(
    ("behaviour", "outcome", "detail"),
    [
        ({"answer_seconds": 1.0}, "TimedOut", "no answer within 0.1 seconds"),
        ({"statuses": [0]}, "SocketError", "closed without an answer"),
        ({"statuses": [302, 200]}, "GenericError", "HTTP 302"),
    ],
)
async def test_a_delivery_without_a_good_answer_is_a_failure_with_its_reason(
    behaviour: dict[str, Any], outcome: str, detail: str
) -> None:
    async with emulator(delivery_timeout=0.1) as grid, subscriber(**behaviour) as hook:
        policy = RetryPolicy(max_delivery_attempts=1)
        await grid.create_subscription("acs", settings(hook.url + "?code=SECRET", retry_policy=policy))
        await publish(grid, event("1"))
        assert await grid.wait_until_idle(5)
        (failure,) = grid.subscription("acs", "archive").failures.as_list()
        assert failure["outcome"] == outcome
        assert detail in str(failure["detail"])
        assert "SECRET" not in str(failure)


async def test_a_subscriber_that_went_away_is_reported_and_served_when_it_is_back() -> None:
    async with emulator() as grid:
        async with subscriber() as hook:
            await grid.create_subscription("acs", settings(hook.url))
        await publish(grid, event("1"))
        assert not await grid.wait_until_idle(0.1)
        (item,) = grid.pending()
        assert (item["lastOutcome"], item["attempts"]) == ("SocketError", 1)
        assert "connection refused" in item["lastDetail"]
        async with subscriber(port=int(hook.url.split(":")[2].split("/")[0])) as again:
            grid.clock.advance(10)
            await again.until(1)
            assert await grid.wait_until_idle(5)


async def test_a_burst_of_a_thousand_events_arrives_whole() -> None:
    async with emulator(concurrent_deliveries=8) as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url))
        ids = [str(number) for number in range(1000)]
        for start in range(0, 1000, 100):
            await publish(grid, *(event(identifier) for identifier in ids[start : start + 100]))
        assert await grid.wait_until_idle(30)
        assert Counter(got["id"] for got in hook.events()) == Counter(ids)
        assert grid.metrics("acs", "archive")["DeliverySuccessCount"] == 1000


async def test_a_burst_in_batches_needs_few_requests() -> None:
    async with emulator(concurrent_deliveries=2) as grid, subscriber() as hook:
        await grid.create_subscription(
            "acs", settings(hook.url, max_events_per_batch=100, preferred_batch_size_in_kilobytes=1024)
        )
        await publish(grid, *(event(str(number)) for number in range(1000)))
        assert await grid.wait_until_idle(30)
        assert len(hook.events()) == 1000
        assert len(hook.deliveries) == 10


async def test_the_largest_event_is_delivered_too() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url))
        body = json.dumps([event(data="x" * (1024 * 1024 - 225))]).encode()
        assert 1024 * 1024 - 50 < len(body) <= 1024 * 1024
        grid.publish("acs", {"aeg-sas-key": grid.topic_key("acs")}, "application/json", body)
        assert await grid.wait_until_idle(10)
        assert len(hook.deliveries) == 1


async def test_stopping_does_not_wait_for_a_subscriber() -> None:
    async with subscriber(answer_seconds=30.0) as hook, asyncio.timeout(5), emulator() as grid:
        await grid.create_subscription("acs", settings(hook.url))
        await publish(grid, event("1"), event("2"))
        await hook.until(2)


async def test_a_publisher_is_refused_while_too_much_is_undelivered() -> None:
    async with emulator(max_pending_bytes=450) as grid, subscriber(statuses=[500]) as hook:
        await grid.create_subscription("acs", settings(hook.url))
        await publish(grid, event("1"))
        headers = {"aeg-sas-key": grid.topic_key("acs")}
        async with (
            aiohttp.ClientSession() as session,
            session.post(grid.topic_endpoint("acs"), json=[event("2")], headers=headers) as response,
        ):
            assert response.status == 503
            assert "max_pending_bytes" in await response.text()
