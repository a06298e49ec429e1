"""The handshakes before a subscription gets anything."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from local.eventgrid.errors import EventGridError, HandshakeError
from local.eventgrid.options import EventGridOptions
from local.eventgrid.schemas import EventSchema, TopicKind
from tests.integration.eventgrid_fixtures import emulator, eventually, settings, subscriber

BOTH = pytest.mark.parametrize("schema", list(EventSchema))


async def test_event_grid_asks_with_a_validation_event() -> None:
    async with emulator() as grid, subscriber() as hook:
        made = await grid.create_subscription("acs", settings(hook.url))
        (asked,) = hook.handshakes
        (sent,) = asked.body
        assert made.provisioning_state == "Succeeded"
        assert asked.headers["aeg-event-type"] == "SubscriptionValidation"
        assert sent["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
        assert sent["topic"] == grid.topic("acs").resource_id
        assert sent["data"].keys() == {"validationCode", "validationUrl"}


async def test_cloudevents_ask_for_permission() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url, event_delivery_schema=EventSchema.CLOUD_EVENTS))
        (asked,) = hook.handshakes
        assert (asked.method, asked.headers["WebHook-Request-Origin"]) == ("OPTIONS", "eventgrid.azure.net")


@BOTH
@pytest.mark.parametrize("answer", ["wrong", "201", "202", "204", "401", "403", "405", "500", "302"])
async def test_an_endpoint_that_does_not_agree_gets_no_subscription(schema: EventSchema, answer: str) -> None:
    async with emulator() as grid, subscriber(handshake=answer) as hook:
        with pytest.raises(HandshakeError, match="Webhook validation handshake failed for http"):
            await grid.create_subscription("acs", settings(hook.url + "?code=S", event_delivery_schema=schema))
        assert not grid.topic("acs").subscriptions


@BOTH
async def test_an_endpoint_that_is_not_there_gets_no_subscription(schema: EventSchema) -> None:
    async with subscriber() as gone:
        pass
    async with emulator() as grid:
        with pytest.raises(HandshakeError, match="connection refused") as refused:
            await grid.create_subscription("acs", settings(gone.url + "?code=S", event_delivery_schema=schema))
        assert "code=S" not in str(refused.value)


async def test_an_endpoint_that_does_not_answer_in_time_gets_no_subscription() -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    async with server, emulator(delivery_timeout=0.1, handshake_retry=0.01) as grid:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HandshakeError, match="no answer within"):
            await grid.create_subscription("acs", settings(f"http://127.0.0.1:{port}/hook"))


@BOTH
async def test_a_handshake_that_times_out_is_tried_again(schema: EventSchema) -> None:
    async with (
        emulator(delivery_timeout=0.3, handshake_retry=0.05) as grid,
        subscriber(handshake="slow once") as hook,
    ):
        made = await grid.create_subscription("acs", settings(hook.url, event_delivery_schema=schema))
        assert (made.provisioning_state, len(hook.handshakes)) == ("Succeeded", 2)


async def test_a_handshake_is_tried_only_so_often() -> None:
    async with (
        emulator(delivery_timeout=0.2, handshake_attempts=1) as grid,
        subscriber(handshake="slow once") as hook,
    ):
        with pytest.raises(HandshakeError, match="no answer within"):
            await grid.create_subscription("acs", settings(hook.url))
        assert len(hook.handshakes) == 1


def test_times_of_the_handshake_are_the_documented_ones() -> None:
    options = EventGridOptions()
    assert (options.delivery_timeout, options.handshake_retry, options.manual_validation_seconds) == (30, 5, 600)


async def test_creation_can_wait_for_a_host_that_is_starting() -> None:
    async with subscriber() as reserved:
        pass
    async with emulator() as grid:
        creation = asyncio.create_task(grid.create_subscription("acs", settings(reserved.url), wait_seconds=20))
        await asyncio.wait([creation], timeout=0.1)
        assert not creation.done()
        async with subscriber(port=int(reserved.url.split(":")[2].split("/")[0])):
            assert (await creation).provisioning_state == "Succeeded"


async def test_a_refusal_is_final_even_when_waiting() -> None:
    async with emulator() as grid, subscriber(handshake="wrong") as hook:
        with pytest.raises(HandshakeError):
            await asyncio.wait_for(grid.create_subscription("acs", settings(hook.url), wait_seconds=60), 5)


@BOTH
async def test_opening_the_validation_url_completes_the_handshake(schema: EventSchema) -> None:
    async with emulator() as grid, subscriber(handshake="manual") as hook, aiohttp.ClientSession() as session:
        made = await grid.create_subscription("acs", settings(hook.url, event_delivery_schema=schema))
        assert made.provisioning_state == "AwaitingManualAction"
        asked = hook.handshakes[0]
        url = (
            asked.headers["WebHook-Request-Callback"]
            if schema is EventSchema.CLOUD_EVENTS
            else asked.body[0]["data"]["validationUrl"]
        )
        async with session.get(url) as answer:
            assert answer.status == 200
        assert grid.subscription("acs", "archive").provisioning_state == "Succeeded"
        async with session.get(url) as answer:
            assert answer.status == 400


async def test_a_validation_url_expires() -> None:
    async with emulator(manual_validation_seconds=0.0) as grid, subscriber(handshake="manual") as hook:
        made = await grid.create_subscription("acs", settings(hook.url))
        assert made.provisioning_state == "Failed"
        async with (
            aiohttp.ClientSession() as session,
            session.get(hook.handshakes[0].body[0]["data"]["validationUrl"]) as answer,
        ):
            assert answer.status == 400
        assert made.provisioning_state == "Failed"


@BOTH
async def test_a_webhook_is_notified_when_its_subscription_is_deleted(schema: EventSchema) -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url, event_delivery_schema=schema))
        await grid.delete_subscription("acs", "archive")
        await eventually(lambda: bool(hook.deletions))
        (got,) = hook.deletions
        event = got.body if schema is EventSchema.CLOUD_EVENTS else got.body[0]
        assert event.get("eventType", event.get("type")) == "Microsoft.EventGrid.SubscriptionDeletedEvent"
        resource = grid.topic("acs").resource_id
        assert event.get("topic", event.get("source")) == resource
        deleted = f"{resource}/providers/Microsoft.EventGrid/eventSubscriptions/archive"
        assert event["data"] == {"eventSubscriptionId": deleted}
        assert got.headers["aeg-output-event-id"] == event["id"]


async def test_a_subscription_is_deleted_without_waiting_for_its_webhook() -> None:
    async with emulator() as grid:
        async with subscriber() as gone:
            await grid.create_subscription("acs", settings(gone.url))
        await grid.delete_subscription("acs", "archive")
        assert not grid.topic("acs").subscriptions
        async with subscriber() as hook:
            await grid.create_subscription("acs", settings(hook.url))
            assert grid.subscription("acs", "archive").provisioning_state == "Succeeded"


@pytest.mark.parametrize(("header", "handshake"), [("", "code"), ("SubscriptionDeletion", "manual")])
async def test_no_deletion_is_announced_where_it_is_switched_off_or_the_webhook_never_agreed(
    header: str, handshake: str
) -> None:
    async with emulator(subscription_deleted_event=header) as grid, subscriber(handshake=handshake) as hook:
        await grid.create_subscription("acs", settings(hook.url))
        await grid.delete_subscription("acs", "archive")
        await grid.create_subscription("acs", settings(hook.url))  # a request that would come later
        assert not hook.deletions + hook.deliveries


async def test_the_same_subscription_again_updates_it() -> None:
    async with emulator() as grid, subscriber() as hook:
        first = await grid.create_subscription("acs", settings(hook.url))
        second = await grid.create_subscription("acs", settings(hook.url, "ARCHIVE", max_events_per_batch=5))
        assert second is first
        assert len(grid.topic("acs").subscriptions) == 1
        assert first.settings.max_events_per_batch == 5


async def test_a_failed_update_leaves_the_subscription_as_it_was() -> None:
    async with emulator() as grid, subscriber() as hook:
        made = await grid.create_subscription("acs", settings(hook.url))
        hook.handshake = "401"
        with pytest.raises(HandshakeError):
            await grid.create_subscription("acs", settings(hook.url, max_events_per_batch=5))
        assert (made.provisioning_state, made.settings.max_events_per_batch) == ("Succeeded", 1)


async def test_cloudevents_cannot_be_delivered_in_the_event_grid_schema() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=EventSchema.CLOUD_EVENTS)
        with pytest.raises(EventGridError, match="eventDeliverySchema"):
            await grid.create_subscription("own", settings(hook.url))
