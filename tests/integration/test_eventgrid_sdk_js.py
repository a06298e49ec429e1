"""The official JavaScript client, `@azure/eventgrid`, publishes to the emulator."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.eventgrid.schemas import EventSchema, TopicKind
from tests.integration.eventgrid_fixtures import Subscriber, emulator, settings, subscriber

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.eventgrid.emulator import EventGridEmulator

SCRIPT = Path(__file__).parents[1] / "sdk_js" / "eventgrid_publish.mjs"
GRID_EVENT = {"subject": "/s", "eventType": "Recording.Archived", "data": {"a": 1}, "dataVersion": "1.0"}
CLOUD_EVENT = {"source": "/archive", "type": "Recording.Archived", "subject": "/s", "data": {"a": 1}}
EVENTS = {EventSchema.EVENT_GRID: GRID_EVENT, EventSchema.CLOUD_EVENTS: CLOUD_EVENT}
NAMES = {EventSchema.EVENT_GRID: "EventGrid", EventSchema.CLOUD_EVENTS: "CloudEvent"}


@asynccontextmanager
async def own_topic(
    schema: EventSchema = EventSchema.EVENT_GRID,
) -> AsyncIterator[tuple[EventGridEmulator, Subscriber]]:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=schema)
        await grid.create_subscription("own", settings(hook.url, event_delivery_schema=schema))
        yield grid, hook


async def publish(grid: EventGridEmulator, **order: Any) -> dict[str, Any]:
    full = {"endpoint": grid.topic_endpoint("own"), "schema": "EventGrid", "events": [GRID_EVENT], **order}
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec("node", str(SCRIPT), stdin=pipe, stdout=pipe, stderr=pipe)
    said, complaint = await node.communicate(json.dumps(full).encode())
    assert node.returncode == 0, complaint.decode()
    answer: dict[str, Any] = json.loads(said)
    return answer


@pytest.mark.parametrize("schema", list(EventSchema))
async def test_it_publishes_over_plain_http_in_both_schemas(schema: EventSchema) -> None:
    async with own_topic(schema) as (grid, hook):
        event = {**EVENTS[schema], "id": "from-js"}
        key = grid.topic_key("own")
        assert await publish(grid, schema=NAMES[schema], key=key, events=[event, event]) == {"sent": 2}
        assert await grid.wait_until_idle(5)
        assert [got["id"] for got in hook.events()] == ["from-js", "from-js"]
        assert event.items() <= hook.events()[0].items()
        assert grid.metrics("own")["PublishSuccessCount"] == 2


async def test_it_publishes_with_a_shared_access_signature_until_that_expires() -> None:
    async with own_topic() as (grid, hook):
        key = grid.topic_key("own")
        assert await publish(grid, sas={"key": key, "minutes": 5}) == {"sent": 1}
        await hook.until(1)
        refused = (await publish(grid, sas={"key": key, "minutes": -1}))["error"]
        assert (refused["name"], refused["status"]) == ("RestError", 401)
        assert "has expired" in refused["message"]
        assert len(hook.deliveries) == 1


async def test_it_gets_a_wrong_key_and_an_invalid_event_refused() -> None:
    async with own_topic() as (grid, hook):
        refused = (await publish(grid, key="d3Jvbmc="))["error"]
        assert (refused["name"], refused["status"], refused["code"]) == ("RestError", 401, "Unauthorized")
        invalid = (await publish(grid, key=grid.topic_key("own"), events=[{**GRID_EVENT, "topic": "/other"}]))["error"]
        assert (invalid["status"], "'topic'" in invalid["message"]) == (400, True)
        assert not hook.deliveries


async def test_it_refuses_plain_http_unless_it_is_allowed() -> None:
    async with own_topic() as (grid, hook):
        refused = (await publish(grid, key=grid.topic_key("own"), insecure=False))["error"]
        assert "allowInsecureConnection" in refused["message"]
        assert not hook.deliveries
