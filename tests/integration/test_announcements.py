"""The archive's own events, on a topic of the Event Grid emulator: at least once, and recognisable when repeated."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.options import EventGridOptions
from local.eventgrid.schemas import EventSchema, TopicKind
from local.listener import listening
from shared.incidents.incidents import Incident
from shared.incidents.kinds import IncidentKind
from tests.integration.archive_fixtures import acs_control, finished_recording
from tests.integration.completion_fixtures import Workshop, event_of, workshop
from tests.integration.eventgrid_fixtures import Subscriber, subscriber
from tests.integration.eventgrid_fixtures import settings as subscription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from local.azurite import Azurite
    from local.stack import Stack

__all__ = ["acs_control"]


class Audience:
    """An app that announces, and what is heard of it."""

    def __init__(self, shop: Workshop, heard: Subscriber, grid: EventGridEmulator) -> None:
        self.shop = shop
        self._heard = heard
        self._grid = grid
        self._key = grid.topic_key("own")

    async def heard(self, about: str) -> list[dict[str, Any]]:
        """Everything that was heard of a recording or a finding, repeated deliveries too."""
        assert await self._grid.wait_until_idle(10)
        return [
            event
            for event in self._heard.events()
            if about in {event["data"].get("recordingId"), event["data"].get("id")}
        ]

    @asynccontextmanager
    async def nobody_gets_in(self) -> AsyncIterator[None]:
        """The topic refuses the app's key."""
        self._grid.topic("own").key = "another"
        try:
            yield
        finally:
            self._grid.topic("own").key = self._key


@pytest.fixture(scope="module")
async def audience(azurite: Azurite) -> AsyncIterator[Audience]:
    async with EventGridEmulator(EventGridOptions(port=0)) as grid, subscriber() as heard:
        await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=EventSchema.CLOUD_EVENTS)
        await grid.create_subscription("own", subscription(heard.url, event_delivery_schema=EventSchema.CLOUD_EVENTS))
        async with workshop(
            azurite, ARCHIVE_TOPIC_ENDPOINT=grid.topic_endpoint("own"), ARCHIVE_TOPIC_KEY=grid.topic_key("own")
        ) as shop:
            yield Audience(shop, heard, grid)


async def test_a_recording_that_is_whole_is_announced_as_documented(audience: Audience) -> None:
    truth, _ = await audience.shop.archive(chunks=2, durationSeconds=4)
    (event,) = await audience.heard(truth["recordingId"])
    prefix, manifest = (
        await audience.shop.prefix(truth["recordingId"]),
        await audience.shop.manifest(truth["recordingId"]),
    )
    assert event["type"] == "Recording.Archived"
    assert event["specversion"] == "1.0"
    assert event["subject"] == prefix
    assert event["source"] == audience.shop.container.url
    assert not urlsplit(event["source"]).query
    assert event["data"] == {
        "recordingId": truth["recordingId"],
        "callId": manifest.call_id,
        "serverCallId": manifest.server_call_id,
        "prefix": prefix,
        "manifest": f"{prefix}/manifest.json",
        "startTime": manifest.start_time,
        "durationMs": manifest.duration_ms,
        "contentType": "audio",
        "channelType": "mixed",
        "format": "mp3",
        "sessionEndReason": manifest.session_end_reason,
        "chunks": 2,
        "bytes": sum(chunk["contentLength"] for chunk in truth["chunks"]),
        "archivedAt": max(chunk.archived_at or "" for chunk in manifest.chunks),
    }


async def test_nothing_is_said_of_a_recording_that_is_not_whole(audience: Audience) -> None:
    truth = await audience.shop.acs.recording(chunks=2, durationSeconds=4, contentType="audio")
    event = event_of(truth)
    event["data"]["recordingStorageInfo"]["recordingChunks"].pop()
    await audience.shop.work(await audience.shop.announce(event))
    assert (await audience.shop.manifest(truth["recordingId"])).status == "partial"
    assert await audience.heard(truth["recordingId"]) == []


async def test_a_message_that_comes_again_says_the_same_again_under_the_same_id(audience: Audience) -> None:
    truth = await audience.shop.acs.recording(chunks=1, durationSeconds=2, contentType="audio")
    await audience.shop.announce(event_of(truth))
    (body,) = await audience.shop.work()
    await audience.shop.services.chunk_archiver.take(body)
    first, second = await audience.heard(truth["recordingId"])
    assert first == second


async def test_what_the_topic_did_not_take_is_said_again_and_nothing_is_copied_again(audience: Audience) -> None:
    truth = await audience.shop.acs.recording(chunks=1, durationSeconds=2, contentType="audio")
    document = truth["chunks"][0]["documentId"]
    await audience.shop.announce(event_of(truth))
    async with audience.nobody_gets_in():
        await audience.shop.work()
    assert (await audience.shop.manifest(truth["recordingId"])).status == "complete", "the archive does not wait"
    read = audience.shop.requests(document, "GET")
    assert await audience.heard(truth["recordingId"]) == []
    await audience.shop.work()
    assert len(await audience.heard(truth["recordingId"])) == 1
    assert audience.shop.requests(document, "GET") == read


async def test_a_finding_is_announced_once_for_each_severity_and_again_where_the_topic_failed(
    audience: Audience,
) -> None:
    attention = audience.shop.services.incidents
    finding = Incident(
        kind=IncidentKind.GAP, identifier="r.1", reason="chunk 1 is missing", recording_id="r", prefix="2026/11/22/r"
    )
    async with audience.nobody_gets_in():
        await attention.report(finding)
    await attention.report(finding)
    await attention.report(finding)
    (event,) = await audience.heard(finding.key)
    assert (event["type"], event["subject"]) == ("Recording.Attention", "2026/11/22/r")
    assert event["data"] == {
        "id": "gap.r~2E1",
        "kind": "gap",
        "severity": "warning",
        "reason": "chunk 1 is missing",
        "recordingId": "r",
        "prefix": "2026/11/22/r",
    }


async def test_the_app_on_the_local_stack_announces_what_it_has_archived(
    stack: Stack, acs_control: aiohttp.ClientSession
) -> None:
    async with listening(stack) as listener:
        truth = await finished_recording(acs_control)
        event = await listener.heard(lambda event: event["data"].get("recordingId") == truth["recordingId"])
    assert event["type"] == "Recording.Archived"
    assert event["data"]["bytes"] == truth["chunks"][0]["contentLength"]
