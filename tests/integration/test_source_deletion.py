"""With DELETE_SOURCE_AFTER_ARCHIVE: the service's copy goes, once the archive's was read back, and never before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.completion_fixtures import Workshop, altered, event_of, workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite


@pytest.fixture(scope="module")
async def shop(azurite: Azurite) -> AsyncIterator[Workshop]:
    async with workshop(azurite, DELETE_SOURCE_AFTER_ARCHIVE="true") as made:
        yield made


async def kept_by_the_service(shop: Workshop) -> tuple[dict[str, Any], str]:
    """An archived recording whose source could not be deleted, and the message that is to come again."""
    truth = await shop.acs.recording(durationSeconds=2, chunks=1, contentType="audio")
    document = truth["chunks"][0]["documentId"]
    await shop.acs.fault(kind="status", status=403, target="delete", documentId=document, times=None)
    await shop.announce(event_of(truth))
    await shop.work()
    return truth, document


async def test_the_source_is_deleted_after_everything_else(shop: Workshop) -> None:
    truth, _ = await shop.archive(chunks=2, durationSeconds=4)
    manifest = await shop.manifest(truth["recordingId"])
    assert manifest.status == "complete"
    for chunk, archived in zip((await shop.acs.truth(truth["recordingId"]))["chunks"], manifest.chunks, strict=True):
        document = chunk["documentId"]
        asked = [(record.method, record.target) for record in shop.acs.acs.log.all() if record.document_id == document]
        assert asked[-1] == ("DELETE", "delete")
        assert {"content", "metadata"} == {target for method, target in asked if method == "GET"}
        assert chunk["deleted"]
        assert archived.source_deleted_at is not None
        assert archived.archived_at is not None
        assert archived.source_deleted_at > archived.archived_at


async def test_a_failed_deletion_comes_again_and_copies_nothing_again(shop: Workshop) -> None:
    truth, document = await kept_by_the_service(shop)
    manifest = await shop.manifest(truth["recordingId"])
    assert manifest.status == "complete", "the archive does not wait for the deletion"
    assert manifest.chunks[0].source_deleted_at is None
    content = truth["chunks"][0]["contentLocation"].partition("/v1/")[2]
    copied = [path for path in shop.requests(document, "GET") if content in path]
    await shop.acs.control("DELETE", "faults")
    await shop.work()
    assert (await shop.manifest(truth["recordingId"])).chunks[0].source_deleted_at is not None
    assert (await shop.acs.truth(truth["recordingId"]))["chunks"][0]["deleted"]
    assert [path for path in shop.requests(document, "GET") if content in path] == copied


async def test_a_source_that_is_gone_already_counts_as_deleted(shop: Workshop) -> None:
    truth, document = await kept_by_the_service(shop)
    await shop.acs.control("DELETE", "faults")
    answer = await shop.acs.fetch(truth["chunks"][0]["deleteLocation"], method="DELETE")
    assert answer.status == 200
    await shop.work()
    assert (await shop.manifest(truth["recordingId"])).chunks[0].source_deleted_at is not None
    assert shop.requests(document, "DELETE")


@pytest.mark.parametrize("damage", ["media changed", "media gone", "metadata changed", "archived from elsewhere"])
async def test_nothing_is_deleted_when_what_is_read_back_differs(shop: Workshop, damage: str) -> None:
    truth, document = await kept_by_the_service(shop)
    prefix = await shop.prefix(truth["recordingId"])
    chunk = (await shop.manifest(truth["recordingId"])).chunks[0]
    assert chunk.content is not None
    media = shop.container.get_blob_client(chunk.content.blob)
    match damage:
        case "media changed":
            content = bytearray(await shop.read(chunk.content.blob))
            content[-1] ^= 1
            await media.upload_blob(bytes(content), overwrite=True)
        case "media gone":
            await media.delete_blob()
        case "metadata changed":
            await shop.container.upload_blob(f"{prefix}/0000.metadata.json", b"{}", overwrite=True)
        case "archived from elsewhere":
            await media.set_blob_metadata({"documentid": "another"})
    await shop.acs.control("DELETE", "faults")
    tried = len(shop.requests(document, "DELETE"))
    await shop.work()
    assert len(shop.requests(document, "DELETE")) == tried
    assert not (await shop.acs.truth(truth["recordingId"]))["chunks"][0]["deleted"]
    finding = next(found for found in await shop.findings() if found.get("documentId") == document)
    assert "the source was not deleted" in finding["reason"]
    assert (await shop.manifest(truth["recordingId"])).chunks[0].source_deleted_at is None


async def test_nothing_is_deleted_when_another_worker_archived_other_metadata(shop: Workshop) -> None:
    truth = await shop.acs.recording(durationSeconds=2, chunks=1, contentType="audio")
    document = truth["chunks"][0]["documentId"]
    event = event_of(truth)
    await shop.announce(event)
    prefix = await shop.prefix(truth["recordingId"])
    await shop.container.upload_blob(f"{prefix}/0000.metadata.json", json.dumps({"chunkDocumentId": document}))
    await shop.work()
    assert (await shop.manifest(truth["recordingId"])).status == "complete"
    assert shop.requests(document, "DELETE") == []
    assert "not the one that is archived" in next(
        found["reason"] for found in await shop.findings() if found.get("documentId") == document
    )


async def test_the_older_form_of_the_event_names_nothing_to_delete(shop: Workshop) -> None:
    truth = await shop.acs.recording(durationSeconds=2, chunks=1, contentType="audio")
    event = altered(event_of(truth), deleteLocation=None)
    await shop.work(await shop.announce(event))
    assert (await shop.manifest(truth["recordingId"])).status == "complete"
    assert shop.requests(truth["chunks"][0]["documentId"], "DELETE") == []


async def test_a_place_to_delete_at_a_foreign_origin_refuses_the_event(shop: Workshop) -> None:
    truth = await shop.acs.recording(durationSeconds=2, chunks=1, contentType="audio")
    event = altered(event_of(truth), deleteLocation="https://elsewhere.example.net/v1/objects/x")
    assert await shop.announce(event) == 0
    assert shop.requests(truth["chunks"][0]["documentId"], "GET") == []
    assert any("elsewhere.example.net" in found["reason"] for found in await shop.findings())


async def test_nothing_is_deleted_unless_it_is_asked_for(azurite: Azurite) -> None:
    async with workshop(azurite) as shop:
        truth, _ = await shop.archive()
        assert (await shop.manifest(truth["recordingId"])).status == "complete"
        assert shop.requests(truth["chunks"][0]["documentId"], "DELETE") == []
