"""The archive is read back and compared with its manifests; whatever was changed since is named."""

from __future__ import annotations

import gc
import hashlib
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from azure.storage.blob import BlobBlock, ContentSettings

from shared.archiving.verification import Verification
from shared.core.errors import InvalidRequest, NotArchived
from shared.storage.ledger import TABLE
from shared.storage.manifest import ArchivedChunk, ArchivedMedia, ArchivedMetadata, Manifest
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.completion_fixtures import Workshop, event_of, workshop
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    from azure.storage.blob.aio import ContainerClient

    from local.azurite import Azurite

__all__ = ["acs_control", "app"]

MIB = 1024 * 1024


@pytest.fixture(scope="module")
async def shop(azurite: Azurite) -> AsyncIterator[Workshop]:
    async with workshop(azurite) as made:
        yield made


@pytest.fixture(scope="module")
async def recording(shop: Workshop) -> str:
    """The prefix of an archived recording of two chunks; who changes it puts it right again."""
    truth, _ = await shop.archive(chunks=2, durationSeconds=4)
    return await shop.prefix(truth["recordingId"])


def name_of(prefix: str) -> str:
    return prefix.rpartition("/")[2]


async def test_an_untouched_recording_is_verified_over_http(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession
) -> None:
    truth = await finished_recording(acs_control, chunks=2, durationSeconds=4)
    recording_id = truth["recordingId"]

    async def listed() -> dict[str, Any] | None:
        async with app.get("archive", params={"since": f"{datetime.now(UTC):%Y-%m-%d}", "limit": "200"}) as answer:
            assert answer.status == 200
            recordings = (await answer.json())["recordings"]
        return next((each for each in recordings if each["recordingId"] == recording_id), None)

    async def complete() -> dict[str, Any] | None:
        entry = await listed()
        return entry if entry is not None and entry["status"] == "complete" else None

    entry = await eventually(complete)
    assert entry["chunks"] == 2
    assert entry["bytes"] > sum(chunk["contentLength"] for chunk in truth["chunks"])
    async with app.post(f"recordings/{quote(recording_id, safe='')}/verify") as answer:
        assert answer.status == 200
        report = await answer.json()
    assert report == {
        "recordingId": recording_id,
        "prefix": entry["prefix"],
        "verified": True,
        "status": "complete",
        "differences": [],
        "chunks": [{"index": index, "ok": True, "differences": []} for index in (0, 1)],
        "next": None,
        "verifiedAt": report["verifiedAt"],
    }
    for path, status in (("recordings/unknown/verify", 404), (f"recordings/{entry['name']}/verify?chunk=x", 400)):
        async with app.post(path) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"


async def changed(container: ContainerClient, prefix: str, damage: str) -> None:
    media = container.get_blob_client(f"{prefix}/0000.mp3")
    content = bytearray(await (await media.download_blob()).readall())
    metadata = (await media.get_blob_properties()).metadata
    match damage:
        case "byte":
            content[len(content) // 2] ^= 1
            await media.upload_blob(bytes(content), overwrite=True, metadata=metadata)
        case "cut":
            await media.upload_blob(bytes(content[:-1]), overwrite=True, metadata=metadata)
        case "gone":
            await media.delete_blob()
        case "Content-MD5":
            await media.set_http_headers(ContentSettings(content_md5=bytearray(hashlib.md5(b"other").digest())))
        case "document":
            await media.set_blob_metadata({"documentid": "another"})
        case "metadata":
            await container.upload_blob(f"{prefix}/0000.metadata.json", b"{}", overwrite=True)
        case "unnamed file":
            await container.upload_blob(f"{prefix}/0000.mp4", b"not of this recording")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("byte", "0000.mp3 has SHA-256"),
        ("byte", "0000.mp3 has MD5"),
        ("cut", "bytes, the manifest says"),
        ("gone", "0000.mp3 is missing"),
        ("Content-MD5", "its Content-MD5 says"),
        ("document", "0000.mp3 was copied from another document"),
        ("metadata", "0000.metadata.json has 2 bytes"),
        ("unnamed file", "0000.mp4 is there and the manifest does not name it"),
    ],
)
async def test_what_was_changed_is_named(shop: Workshop, damage: str, named: str) -> None:
    truth, _ = await shop.archive()
    prefix = await shop.prefix(truth["recordingId"])
    await changed(shop.container, prefix, damage)
    report = await shop.services.verification.verify(truth["recordingId"])
    assert not report.verified
    differences = [*report.differences, *report.chunks[0].differences]
    assert any(named in difference for difference in differences), differences
    assert report.chunks[0].ok == (damage == "unnamed file")


