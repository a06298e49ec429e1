"""Dead letters in a real blob container."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob.aio import ContainerClient
from pydantic import SecretStr

from local.eventgrid.schemas import EventSchema
from local.eventgrid.subscriptions import DeadLetterDestination, RetryPolicy
from tests.integration.eventgrid_fixtures import emulator, event, eventually, settings, subscriber

if TYPE_CHECKING:
    from typing import Any

    from local.azurite import Azurite
    from local.eventgrid.emulator import EventGridEmulator


@pytest.fixture
def storage(azurite: Azurite) -> str:
    return azurite.connection_string


async def letters_in(connection: str, container: str) -> dict[str, list[dict[str, Any]]]:
    async with ContainerClient.from_connection_string(connection, container) as client:
        return {
            blob.name: json.loads(await (await client.download_blob(blob.name)).readall())
            async for blob in client.list_blobs()
        }


async def create_container(connection: str, name: str) -> None:
    async with ContainerClient.from_connection_string(connection, name) as client:
        await client.create_container()


def publish(grid: EventGridEmulator, *ids: str) -> None:
    body = json.dumps([event(identifier) for identifier in ids]).encode()
    grid.publish("acs", {"aeg-sas-key": grid.topic_key("acs")}, "application/json", body)


async def failed(grid: EventGridEmulator, count: int) -> None:
    await eventually(lambda: sum(item["state"] == "dead-lettering" for item in grid.pending()) == count)


@pytest.mark.parametrize("schema", list(EventSchema))
async def test_dead_letters_lie_under_the_documented_path_in_the_documented_form(
    storage: str, schema: EventSchema
) -> None:
    container = f"dead-{'grid' if schema is EventSchema.EVENT_GRID else 'cloud'}"
    await create_container(storage, container)
    async with emulator() as grid, subscriber(statuses=[404]) as hook:
        await grid.create_subscription(
            "acs",
            settings(
                hook.url,
                "my-Archive",
                event_delivery_schema=schema,
                retry_policy=RetryPolicy(max_delivery_attempts=1),
                dead_letter=DeadLetterDestination(connection_string=SecretStr(storage), container=container),
            ),
        )
        publish(grid, "1", "2")
        await failed(grid, 2)
        assert await letters_in(storage, container) == {}
        grid.clock.advance(301)
        assert await grid.wait_until_idle(10)
        now = datetime.fromtimestamp(grid.clock.time(), UTC)
        blobs = await letters_in(storage, container)
        pattern = rf"MY-ARCHIVE/{now.year}/{now.month}/{now.day}/{now.hour}/[0-9a-f-]{{36}}\.json"
        assert all(re.fullmatch(pattern, name) for name in blobs)
        letters = [letter for blob in blobs.values() for letter in blob]
        assert sorted(letter["id"] for letter in letters) == ["1", "2"]
        names = (
            "deadLetterReason",
            "deliveryAttempts",
            "lastDeliveryOutcome",
            "publishTime",
            "lastDeliveryAttemptTime",
        )
        cased = names if schema is EventSchema.EVENT_GRID else tuple(name.lower() for name in names)
        assert [letters[0][name] for name in cased[:3]] == ["MaxDeliveryAttemptsExceeded", 1, "NotFound"]
        assert letters[0]["lastHttpStatusCode" if schema is EventSchema.EVENT_GRID else "lasthttpstatuscode"] == 404
        assert letters[0][cased[3]] <= letters[0][cased[4]]
        assert letters[0].items() >= hook.events()[0].items() or letters[1].items() >= hook.events()[0].items()
        assert grid.metrics("acs")["DeadLetteredCount"] == 2


async def test_a_dead_letter_is_written_once_its_container_is_there(storage: str) -> None:
    async with emulator() as grid, subscriber(statuses=[400]) as hook:
        destination = DeadLetterDestination(connection_string=SecretStr(storage), container="dead-late")
        await grid.create_subscription("acs", settings(hook.url, dead_letter=destination))
        publish(grid, "1")
        await failed(grid, 1)
        grid.clock.advance(301)
        failures = grid.subscription("acs", "archive").failures
        await eventually(lambda: "ContainerNotFound" in str(failures.as_list()))
        await create_container(storage, "dead-late")
        await failed(grid, 1)
        grid.clock.advance(61)
        assert await grid.wait_until_idle(10)
        assert len(await letters_in(storage, "dead-late")) == 1
        assert "AccountKey" not in str(failures.as_list())


async def test_a_dead_letter_is_dropped_after_four_hours_without_storage() -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=Zg==;BlobEndpoint=http://127.0.0.1:1/a;"
    async with emulator() as grid, subscriber(statuses=[400]) as hook:
        destination = DeadLetterDestination(connection_string=SecretStr(nowhere), container="dead")
        await grid.create_subscription("acs", settings(hook.url, dead_letter=destination))
        grid.clock.set_rate(20_000)
        publish(grid, "1")
        assert await grid.wait_until_idle(20)
        metrics = grid.metrics("acs", "archive")
        assert (metrics["DroppedEventCount"], metrics["DeadLetteredCount"]) == (1, 0)
