"""Whatever the file's size, the block size and the faults: the archived bytes are the source's, each block once."""

from __future__ import annotations

import asyncio
import base64
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.core.errors import Retryable
from shared.upload import copier
from shared.upload.block_plan import MIB
from shared.upload.concurrency import Pace
from shared.upload.copier import Copier
from tests.integration.transfer_fixtures import (
    Damages,
    LosesAnswer,
    copy,
    digests,
    open_store,
    read,
)
from tests.integration.transfer_fixtures import (
    Refuses as StorageRefuses,
)
from tests.source_server import HTML, Answers, Cuts, Refuses, SourceServer, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.blob.aio import BlobClient

    from local.azurite import Azurite
    from shared.upload.copier import Copied
    from tests.integration.transfer_fixtures import StorageFault
    from tests.source_server import Fault

QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True, slots=True)
class Case:
    """One file, one way to cut it, and what goes wrong."""

    size: int
    block: int
    probe: int
    concurrency: int
    whims: int
    ranges: bool
    says_length: bool
    source_faults: tuple[Fault | None, ...]
    storage_faults: tuple[StorageFault | None, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    block = draw(st.integers(1_000, 40_000))
    size = max(64, draw(st.integers(0, 12)) * block + draw(st.integers(-2, 2)))
    ranges = draw(st.booleans())
    source_fault = st.one_of(
        st.none(),
        st.builds(Cuts, st.integers(0, 100_000)),
        st.just(Refuses()),
        st.sampled_from([401, 403, 429, 500, 502, 503]).map(Answers),
        st.just(Answers(200, HTML, {"Content-Type": "text/html"})),
        st.just(Answers(400, HTML, {"Content-Type": "text/html"})),
    )
    storage_fault = st.one_of(
        st.none(),
        st.just(StorageRefuses(503)),
        st.just(StorageRefuses(500)),
        st.just(StorageRefuses(429, {"Retry-After": "0"})),
        st.just(Damages()),
        st.just(LosesAnswer()),
    )
    return Case(
        size=size,
        block=block,
        probe=draw(st.sampled_from([100, 5_000, 300_000])),
        concurrency=draw(st.integers(1, 8)),
        whims=draw(st.integers(0, 1_000)),
        ranges=ranges,
        says_length=ranges or draw(st.booleans()),
        source_faults=tuple(draw(st.lists(source_fault, max_size=12))),
        storage_faults=tuple(draw(st.lists(storage_fault, max_size=6))),
    )


class Whimsical(Pace):
    """Wants another number of connections each time it is asked: any is right, and so is any change of mind."""

    def __init__(self, limit: int, random: Random) -> None:
        self._most = limit
        self._random = random
        super().__init__(limit)

    @property
    def readers(self) -> int:
        """Some number of connections."""
        return self._random.randint(1, self._most)

    @readers.setter
    def readers(self, _: int) -> None:
        """Change nothing."""

    def observe(self, now: float, rate: float, starved: float) -> None:
        """Learn nothing: it cannot be asked what more connections gained, when their number changes meanwhile."""


@contextmanager
def whims(seed: int) -> Iterator[None]:
    """Let copies use any number of connections, whatever they gain: small files are over before the pace has grown."""
    random = Random(seed)
    with patch.object(copier, "Pace", lambda limit: Whimsical(limit, random)):
        yield


async def arrive(case: Case, server: SourceServer, blob: BlobClient) -> Copied:
    """Copy, as often as the queue would; the faults come to an end."""
    transfer = Copier(block_mib=case.block / MIB, concurrency=case.concurrency)
    for _ in range(40):
        try:
            return await copy(server, blob, transfer=transfer, probe_bytes=case.probe)
        except Retryable:
            continue
    raise AssertionError("the copy never arrived, though the faults have ended")


async def check(case: Case, server: SourceServer, blob: BlobClient, copied: Copied) -> None:
    assert await read(blob) == server.content
    assert copied.size == len(server.content)
    assert (copied.md5, copied.sha256) == digests(server.content)
    properties = await blob.get_blob_properties()
    assert bytes(properties.content_settings.content_md5 or b"").hex() == copied.md5
    assert properties.metadata["sha256"] == copied.sha256
    # What a slower worker stages after the commit belongs to nothing; the service discards it within a week.
    committed, _ = await blob.get_block_list("all")
    if committed:
        block = int(case.block / MIB * MIB)
        expected = [min(block, case.size - offset) for offset in range(0, case.size, block)]
        assert [part.size for part in committed] == expected
        assert len({part.id for part in committed}) == len(committed)


@QUICK
@given(case=cases())
@example(case=Case(64, 1_000, 100, 1, 0, True, True, (), ()))
@example(case=Case(40_000, 1_000, 100, 8, 0, True, True, (None, Cuts(0), Cuts(0), Cuts(0), Cuts(0), Cuts(0)), ()))
async def test_what_is_archived_is_what_the_source_has(case: Case, azurite: Azurite) -> None:
    async with SourceServer(recording(case.size)) as server, open_store(azurite) as store:
        server.ranges, server.says_length = case.ranges, case.says_length
        server.faults += case.source_faults
        for operation in ("stage block", "commit", "put blob", "list blocks", "properties", "read"):
            store.proxy.faults[operation] += case.storage_faults
        blob = store.blob()
        with whims(case.whims):
            copied = await arrive(case, server, blob)
        store.proxy.faults.clear()
        await check(case, server, blob, copied)


@QUICK
@given(
    blocks=st.integers(2, 12),
    concurrency=st.integers(1, 6),
    stops=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    seed=st.integers(0, 1_000),
)
async def test_a_copy_that_is_killed_again_and_again_reads_only_what_was_not_staged(
    blocks: int, concurrency: int, stops: list[int], seed: int, azurite: Azurite
) -> None:
    block = 70_000
    size = blocks * block - 1
    async with SourceServer(recording(size)) as server, open_store(azurite) as store:
        blob = store.blob()
        transfer = Copier(block_mib=block / MIB, concurrency=concurrency)
        with whims(seed):
            for stop in stops:
                attempt = asyncio.create_task(copy(server, blob, transfer=transfer, probe_bytes=100))
                for _ in range(stop * 5):
                    await asyncio.sleep(0)
                await asyncio.wait([attempt], timeout=stop / 2000)
                attempt.cancel()
                await asyncio.gather(attempt, return_exceptions=True)
            staged_before = set(store.proxy.staged)
            server.requests.clear()

            copied = await copy(server, blob, transfer=transfer, probe_bytes=100)

        assert await read(blob) == server.content
        assert (copied.md5, copied.sha256) == digests(server.content)
        if not copied.existed:
            assert copied.resumed_bytes >= len(staged_before) * block - block
            for request in server.requests[1:]:
                for name in staged_before:
                    assert not _covers(request.first, request.asked, name, block)


def _covers(first: int, asked: int, name: str, block: int) -> bool:
    index = int(base64.b64decode(name).decode().split(".")[1])
    return first < (index + 1) * block and first + asked > index * block


@QUICK
@given(blocks=st.integers(1, 8), workers=st.integers(2, 4), concurrency=st.integers(1, 4), seed=st.integers(0, 1_000))
async def test_workers_at_the_same_file_end_in_one_blob(
    blocks: int, workers: int, concurrency: int, seed: int, azurite: Azurite
) -> None:
    block = 20_000
    async with SourceServer(recording(blocks * block + 1)) as server, open_store(azurite) as store:
        name = store.blob().blob_name
        case = Case(blocks * block + 1, block, 100, concurrency, seed, True, True, (), ())
        with whims(seed):
            results = await asyncio.gather(*[arrive(case, server, store.blob(name)) for _ in range(workers)])
        assert sum(not copied.existed for copied in results) == 1
        for copied in results:
            await check(case, server, store.blob(name), copied)