async def test_gaps_and_chunks_that_wait_are_named(shop: Workshop) -> None:
    truth = await shop.acs.recording(chunks=4, durationSeconds=8, contentType="audio")
    event = event_of(truth)
    chunks = event["data"]["recordingStorageInfo"]["recordingChunks"]
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [chunks[2]]
    await shop.announce(event)
    report = await shop.services.verification.verify(truth["recordingId"])
    assert report.chunks[0].differences == ("it is announced and not archived",)
    await shop.work()
    report = await shop.services.verification.verify(truth["recordingId"])
    assert [(chunk.index, chunk.ok) for chunk in report.chunks] == [(2, True)]
    assert report.differences == (
        "no event has announced chunks 0 to 1",
        "no event has announced chunk 3, and there must be one",
    )
    assert not report.verified


async def test_files_of_a_chunk_that_is_being_archived_are_no_difference(shop: Workshop) -> None:
    truth = await shop.acs.recording(durationSeconds=2, chunks=1, contentType="audio")
    await shop.acs.fault(kind="status", status=404, target="metadata", documentId=truth["chunks"][0]["documentId"])
    await shop.announce(event_of(truth))
    await shop.work()
    report = await shop.services.verification.verify(truth["recordingId"])
    assert await shop.container.get_blob_client(f"{report.prefix}/0000.mp3").exists()
    assert report.differences == ()
    await shop.work()
    assert (await shop.services.verification.verify(truth["recordingId"])).verified


async def test_what_the_time_does_not_suffice_for_is_verified_by_the_next_request(
    shop: Workshop, recording: str
) -> None:
    hurried = Verification(shop.services.archive, shop.services.places, budget=timedelta(0))
    first = await hurried.verify(name_of(recording))
    assert ([chunk.index for chunk in first.chunks], first.next, first.verified) == ([0], 1, False)
    rest = await hurried.verify(name_of(recording), chunk=str(first.next))
    assert ([chunk.index for chunk in rest.chunks], rest.next, rest.verified) == ([1], None, True)


async def test_a_chunk_that_cannot_be_read_in_a_requests_time_is_named_and_does_not_bar_the_way(
    shop: Workshop, recording: str
) -> None:
    slow = Verification(shop.services.archive, shop.services.places, budget=timedelta(0), limit=timedelta(0))
    report = await slow.verify(name_of(recording))
    assert report.chunks[0].differences == ("it could not be read in 0 s",)
    assert report.next == 1


async def test_a_large_chunk_is_read_in_little_memory(shop: Workshop) -> None:
    content, prefix = bytes(64 * MIB), f"{datetime.now(UTC):%Y/%m/%d}/large"
    digests = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()
    media = shop.container.get_blob_client(f"{prefix}/0000.wav")
    blocks = [BlobBlock(f"{number:04}") for number in range(64)]
    for block in blocks:
        await media.stage_block(block.id, bytes(MIB))
    stored = ContentSettings(content_md5=bytearray(bytes.fromhex(digests[0])))
    await media.commit_block_list(blocks, content_settings=stored)
    await shop.container.upload_blob(f"{prefix}/0000.metadata.json", b"{}", overwrite=True)
    chunk = ArchivedChunk(
        index=0,
        document_id="d",
        archived_at="2026-11-22T00:00:00Z",
        content=ArchivedMedia(blob=f"{prefix}/0000.wav", size=len(content), md5=digests[0], sha256=digests[1]),
        metadata=ArchivedMetadata(
            blob=f"{prefix}/0000.metadata.json", size=2, sha256=hashlib.sha256(b"{}").hexdigest()
        ),
    )
    manifest = Manifest(recording_id="large", chunks=(chunk,))
    await shop.container.upload_blob(f"{prefix}/manifest.json", manifest.to_json(), overwrite=True)
    del content
    gc.collect()
    tracemalloc.start()
    try:
        report = await shop.services.verification.verify("large")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.verified, report
    assert peak < 32 * MIB


