"""Storage that stops, is slow, or is full, and two hosts that get the same: the archive is whole all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from local import ports
from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.options import EventGridOptions
from local.eventgrid.schemas import EventSchema, TopicKind
from tests.faults.arena import arena
from tests.faults.cells import BLOCKS, SMALL
from tests.faults.inspection import Inventory, all_differences, complete_count
from tests.faults.storage_proxy import Operation
from tests.integration.eventgrid_fixtures import settings, subscriber
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.arena import Arena

LARGE = 6_000_000
DISK, LEFT = "24m", 700_000


async def archived(running: Arena, truths: list[dict[str, Any]], before: int, within: float = 90) -> dict[str, Any]:
    """Wait until there are so many more complete recordings, and return how they differ from what the service had."""

    async def all_there() -> bool:
        return await complete_count(running.container) >= before + len(truths)

    await eventually(all_there, within=within)
    return await all_differences(await Inventory.of(running.container), truths)


def served(running: Arena, operation: Operation, status: int) -> int:
    return running.proxy.answers[operation, status]


async def until(running: Arena, operation: Operation, status: int, more: int) -> None:
    """Wait until so many more requests of a kind were answered with this status."""
    wanted = served(running, operation, status) + more

    async def reached() -> bool:
        return served(running, operation, status) >= wanted

    await eventually(reached)


async def test_storage_that_stops_and_starts_in_mid_copy_has_the_whole_archive_in_the_end(own_arena: Arena) -> None:
    before = await complete_count(own_arena.container)
    truths = await own_arena.recordings([{"sizeBytes": LARGE}] * 4)
    for truth in truths:
        document = truth["chunks"][0]["documentId"]
        own_arena.stack.acs.order_fault(kind="rate", bytes_per_second=400_000, document_id=document, times=None)
        await own_arena.announce(truth)
    await until(own_arena, Operation.PUT_BLOCK, 201, more=2)
    await own_arena.stack.azurite.restart()
    own_arena.stack.acs.faults.clear()
    assert await archived(own_arena, truths, before) == {}
    assert await own_arena.findings() == []


async def test_slow_storage_gets_everything(own_arena: Arena) -> None:
    before = await complete_count(own_arena.container)
    truths = await own_arena.recordings([{"sizeBytes": BLOCKS}, {"sizeBytes": SMALL, "chunks": 3}] * 3)
    own_arena.proxy.latency, own_arena.proxy.bytes_per_second = 0.3, 500_000
    try:
        for truth in truths:
            await own_arena.announce(truth, duplicates=1)
        assert await archived(own_arena, truths, before) == {}
    finally:
        own_arena.proxy.latency, own_arena.proxy.bytes_per_second = 0.0, None


async def test_two_hosts_with_the_same_events_and_one_queue_make_one_archive(own_arena: Arena) -> None:
    before = await complete_count(own_arena.container)
    other = await own_arena.stack.add_host()
    await own_arena.stack.subscribe(name="recording-files-too", host=other)
    try:
        wanted = {"sizeBytes": BLOCKS, "chunks": 2}
        truths = await own_arena.recordings([wanted] * 8)
        for truth in truths:
            await own_arena.announce(truth, delivery="per-chunk", duplicates=1)
        assert await archived(own_arena, truths, before) == {}
        assert await own_arena.stack.eventgrid.wait_until_idle(30)
    finally:
        await own_arena.stack.eventgrid.delete_subscription("acs", "recording-files-too")
        await other.stop()
    assert await all_differences(await Inventory.of(own_arena.container), truths) == {}


async def test_a_topic_that_refused_connections_gets_every_event_later(tmp_path: Path) -> None:
    port, key = ports.free_port(), "c2VjcmV0"
    topic = f"http://127.0.0.1:{port}/topics/own/api/events"
    async with arena(tmp_path, ARCHIVE_TOPIC_ENDPOINT=topic, ARCHIVE_TOPIC_KEY=key) as running:
        truths = await running.recordings([{"sizeBytes": SMALL}] * 4)
        for truth in truths:
            await running.announce(truth)
        assert await archived(running, truths, before=0) == {}
        assert await running.findings() == []
        async with EventGridEmulator(EventGridOptions(port=port)) as grid, subscriber() as received:
            await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=EventSchema.CLOUD_EVENTS, key=key)
            wanted = settings(received.url, event_delivery_schema=EventSchema.CLOUD_EVENTS)
            await grid.create_subscription("own", wanted)

            async def all_received() -> bool:
                about = {event["data"]["recordingId"] for event in received.events()}
                return about == {truth["recordingId"] for truth in truths}

            await eventually(all_received, within=60)


async def test_a_full_disk_that_gets_room_again_has_the_whole_archive(tmp_path: Path) -> None:
    disk = tmp_path / "azurite"
    with mounted(disk):
        async with arena(tmp_path) as running:
            truths = await running.recordings([{"sizeBytes": size} for size in (BLOCKS, SMALL, 2_600_000)])
            ballast = disk / "ballast"
            await asyncio.to_thread(fill, disk, ballast)
            for truth in truths:
                await running.announce(truth)
            await until(running, Operation.PUT_BLOCK, 500, more=1)
            ballast.unlink()
            assert await archived(running, truths, before=0) == {}


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Have a small disk of its own there."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("a small disk can be mounted by root only, and in a container only with CAP_SYS_ADMIN")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True, timeout=20)


def fill(disk: Path, ballast: Path) -> None:
    """Leave only little room."""
    room = os.statvfs(disk)
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT))
