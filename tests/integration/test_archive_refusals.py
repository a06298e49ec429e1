"""What must not be read: locations and redirects that lead where credentials must not go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from local import archive
from local.acs.options import AcsOptions
from tests.integration.archive_fixtures import acs_control, finished_recording
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from local.stack import Stack

__all__ = ["acs_control"]

PAYLOAD = Path(__file__).parent.parent / "payloads" / "eventgrid-three-chunks.json"


class ForeignHost:
    """A server that the app does not trust; keeps whatever it is asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.origin = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(dict(request.headers))
        return web.Response(body=b"\0\0\0\x20ftypisom" + bytes(1000))


@pytest.fixture
async def foreign_host() -> AsyncIterator[ForeignHost]:
    """A server at `localhost`, while only `127.0.0.1` is trusted."""
    server = ForeignHost()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.origin = f"http://localhost:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def attention(container: ContainerClient, needle: str) -> dict[str, Any]:
    """What the app keeps for the operator about `needle`."""

    async def look() -> dict[str, Any] | None:
        for name in await archive.listing(container, "attention/"):
            finding = await archive.document(container, name)
            if needle in json.dumps(finding):
                return finding
        return None

    return await eventually(look)


async def publish(stack: Stack, event: dict[str, Any]) -> None:
    headers = {"aeg-sas-key": stack.eventgrid.topic_key("acs")}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(stack.eventgrid.topic_endpoint("acs"), json=[event], headers=headers),
    ):
        pass


def forged(*locations: str) -> dict[str, Any]:
    """An event of a recording of its own whose chunks lie at `locations`."""
    event: dict[str, Any] = json.loads(PAYLOAD.read_text())
    event["id"] = event["data"]["recordingId"] = str(uuid4())
    event["topic"] = AcsOptions().azure_id
    event["subject"] = f"/recording/call/{uuid4()}"
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [
        {"documentId": str(uuid4()), "index": index, "contentLocation": location, "metadataLocation": location}
        for index, location in enumerate(locations)
    ]
    return event


async def test_an_event_from_a_foreign_origin_is_kept_and_nothing_is_asked_there(
    stack: Stack, archive_container: ContainerClient, foreign_host: ForeignHost
) -> None:
    event = forged(f"{foreign_host.origin}/v1/objects/x/content/video")
    await publish(stack, event)
    finding = await attention(archive_container, event["id"])
    assert finding["error"] == "UntrustedOrigin"
    assert "RECORDING_TRUSTED_ORIGINS" in finding["reason"]
    assert finding["event"]["data"] == event["data"]
    assert await stack.eventgrid.wait_until_idle(30)
    assert await archive.manifest_of(archive_container, event["data"]["recordingId"]) is None
    assert foreign_host.requests == []


async def test_a_redirect_to_a_foreign_origin_is_not_followed(
    archive_container: ContainerClient, foreign_host: ForeignHost, acs_control: aiohttp.ClientSession, stack: Stack
) -> None:
    truth = await finished_recording(acs_control, announce=False)
    document = truth["chunks"][0]["documentId"]
    stack.acs.order_fault(
        kind="redirect", target="content", document_id=document, times=None, location=f"{foreign_host.origin}/steal"
    )
    await acs_control.post(f"recordings/{truth['recordingId']}/announce", json={})
    finding = await attention(archive_container, document)
    assert finding["error"] == "UntrustedOrigin"
    assert finding["chunk"]["documentId"] == document
    assert foreign_host.requests == []
    found = await archive.manifest_of(archive_container, truth["recordingId"])
    assert found is not None
    folder, manifest = found
    assert manifest["status"] == "partial"
    assert not [name for name in await archive.listing(archive_container, folder) if name.endswith(".mp4")]


async def test_what_is_trusted_of_a_forged_event_is_archived_all_the_same(
    archive_container: ContainerClient, foreign_host: ForeignHost, acs_control: aiohttp.ClientSession, stack: Stack
) -> None:
    truth = await finished_recording(acs_control, announce=False)
    good = truth["chunks"][0]
    event = forged("replaced", f"{foreign_host.origin}/v1/objects/x/content/video")
    event["data"]["recordingStorageInfo"]["recordingChunks"][0] = {
        name: good[name] for name in ("documentId", "index", "contentLocation", "metadataLocation", "endReason")
    }
    await publish(stack, event)
    finding = await attention(archive_container, event["id"])
    assert finding["documents"] == [event["data"]["recordingStorageInfo"]["recordingChunks"][1]["documentId"]]

    async def complete() -> dict[str, Any] | None:
        found = await archive.manifest_of(archive_container, event["data"]["recordingId"])
        return found[1] if found and found[1]["status"] == "complete" else None

    manifest = await eventually(complete)
    assert [chunk["content"]["sha256"] for chunk in manifest["chunks"]] == [good["sha256"]]
    assert foreign_host.requests == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eventType": "Microsoft.Communication.CallEnded"}, "CallEnded"),
        ({"data": {"recordingStorageInfo": {}}}, "recordingChunks"),
        ({"subject": "/elsewhere", "data": json.loads(PAYLOAD.read_text())["data"] | {"recordingId": None}}, "subject"),
    ],
)
async def test_an_event_that_cannot_be_archived_is_kept_with_the_reason(
    stack: Stack, archive_container: ContainerClient, change: dict[str, Any], reason: str
) -> None:
    event = {**forged("https://us-storage.asm.skype.com/x"), **change}
    url = f"{stack.url}/runtime/webhooks/EventGrid"
    parameters = {"functionName": "recording_file_status_updated", "code": stack.keys.event_grid_key}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params=parameters, json=[event], headers={"aeg-event-type": "Notification"}) as answer,
    ):
        assert answer.status == 202
    finding = await attention(archive_container, event["id"])
    assert finding["error"] == "InvalidEvent"
    assert reason in finding["reason"]


async def test_another_document_cannot_take_the_place_of_an_archived_chunk(
    archive_container: ContainerClient, acs_control: aiohttp.ClientSession, stack: Stack
) -> None:
    first, other = [await finished_recording(acs_control, announce=False) for _ in range(2)]
    await acs_control.post(f"recordings/{first['recordingId']}/announce", json={})

    async def complete() -> dict[str, Any] | None:
        found = await archive.manifest_of(archive_container, first["recordingId"])
        return found[1] if found and found[1]["status"] == "complete" else None

    before = await eventually(complete)
    event = forged("replaced")
    event["data"]["recordingId"] = first["recordingId"]
    event["data"]["recordingStartTime"] = first["startTime"]
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [
        {name: other["chunks"][0][name] for name in ("documentId", "index", "contentLocation", "metadataLocation")}
    ]
    await publish(stack, event)
    finding = await attention(archive_container, other["chunks"][0]["documentId"])
    assert finding["error"] == "ArchiveConflict"
    assert await complete() == before