async def test_a_recording_that_the_ledger_has_forgotten_is_found_in_its_day(shop: Workshop) -> None:
    truth, _ = await shop.archive()
    prefix = await shop.prefix(truth["recordingId"])
    table = shop.services.table_service.get_table_client(TABLE)
    async for row in table.query_entities("PartitionKey eq @name", parameters={"name": name_of(prefix)}):
        await table.delete_entity(row)
    assert (await shop.services.verification.verify(truth["recordingId"])).verified
    assert (await shop.services.verification.verify(name_of(prefix))).prefix == prefix
    with pytest.raises(NotArchived):
        await shop.services.verification.verify("../../" + prefix)


async def test_a_recording_without_a_manifest_is_reported_and_listed(shop: Workshop) -> None:
    for name, content in (("no-manifest/events/1.json", b"{}"), ("broken/manifest.json", b"{]")):
        await shop.container.upload_blob(f"2019/01/02/{name}", content)
    listed = await shop.services.listing.page(since="2019-01-02", limit="2")
    assert [(entry.name, entry.status) for entry in listed.recordings] == [
        ("broken", "unreadable"),
        ("no-manifest", "unreadable"),
    ]
    assert (await shop.services.verification.verify("no-manifest")).differences == ("manifest.json is missing",)
    broken = await shop.services.verification.verify("broken")
    (said,) = broken.differences
    assert "2019/01/02/broken/manifest.json is not a manifest" in said
    assert "bring an earlier version of the blob back" in said
    assert not broken.verified


@pytest.mark.parametrize("limit", ["1", "2", "3", "200"])
async def test_every_recording_is_listed_once_whatever_the_page_size(azurite: Azurite, limit: str) -> None:
    days = {"2024/12/31": 1, "2025/01/01": 3, "2025/02/01": 2, "2025/02/10": 1}
    async with workshop(azurite) as shop:
        await shop.container.upload_blob("attention/event.1.json", b"{}")
        await shop.container.upload_blob("calls/call.1.json", b"{}")
        wanted = [f"{day}/r{number}" for day, count in days.items() for number in range(count)]
        for prefix in wanted:
            for name in ("0000.mp4", "events/e.json"):
                await shop.container.upload_blob(f"{prefix}/{name}", b"x")
            await shop.container.upload_blob(f"{prefix}/manifest.json", Manifest(recording_id=prefix).to_json())
        for since, expected in ((None, wanted), ("2025-01-01", wanted[1:]), ("2025-02-02", wanted[6:])):
            found, cursor = [], None
            while True:
                page = await shop.services.listing.page(since, cursor, limit)
                assert len(page.recordings) <= int(limit)
                found += [entry.prefix for entry in page.recordings]
                if (cursor := page.cursor) is None:
                    break
            assert found == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "yesterday"),
        ("since", "2026-13-01"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("cursor", "x"),
        ("cursor", "WyIyMDI2LzAxIiwgbnVsbF0"),
        ("cursor", "Wzci"),
    ],
)
async def test_a_wrong_parameter_of_the_list_is_named(shop: Workshop, name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await shop.services.listing.page(**{name: value})
    assert raised.value.field == name


async def test_the_answers_are_json_with_the_documented_names(shop: Workshop, recording: str) -> None:
    report = await shop.services.verification.verify(name_of(recording))
    page = await shop.services.listing.page(limit="1")
    assert set(json.loads(report.model_dump_json(by_alias=True))) == {
        "recordingId", "prefix", "verified", "status", "differences", "chunks", "next", "verifiedAt"
    }  # fmt: skip
    assert set(page.model_dump(by_alias=True)["recordings"][0]) == {
        "recordingId", "name", "prefix", "status", "startTime", "chunks", "bytes"
    }  # fmt: skip
