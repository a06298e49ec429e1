"""Events taken in from their queue: tried without an end while the app's storage fails, which is no incident."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue.aio import QueueServiceClient

from shared.archiving.webhook import event_message
from shared.core.errors import StorageUnavailable
from shared.events.event_message import EventMessage
from shared.recovery.undelivered import EventPoison
from shared.storage.message_queue import MessageQueue
from tests.integration.archive_parts import Parts, archive_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
async def parts(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, tmp_path_factory.mktemp("media")) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_waits(parts: Parts) -> None:
    parts.events.messages.clear()
    parts.queue.messages.clear()


async def away(*_: object, **__: object) -> Any:
    raise ServiceRequestError("no route")


async def is_archived(parts: Parts, truth: dict[str, Any]) -> bool:
    manifest = await parts.manifest(truth)
    return manifest is not None and manifest["status"] == "complete"


async def test_an_hour_without_the_archive_leaves_no_incident(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = await parts.recording()
    with monkeypatch.context() as patch:
        patch.setattr(parts.archive.blobs, "put_once", away)
        await parts.deliver(parts.event(truth))
        for _ in range(4):
            await parts.live(15 * MINUTE)
        [(_, _, body)] = parts.events.messages
        assert EventMessage.from_json(body).tries >= 5
    await parts.live(15 * MINUTE)
    assert await is_archived(parts, truth)
    assert await parts.findings() == []


async def test_the_tries_get_rarer_and_do_not_end(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = await parts.recording()
    message = EventMessage(received_at=parts.now(), event=parts.event(truth), tries=500)
    with monkeypatch.context() as patch:
        patch.setattr(parts.archive.blobs, "put_once", away)
        for tries, delay in ((0, 30), (1, 60), (4, 480), (5, 900), (500, 900)):
            await parts.event_worker.take(message.model_copy(update={"tries": tries}).to_json())
            due, _, body = parts.events.messages.pop()
            assert round((due - parts.now()).total_seconds()) == delay
            assert EventMessage.from_json(body).tries == tries + 1


@pytest.mark.parametrize("step", ["places.settle", "events.keep", "manifests.update"])
async def test_whichever_step_fails_the_event_is_taken_in_later(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    truth, (part, method) = await parts.recording(), step.split(".")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(parts.archive, part), method, away)
        await parts.deliver(parts.event(truth))
    assert not await is_archived(parts, truth)
    await parts.live(MINUTE)
    assert await is_archived(parts, truth)


async def test_chunks_whose_message_could_not_be_sent_are_sent_with_the_next_try(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = await parts.recording(chunks=3, durationSeconds=6)
    send, sent = parts.queue.send, 0

    async def second_fails(body: str, delay: timedelta) -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise ServiceRequestError("no route")
        await send(body, delay)

    with monkeypatch.context() as patch:
        patch.setattr(parts.queue, "send", second_fails)
        await parts.deliver(parts.event(truth))
    await parts.live(MINUTE)
    assert await is_archived(parts, truth)


async def test_where_the_message_cannot_be_sent_again_the_platform_has_to_try(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = EventMessage(received_at=parts.now(), event=parts.event(await parts.recording()))
    with monkeypatch.context() as patch:
        patch.setattr(parts.archive.blobs, "put_once", away)
        patch.setattr(parts.events, "send", away)
        with pytest.raises((ServiceRequestError, StorageUnavailable)):
            await parts.event_worker.take(message.to_json())


async def test_an_event_too_large_for_a_message_is_taken_in_and_its_blob_dropped(parts: Parts) -> None:
    truth = await parts.recording()
    event = parts.event(truth) | {"extra": "x" * 50_000}
    body = await event_message(event, parts.now(), lambda: parts.large)
    assert len(body) < 1000
    await parts.event_worker.take(body)
    await parts.event_worker.take(body)
    await parts.live(MINUTE)
    assert await is_archived(parts, truth)
    name = EventMessage.from_json(body).blob
    assert name is not None
    assert await parts.large.get(name) is None


async def test_a_table_that_hangs_delays_an_event_by_seconds(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table's server accepts connections and never answers; each use of it ends after its patience."""
    truth = await parts.recording()

    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr("shared.storage.ledger.TABLE_PATIENCE", 0.2)
        for method in ("upsert_entity", "create_entity", "update_entity", "get_entity"):
            patch.setattr(parts.table, method, hang)
        patch.setattr(parts.table, "query_entities", _never)
        async with asyncio.timeout(20):
            await parts.deliver(parts.event(truth))
            assert len(parts.queue.messages) == 1
            await parts.live(timedelta(seconds=5))
    assert await is_archived(parts, truth)
    for incident in await parts.findings():
        await parts.incidents.settle(incident["id"])


async def _never(*_: object, **__: object) -> AsyncIterator[dict[str, Any]]:
    await asyncio.Event().wait()
    yield {}


async def test_a_message_that_cannot_be_read_is_one_incident(parts: Parts) -> None:
    for _ in range(3):
        await parts.event_worker.take("no event")
    [incident] = [found for found in await parts.findings() if found["kind"] == "message"]
    assert "holds no event" in incident["reason"]
    await parts.incidents.settle(incident["id"])


async def test_poison_messages_go_back_and_one_that_is_no_text_keeps_none_from_it(
    parts: Parts, azurite: Azurite
) -> None:
    name, truths = f"poison{uuid4().hex}", [await parts.recording() for _ in range(2)]
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
        queue = await queues.create_queue(name)
        bodies = [EventMessage(received_at=parts.now(), event=parts.event(truth), tries=2) for truth in truths]
        await queue.send_message(_base64(bodies[0].to_json().encode()))
        await queue.send_message(_base64(b"\xff\xfe\x00"))
        await queue.send_message("not base64 &")
        await queue.send_message(_base64(bodies[1].to_json().encode()))
        poison: Any = MessageQueue(queues, name)
        events: Any = parts.events
        await EventPoison(poison, events, parts.incidents).drain()
        assert (await queue.get_queue_properties()).approximate_message_count == 0
    delays = [round((due - parts.now()).total_seconds()) for due, _, _ in parts.events.messages]
    assert all(110 < delay <= 120 for delay in delays)
    assert len(delays) == 2
    await parts.live(5 * MINUTE)
    assert all([await is_archived(parts, truth) for truth in truths])
    unread = [found for found in await parts.findings() if found["kind"] == "message"]
    assert len(unread) == 2
    for incident in unread:
        await parts.incidents.settle(incident["id"])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
