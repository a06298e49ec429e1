"""A forged event sends no credential anywhere, writes nothing outside its own place, and is shown to the operator."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import pytest

from local import archive
from shared.core.blob_names import safe_name
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.archive_parts import archive_parts
from tests.integration.test_archive_refusals import ForeignHost, foreign_host, forged, publish
from tests.integration.test_recovery import HOUR
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from local.azurite import Azurite
    from local.stack import Stack
    from tests.integration.archive_parts import Parts

__all__ = ["acs_control", "app", "foreign_host"]

MEDIA = Path(__file__).resolve().parents[2] / ".local" / "media"
SERVICE = "https://us-storage.asm.skype.com"
LOCATIONS = {
    "foreign origin": "{foreign_host}/v1/objects/x/content/video",
    "instance metadata": "http://169.254.169.254/metadata/identity/oauth2/token?resource=https://storage.azure.com",
    "user and password": "http://user:password@127.0.0.1:{port}/v1/objects/x/content/video",
    "host as user": "http://127.0.0.1:{port}@localhost:{port}/v1",
    "backslash": "http://localhost:{port}\\@127.0.0.1/v1",
    "full-width stop": "http://127.0.0\uff0e1:{port}/v1",
    "encoded slash in the host": "http://localhost:{port}%2f.127.0.0.1/v1",
    "line break": "http://127.0.0.1:{port}/v1\r\nx-injected: 1",
    "file": "file:///etc/passwd",
    "no scheme": "//localhost:{port}/v1",
}


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, MEDIA) as made:
        yield made


async def shown(app: aiohttp.ClientSession, needle: str) -> dict[str, Any]:
    """The row at GET /api/attention that has `needle`."""

    async def look() -> dict[str, Any] | None:
        async with app.get("attention") as answer:
            assert answer.status == 200, await answer.text()
            rows: list[dict[str, Any]] = (await answer.json())["findings"]
        return next((row for row in rows if needle in json.dumps(row)), None)

    return await eventually(look, within=30)


async def post(stack: Stack, event: dict[str, Any], function: str = "recording_file_status_updated") -> int:
    """Deliver to the webhook itself, as somebody could who has its key."""
    url = f"{stack.url}/runtime/webhooks/EventGrid"
    parameters = {"functionName": function, "code": stack.keys.event_grid_key}
    headers = {"aeg-event-type": "Notification", "content-type": "application/json"}
    body = io.BytesIO(json.dumps([event]).encode())
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params=parameters, data=body, headers=headers) as answer,
    ):
        return answer.status


def recordings(names: dict[str, int]) -> set[str]:
    """The folders and the rest of what lies in the container, besides what is kept for the operator."""
    return {"/".join(name.split("/")[:4]) for name in names if not name.startswith("attention/")}


@pytest.mark.parametrize("trick", LOCATIONS)
async def test_a_location_that_is_not_trusted_is_kept_for_the_operator_and_nothing_else_happens(
    trick: str, stack: Stack, app: aiohttp.ClientSession, archive_container: ContainerClient, foreign_host: ForeignHost
) -> None:
    port = int(foreign_host.origin.rpartition(":")[2])
    event = forged(LOCATIONS[trick].format(foreign_host=foreign_host.origin, port=port))
    before = recordings(await archive.listing(archive_container))
    assert await post(stack, event) == 202
    row = await shown(app, event["id"])
    assert row["error"] == "UntrustedOrigin"
    assert "password" not in row["reason"]
    assert foreign_host.requests == []
    assert not [name for name in recordings(await archive.listing(archive_container)) - before if event["id"] in name]
    assert await archive.manifest_of(archive_container, event["data"]["recordingId"]) is None


async def test_a_redirect_to_a_foreign_origin_is_shown_and_gets_no_request(
    stack: Stack, app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, foreign_host: ForeignHost
) -> None:
    truth = await finished_recording(acs_control, announce=False, contentType="audio", format="mp3")
    document = truth["chunks"][0]["documentId"]
    for target in ("content", "metadata"):
        stack.acs.order_fault(
            kind="redirect", target=target, document_id=document, times=None, location=f"{foreign_host.origin}/steal"
        )
    await acs_control.post(f"recordings/{truth['recordingId']}/announce", json={})
    row = await shown(app, document)
    assert row["error"] == "UntrustedOrigin"
    assert foreign_host.requests == []


@pytest.mark.parametrize("schema", ["eventgrid", "cloudevents"])
@pytest.mark.parametrize("function", ["recording_file_status_updated", "call_started_or_ended"])
async def test_an_event_of_another_resource_is_refused_and_shown(
    schema: str, function: str, stack: Stack, app: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    event = forged(f"{stack.acs.endpoint}/v1/objects/x/content/video")
    foreign = event["topic"] = event["topic"].replace("acs-emulator", "somebody-elses")
    if schema == "cloudevents":
        names = {"source": "topic", "type": "eventType", "time": "eventTime"}
        event = {
            **{new: event[old] for new, old in names.items()},
            **{name: event[name] for name in ("id", "subject", "data")},
            "specversion": "1.0",
        }
    assert await post(stack, event, function) == 202
    row = await shown(app, event["id"])
    assert "ACS_RESOURCE_ID" in row["reason"]
    assert foreign in row["reason"]
    assert await archive.manifest_of(archive_container, event["data"]["recordingId"]) is None


async def test_the_topic_is_compared_without_case(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    truth = await finished_recording(acs_control, announce=False, contentType="audio", format="mp3")
    chunk = truth["chunks"][0]
    event = forged("replaced")
    event["topic"] = event["topic"].upper().replace("/SUBSCRIPTIONS", "/subscriptions")
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [
        {name: chunk[name] for name in ("documentId", "index", "contentLocation", "metadataLocation", "endReason")}
    ]
    event["data"] |= {"recordingFormatType": "Mp3", "recordingContentType": "Audio"}
    await publish(stack, event)

    async def complete() -> bool:
        found = await archive.manifest_of(archive_container, event["data"]["recordingId"])
        return found is not None and found[1]["status"] == "complete"

    await eventually(complete)


async def test_an_event_of_50_mb_is_shown_and_nowhere_copied(
    stack: Stack, app: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    event = forged(f"{stack.acs.endpoint}/v1/objects/x/content/video")
    event["data"]["padding"] = "A" * 50 * 1024 * 1024
    log = stack.host.options.log
    logged = log.stat().st_size
    assert await post(stack, event) == 202
    row = await shown(app, event["id"])
    assert "larger than" in row["reason"]
    kept = {n: size for n, size in (await archive.listing(archive_container)).items() if event["id"] in n}
    assert list(kept) == [f"attention/event.{event['id']}.json"]
    assert sum(kept.values()) < 4096
    assert log.stat().st_size - logged < 64 * 1024


@pytest.mark.parametrize(
    "trick", ["../../x", "..\\..\\x", "/etc/x", "..%2f..%2fx", "a/../../b", ".", "..", "\u202egpj"]
)
async def test_ids_that_look_like_paths_stay_in_the_recordings_own_place(trick: str, parts: Parts) -> None:
    truth = await parts.recording()
    event = parts.event(truth)
    event["id"] = event["data"]["recordingId"] = trick
    event["subject"] = f"/recording/call/{trick}/serverCallId/{trick}/recordingId/{trick}"
    event["data"]["recordingStorageInfo"]["recordingChunks"][0]["documentId"] = trick
    await parts.deliver(event)
    await parts.live(HOUR)
    names = [blob.name async for blob in parts.container.list_blobs()]
    prefix = f"{truth['startTime'][:10].replace('-', '/')}/{safe_name(trick)}/"
    outside = [name for name in names if not name.startswith((prefix, "attention/"))]
    assert all(name.startswith("calls/call.") and name.count("/") == 1 for name in outside), outside
    assert not [name for name in names if "/../" in name or "\\" in name or "\u202e" in name or "%" in name]
    assert prefix + "manifest.json" in names
    # The metadata file is about another document, so the chunk waits, and an incident is reported.
    [finding] = await parts.findings()
    assert (finding["kind"], finding["recordingId"]) == ("waiting", trick)


async def test_events_made_to_break_the_reader_are_kept_and_do_not_stop_the_sweep(parts: Parts) -> None:
    truth = await parts.recording()
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    base = parts.event(truth)
    hostile: list[dict[str, Any]] = [
        {**base, "data": {**base["data"], "deep": deep}},
        {**base, "eventTime": "9999-12-31T23:59:59Z"},
        {**base, "data": {**base["data"], "recordingDurationMs": float("inf")}},
        {**base, "data": {**base["data"], "recordingId": "\ud800"}},
        {**base, "data": {**base["data"], "recordingId": "r" * 100_000}},
        {**base, "subject": "/recording/call/" + "c" * 100_000},
        {**base, "data": {"recordingStorageInfo": {"recordingChunks": [{"index": n} for n in range(5000)]}}},
        {**base, "data": {**base["data"], "padding": ["x"] * 2_000_000}},
        {**base, "eventType": deep},
    ]
    for number, event in enumerate(hostile):
        event["id"] = f"hostile-{number}"
        await parts.deliver(event)
        if number != 7:
            await parts.dead_letters.upload_blob(f"X/{number}.json", json.dumps(event))
    await parts.dead_letters.upload_blob("Z/last.json", json.dumps(parts.event(truth)))
    await parts.live(HOUR)
    findings = {finding["id"] for finding in await parts.findings()}
    assert {f"event.hostile-{number}" for number in range(len(hostile))} <= findings
    manifest = await parts.manifest(truth)
    assert manifest is not None
    assert manifest["status"] == "complete"


async def test_a_flood_of_forged_events_neither_stops_nor_delays_a_real_one(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    events = [forged("http://169.254.169.254/" + uuid4().hex) for _ in range(30)]
    truth, *answers = await asyncio.gather(
        finished_recording(acs_control, contentType="audio", format="mp3"), *(post(stack, event) for event in events)
    )
    assert set(answers) == {202}

    async def complete() -> bool:
        found = await archive.manifest_of(archive_container, truth["recordingId"])
        return found is not None and found[1]["status"] == "complete"

    await eventually(complete)
