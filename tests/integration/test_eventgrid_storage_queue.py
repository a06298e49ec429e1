"""Delivery to a real storage queue."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import typer
from azure.storage.queue.aio import QueueClient
from pydantic import SecretStr
from typer.testing import CliRunner

from local.eventgrid.cli import register
from local.eventgrid.errors import EventGridError
from local.eventgrid.retries import EndpointType
from local.eventgrid.schemas import EventSchema
from local.eventgrid.subscriptions import RetryPolicy, StorageQueueDestination, SubscriptionSettings
from tests.integration.eventgrid_fixtures import emulator, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite
    from local.eventgrid.emulator import EventGridEmulator


@asynccontextmanager
async def queue(azurite: Azurite, name: str) -> AsyncIterator[QueueClient]:
    async with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        await client.create_queue()
        yield client


def to_queue(azurite: Azurite, name: str, *, ttl: int | None = None, **more: Any) -> SubscriptionSettings:
    destination = StorageQueueDestination(
        connection_string=SecretStr(azurite.connection_string),
        queue_name=name,
        queue_message_time_to_live_in_seconds=ttl,
    )
    return SubscriptionSettings(
        name="archive", endpoint_type=EndpointType.STORAGE_QUEUE, storage_queue=destination, **more
    )


def publish(grid: EventGridEmulator, *events: dict[str, Any]) -> None:
    body = json.dumps(events).encode()
    grid.publish("acs", {"aeg-sas-key": grid.topic_key("acs")}, "application/json", body)


async def messages(client: QueueClient) -> list[Any]:
    return [json.loads(base64.b64decode(message.content)) async for message in client.receive_messages()]


@pytest.mark.parametrize("schema", list(EventSchema))
async def test_each_event_is_a_message_of_its_own_in_base64(azurite: Azurite, schema: EventSchema) -> None:
    name = f"events-{'grid' if schema is EventSchema.EVENT_GRID else 'cloud'}"
    async with queue(azurite, name) as client, emulator() as grid:
        await grid.create_subscription("acs", to_queue(azurite, name, event_delivery_schema=schema))
        publish(grid, event("1", data={"text": "ä"}), event("2"))
        assert await grid.wait_until_idle(10)
        got = sorted(await messages(client), key=lambda message: str(message["id"]))
        assert [message["id"] for message in got] == ["1", "2"]
        assert got[0]["data"] == {"text": "ä"}
        assert ("specversion" in got[0]) == (schema is EventSchema.CLOUD_EVENTS)
        assert grid.metrics("acs", "archive")["DeliverySuccessCount"] == 2


async def test_messages_live_as_long_as_the_subscription_says(azurite: Azurite) -> None:
    async with queue(azurite, "events-ttl") as client, emulator() as grid:
        await grid.create_subscription("acs", to_queue(azurite, "events-ttl", ttl=3600))
        publish(grid, event())
        assert await grid.wait_until_idle(10)
        (message,) = [message async for message in client.receive_messages()]
        assert message.inserted_on is not None
        assert message.expires_on is not None
        assert (message.expires_on - message.inserted_on).total_seconds() == pytest.approx(3600, abs=1)


async def test_a_queue_that_is_not_there_gets_no_subscription(azurite: Azurite) -> None:
    async with emulator() as grid:
        with pytest.raises(EventGridError, match="the queue 'events-none' cannot be reached") as refused:
            await grid.create_subscription("acs", to_queue(azurite, "events-none"))
        assert "AccountKey" not in str(refused.value)
        assert not grid.topic("acs").subscriptions


async def test_what_a_deleted_queue_did_not_take_is_delivered_once_it_is_back(azurite: Azurite) -> None:
    async with queue(azurite, "events-gone") as client, emulator() as grid:
        await grid.create_subscription("acs", to_queue(azurite, "events-gone"))
        await client.delete_queue()
        publish(grid, event())
        assert not await grid.wait_until_idle(0.5)
        (item,) = grid.pending()
        assert (item["lastOutcome"], item["attempts"]) == ("NotFound", 1)
        await client.create_queue()
        grid.clock.advance(300)
        assert await grid.wait_until_idle(10)
        assert len(await messages(client)) == 1


async def test_an_event_too_large_for_a_message_is_not_tried_for_ever(azurite: Azurite) -> None:
    async with queue(azurite, "events-large"), emulator() as grid:
        policy = RetryPolicy(max_delivery_attempts=1)
        await grid.create_subscription("acs", to_queue(azurite, "events-large", retry_policy=policy))
        publish(grid, event(data="x" * 64 * 1024))
        assert await grid.wait_until_idle(10)
        assert grid.metrics("acs", "archive")["DroppedEventCount"] == 1


async def test_the_command_subscribes_a_queue(azurite: Azurite) -> None:
    app = typer.Typer()
    register(app)
    async with queue(azurite, "events-cli") as client, emulator() as grid:
        at = ("--eventgrid", grid.endpoint, "--queue-connection", azurite.connection_string)

        async def create(*arguments: str) -> tuple[int, str]:
            full = ("subscription", "create", "archive", *arguments, *at)
            result = await asyncio.to_thread(CliRunner().invoke, app, full)
            return result.exit_code, result.output

        assert await create("--queue", "events-cli", "--queue-ttl", "-1") == (0, "archive: Succeeded\n")
        publish(grid, event())
        assert await grid.wait_until_idle(10)
        assert len(await messages(client)) == 1
        shown = grid.subscription("acs", "archive").settings.shown()
        assert shown["storageQueue"] == {"queueName": "events-cli", "queueMessageTimeToLiveInSeconds": -1}
        assert (await create("--queue", "events-cli", "--endpoint", "http://127.0.0.1/"))[0] == 1
        code, said = await create("--queue", "events-cli", "--queue-ttl", "0")
        assert (code, "queueMessageTimeToLiveInSeconds" in said) == (1, True)
