"""Somebody edits a manifest: what cannot be had again is copied all the same, and nothing is copied twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.errors import ManifestUnreadable
from tests.integration.archive_parts import Parts, archive_parts
from tests.integration.completion_fixtures import MEDIA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, MEDIA) as made:
        yield made


async def broken(parts: Parts, truth: dict[str, Any]) -> tuple[str, bytes]:
    """Make a recording's manifest unreadable; returns the blob, and what it was."""
    blob = f"{await parts.prefix(truth)}/manifest.json"
    content = await parts.archive.blobs.read(blob)
    assert content is not None
    await parts.container.upload_blob(blob, b'{"edited": by hand', overwrite=True)
    return blob, content


async def is_whole(parts: Parts, truth: dict[str, Any]) -> bool:
    manifest = await parts.manifest(truth)
    assert manifest is not None
    digests = [chunk["content"]["sha256"] for chunk in manifest["chunks"] if chunk["content"]]
    return manifest["status"] == "complete" and digests == [chunk["sha256"] for chunk in truth["chunks"]]


async def test_chunks_are_copied_and_the_recording_is_complete_once_the_manifest_is_back_after_the_source_is_gone(
    parts: Parts,
) -> None:
    truth = await parts.recording(chunks=2, durationSeconds=4)
    await parts.intake.announce(parts.event(truth, 0))
    blob, content = await broken(parts, truth)
    await parts.deliver(parts.event(truth, 0, 1))
    await parts.live(10 * MINUTE)
    prefix = blob.removesuffix("manifest.json")
    names = [found.name.removeprefix(prefix) async for found in parts.container.list_blobs(name_starts_with=prefix)]
    assert {"0000.mp3", "0000.metadata.json", "0001.mp3", "0001.metadata.json"} < set(names)
    [finding] = await parts.findings()
    assert (finding["kind"], finding["error"]) == ("gap", "ManifestUnreadable")
    assert blob in finding["reason"]
    assert "bring an earlier version" in finding["reason"]

    parts.acs.log.clear()
    parts.acs.order_fault(kind="404", target="any", times=None)
    await parts.live(26 * HOUR)
    assert [record for record in parts.acs.log.all() if record.document_id] == []
    assert {finding["kind"] for finding in await parts.findings()} == {"gap"}

    await parts.container.upload_blob(blob, content, overwrite=True)
    await parts.live(3 * HOUR)
    assert await is_whole(parts, truth)
    assert await parts.findings() == []
    assert [record for record in parts.acs.log.all() if record.document_id] == []


async def test_where_no_earlier_version_is_left_the_manifest_is_made_again_from_what_is_kept(parts: Parts) -> None:
    truth = await parts.recording()
    await parts.deliver(parts.event(truth))
    await parts.live(MINUTE)
    blob, _ = await broken(parts, truth)
    await parts.live(10 * MINUTE)
    [finding] = await parts.findings()
    with pytest.raises(ManifestUnreadable, match=r"manifest\.json"):
        await parts.recovery.manual_retry.retry(finding["id"])
    await parts.container.delete_blob(blob)
    await parts.recovery.manual_retry.retry(finding["id"])
    await parts.live(10 * MINUTE)
    assert await is_whole(parts, truth)
    assert await parts.findings() == []


async def test_a_chunk_whose_files_are_there_needs_no_source_any_more(parts: Parts) -> None:
    """The media and the metadata were committed, and the manifest could not be written until the source was gone."""
    truth = await parts.recording()
    [message] = await parts.intake.announce(parts.event(truth))
    blob, content = await broken(parts, truth)
    await parts.chunk_archiver.take(message)
    await parts.container.upload_blob(blob, content, overwrite=True)
    parts.acs.order_fault(kind="404", target="any", times=None)
    parts.acs.clock.advance(25 * 3600)
    parts.queue.messages.clear()
    await parts.chunk_archiver.take(message)
    assert await is_whole(parts, truth)
