"""Copies from a real HTTP server into a real Azurite."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import BlobBlock

from shared.core.errors import ArchiveConflict, Handover, Retryable, SourceChanged, SourceNotReady
from shared.upload.copier import Copier
from tests.integration.transfer_fixtures import Damages, LosesAnswer, Refuses, copy, digests, open_store, read
from tests.source_server import Answers, Cuts, SourceServer, Stalls, recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import BlobClient

    from local.azurite import Azurite
    from tests.integration.transfer_fixtures import StorageFault, Store

BLOCK = 256 * 1024
SIZE = 6 * BLOCK + 1000


@pytest.fixture
async def server() -> AsyncIterator[SourceServer]:
    async with SourceServer(recording(SIZE)) as running:
        yield running


@pytest.fixture
async def store(azurite: Azurite) -> AsyncIterator[Store]:
    async with open_store(azurite) as opened:
        yield opened


async def until_staged(store: Store, count: int) -> None:
    async with asyncio.timeout(20):
        while len(set(store.proxy.staged)) < count:
            await asyncio.sleep(0.01)


async def put_by_somebody_else(blob: BlobClient, content: bytes) -> None:
    """Make a blob of blocks below a MiB, since aiohttp warns of larger bodies."""
    names = []
    for offset in range(0, len(content), 500_000):
        names.append(f"{offset:08d}")
        await blob.stage_block(names[-1], content[offset : offset + 500_000], validate_content=True)
    await blob.commit_block_list([BlobBlock(name) for name in names])


async def test_a_file_of_one_block_takes_one_request(server: SourceServer, store: Store) -> None:
    server.content = recording(BLOCK)
    blob = store.blob()

    copied = await copy(server, blob)

    assert dict(store.proxy.asked) == {"put blob": 1}
    assert (copied.size, copied.existed, copied.resumed_bytes) == (BLOCK, False, 0)
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert await read(blob) == server.content


@pytest.mark.parametrize("size", [1000, SIZE, 2_000_000])
async def test_type_digests_and_document_are_stored_with_the_blob(
    server: SourceServer, store: Store, size: int
) -> None:
    server.content = recording(size)
    blob = store.blob()
    await copy(server, blob, document_id="0-eus/d 1é", transfer=Copier(block_mib=0.25, concurrency=4))
    properties = await blob.get_blob_properties()
    md5, sha256 = digests(server.content)
    assert properties.content_settings.content_type == "video/mp4"
    assert bytes(properties.content_settings.content_md5 or b"").hex() == md5
    assert properties.metadata == {"documentid": "0-eus%2Fd%201%C3%A9", "sha256": sha256}


async def test_a_single_put_above_a_mebibyte_goes_through_without_a_warning(server: SourceServer, store: Store) -> None:
    server.content = recording(3_000_000)
    blob = store.blob()
    await copy(server, blob, transfer=Copier(block_mib=4, concurrency=4))
    assert dict(store.proxy.asked) == {"put blob": 1}
    assert await read(blob) == server.content


async def test_a_larger_file_takes_a_look_its_blocks_and_one_commit(server: SourceServer, store: Store) -> None:
    blob = store.blob()

    copied = await copy(server, blob)

    assert dict(store.proxy.asked) == {"list blocks": 1, "stage block": 7, "commit": 1}
    assert len(set(store.proxy.staged)) == 7
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert await read(blob) == server.content


async def test_a_source_without_ranges_is_copied_in_one_pass(server: SourceServer, store: Store) -> None:
    server.ranges = False
    blob = store.blob()
    await copy(server, blob)
    assert len(server.requests) == 1
    assert await read(blob) == server.content


@pytest.mark.parametrize("size", [1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5])
async def test_a_source_that_says_no_length_is_copied_to_its_end(server: SourceServer, store: Store, size: int) -> None:
    server.ranges = server.says_length = False
    server.content = recording(size)
    blob = store.blob()
    copied = await copy(server, blob)
    assert copied.size == size
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert await read(blob) == server.content


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_the_same_file_again_is_recognised(server: SourceServer, store: Store, size: int) -> None:
    server.content = recording(size)
    blob = store.blob()
    first = await copy(server, blob)
    store.proxy.asked.clear()
    server.requests.clear()

    again = await copy(server, blob)

    assert again.existed
    assert (again.size, again.md5, again.sha256) == (first.size, first.md5, first.sha256)
    assert store.proxy.asked.total() == 2
    if size > BLOCK:
        assert len(server.requests) == 1


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_another_document_under_the_name_is_a_conflict_and_kept(
    server: SourceServer, store: Store, size: int
) -> None:
    server.content = recording(size)
    blob = store.blob()
    await copy(server, blob, document_id="first")
    with pytest.raises(ArchiveConflict):
        await copy(server, blob, document_id="second")
    assert (await blob.get_blob_properties()).metadata["documentid"] == "first"


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_another_size_under_the_name_is_a_conflict_and_kept(
    server: SourceServer, store: Store, size: int
) -> None:
    blob = store.blob()
    server.content = recording(size)
    await copy(server, blob)
    before = server.content
    server.content = recording(size - 1)
    with pytest.raises(ArchiveConflict):
        await copy(server, blob)
    assert await read(blob) == before


async def test_other_bytes_under_the_name_are_a_conflict_and_kept(server: SourceServer, store: Store) -> None:
    blob = store.blob()
    other = recording(SIZE, seed=1)
    await put_by_somebody_else(blob, other)
    with pytest.raises(ArchiveConflict):
        await copy(server, blob)
    assert await read(blob) == other


@pytest.mark.parametrize("size", [BLOCK, SIZE])
async def test_the_same_bytes_from_another_writer_are_accepted(server: SourceServer, store: Store, size: int) -> None:
    server.content = recording(size)
    blob = store.blob()
    await put_by_somebody_else(blob, server.content)
    copied = await copy(server, blob)
    assert copied.existed
    assert (copied.md5, copied.sha256) == digests(server.content)


async def test_an_attempt_goes_on_from_what_is_staged(server: SourceServer, store: Store) -> None:
    blob = store.blob()
    server.hold_bodies(4 * BLOCK)
    first = asyncio.create_task(copy(server, blob))
    await until_staged(store, 4)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    server.release_bodies()
    staged = len(set(store.proxy.staged))
    server.requests.clear()

    copied = await copy(server, blob)

    assert copied.resumed_bytes == staged * BLOCK
    assert [request.first for request in server.requests] == [0, staged * BLOCK]
    assert len(store.proxy.staged) == 7
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert await read(blob) == server.content
    properties = await blob.get_blob_properties()
    assert bytes(properties.content_settings.content_md5 or b"").hex() == copied.md5
    assert properties.metadata["sha256"] == copied.sha256


async def test_without_ranges_what_is_staged_is_not_sent_again(server: SourceServer, store: Store) -> None:
    server.ranges = False
    blob = store.blob()
    server.hold_bodies(4 * BLOCK)
    first = asyncio.create_task(copy(server, blob))
    await until_staged(store, 4)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    server.release_bodies()

    copied = await copy(server, blob)

    assert copied.resumed_bytes >= 3 * BLOCK
    assert len(store.proxy.staged) == len(set(store.proxy.staged)) == 7
    assert await read(blob) == server.content
    assert store.proxy.asked["read"] == 1  # the test's own: the digests were computed on the way


async def test_a_deadline_hands_over_and_the_next_attempt_arrives(server: SourceServer, store: Store) -> None:
    blob = store.blob()
    server.hold_bodies(2 * BLOCK)
    loop = asyncio.get_running_loop()
    with pytest.raises(Handover) as handover:
        await copy(server, blob, deadline=loop.time() + 0.5)
    assert isinstance(handover.value, Retryable)
    assert handover.value.staged >= BLOCK
    assert handover.value.size == SIZE

    server.release_bodies()
    copied = await copy(server, blob, deadline=loop.time() + 60)
    assert copied.resumed_bytes == handover.value.staged
    assert await read(blob) == server.content


async def test_a_crash_between_the_commit_and_the_digests_is_made_up_for(server: SourceServer, store: Store) -> None:
    await _abandon(server, store, "a.mp4")
    blob = store.blob("a.mp4")
    store.proxy.faults["read"].append(Refuses(403))
    with pytest.raises(Retryable):
        await copy(server, blob)
    assert (await blob.get_blob_properties()).size == SIZE

    copied = await copy(server, blob)

    assert copied.existed
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert (await blob.get_blob_properties()).metadata["sha256"] == copied.sha256


async def test_two_copies_at_once_end_in_one_blob(server: SourceServer, store: Store) -> None:
    blob = store.blob("same.mp4")
    results = await asyncio.gather(*[copy(server, store.blob("same.mp4")) for _ in range(3)])
    assert {(copied.size, copied.md5, copied.sha256) for copied in results} == {(SIZE, *digests(server.content))}
    assert sum(not copied.existed for copied in results) == 1
    assert await read(blob) == server.content


@pytest.mark.parametrize("ranges", [True, False])
async def test_blocks_of_a_file_that_changed_its_size_are_never_mixed_in(
    server: SourceServer, store: Store, ranges: bool
) -> None:
    server.ranges = ranges
    await _abandon(server, store, "a.mp4")
    server.content = recording(SIZE + 1, seed=1)
    copied = await copy(server, store.blob("a.mp4"))
    assert copied.resumed_bytes == 0
    assert await read(store.blob("a.mp4")) == server.content


async def test_blocks_of_a_file_that_begins_otherwise_are_never_mixed_in(server: SourceServer, store: Store) -> None:
    await _abandon(server, store, "a.mp4")
    server.content = recording(SIZE, seed=1)
    copied = await copy(server, store.blob("a.mp4"))
    assert copied.resumed_bytes == 0
    assert await read(store.blob("a.mp4")) == server.content


async def test_blocks_of_a_file_with_another_etag_are_never_mixed_in(server: SourceServer, store: Store) -> None:
    server.etag = '"one"'
    await _abandon(server, store, "a.mp4")
    server.etag = '"two"'
    server.content = server.content[:100_000] + bytes(SIZE - 100_000)
    copied = await copy(server, store.blob("a.mp4"))
    assert copied.resumed_bytes == 0
    assert await read(store.blob("a.mp4")) == server.content


async def test_without_ranges_blocks_with_other_bytes_are_never_mixed_in(server: SourceServer, store: Store) -> None:
    server.ranges = False
    await _abandon(server, store, "a.mp4")
    server.content = server.content[:100_000] + bytes(SIZE - 100_000)
    copied = await copy(server, store.blob("a.mp4"))
    assert copied.resumed_bytes == 0
    assert await read(store.blob("a.mp4")) == server.content


async def _abandon(server: SourceServer, store: Store, name: str) -> None:
    server.hold_bodies(4 * BLOCK)
    attempt = asyncio.create_task(copy(server, store.blob(name)))
    await until_staged(store, 4)
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    server.release_bodies()


async def test_a_file_that_changes_while_it_is_copied_is_reported(server: SourceServer, store: Store) -> None:
    server.hold_bodies(2 * BLOCK)
    server.faults += [None, Cuts(3 * BLOCK)]
    attempt = asyncio.create_task(copy(server, store.blob("a.mp4")))
    await until_staged(store, 2)
    server.content = recording(SIZE + 5)
    server.release_bodies()
    with pytest.raises(SourceChanged):
        await attempt
    assert not await store.blob("a.mp4").exists()


SPELLS = [Refuses(503), Refuses(500), Refuses(429, {"Retry-After": "0"}), LosesAnswer()]


@pytest.mark.parametrize(
    ("fault", "at"),
    [
        *[(fault, at) for fault in SPELLS for at in ("stage block", "commit", "put blob", "list blocks")],
        (Damages(), "stage block"),
        (Damages(), "put blob"),
    ],
)
async def test_storage_that_fails_for_a_moment_is_got_over(
    server: SourceServer, store: Store, fault: StorageFault, at: str
) -> None:
    if at == "put blob":
        server.content = recording(BLOCK)
    store.proxy.faults[at] += [fault, fault]
    blob = store.blob()
    copied = await copy(server, blob)
    assert (copied.md5, copied.sha256) == digests(server.content)
    assert await read(blob) == server.content


async def test_storage_that_stays_away_sends_the_message_back(server: SourceServer, store: Store) -> None:
    store.proxy.faults["stage block"] += [Refuses(503)] * 200
    with pytest.raises(Retryable, match="storage did not stage block"):
        await copy(server, store.blob())


async def test_a_container_that_is_not_there_sends_the_message_back(server: SourceServer, store: Store) -> None:
    await store.container.delete_container()
    with pytest.raises(Retryable, match="ContainerNotFound"):
        await copy(server, store.blob())


async def test_nothing_is_readable_before_all_of_it_is(server: SourceServer, store: Store) -> None:
    server.faults += [None, Stalls(3 * BLOCK), *[Answers(500)] * 30]
    blob = store.blob()
    with pytest.raises(Retryable):
        await copy(server, blob, stall_seconds=0.3)
    assert not await blob.exists()


async def test_a_page_in_place_of_the_file_leaves_nothing(server: SourceServer, store: Store) -> None:
    server.faults.append(Answers(200, b"<html></html>"))
    with pytest.raises(SourceNotReady):
        await copy(server, store.blob("a.mp4"))
    assert not store.proxy.asked


async def test_progress_is_reported_at_the_end_with_all_bytes(server: SourceServer, store: Store) -> None:
    reported: list[tuple[int, int | None]] = []
    await copy(server, store.blob(), progress=lambda done, total: reported.append((done, total)))
    assert reported[-1] == (SIZE, SIZE)
    assert len(reported) <= 3


async def test_many_copies_at_once_share_one_budget(server: SourceServer, store: Store) -> None:
    transfer = Copier(block_mib=0.25, concurrency=4)
    transfer._pool._size = transfer._pool.open = 3 * BLOCK
    blobs = [store.blob() for _ in range(6)]
    await asyncio.gather(
        *[copy(server, blob, transfer=transfer, document_id=f"{index}") for index, blob in enumerate(blobs)]
    )
    assert transfer._pool.open == 3 * BLOCK
    for blob in blobs:
        assert await read(blob) == server.content
