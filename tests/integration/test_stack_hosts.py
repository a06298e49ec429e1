"""Functions hosts of the stack come and go, and the archive is whole all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from local import archive
from local.verification import verify

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from local.stack import Stack


async def finished_recording(stack: Stack, **what: object) -> dict[str, Any]:
    """Make the ACS emulator announce a finished recording, and return the truth about it."""
    async with aiohttp.ClientSession() as session:
        url = f"{stack.acs.endpoint}/control/recordings"
        body = {"contentType": "audio", "channelType": "mixed", "format": "wav", **what}
        async with session.post(url, json=body) as answer:
            assert answer.status == 201, await answer.text()
            truth: dict[str, Any] = await answer.json()
            return truth


async def announced(container: ContainerClient, recording_id: str) -> dict[str, Any]:
    """Wait until a recording has a manifest, and return it."""
    async with asyncio.timeout(60):
        while (found := await archive.manifest_of(container, recording_id)) is None:
            await asyncio.sleep(0.05)
    return found[1]


async def complete(container: ContainerClient, recording_id: str) -> None:
    """Wait until a recording's manifest is complete."""
    async with asyncio.timeout(90):
        while (await announced(container, recording_id))["status"] != "complete":
            await asyncio.sleep(0.05)


async def test_a_finished_recording_is_archived(stack: Stack, archive_container: ContainerClient) -> None:
    truth = await finished_recording(stack, durationSeconds=6, chunks=3)
    await complete(archive_container, truth["recordingId"])
    assert (await verify(archive_container, truth)).differences == []


async def test_an_event_that_finds_no_host_is_delivered_when_one_is_back(
    stack: Stack, archive_container: ContainerClient
) -> None:
    await stack.stop_host()
    try:
        truth = await finished_recording(stack, durationSeconds=2, chunks=1)
    finally:
        await stack.start_host()
    await complete(archive_container, truth["recordingId"])
    assert (await verify(archive_container, truth)).differences == []


async def test_what_a_killed_host_had_in_hand_is_finished_by_another(
    stack: Stack, archive_container: ContainerClient
) -> None:
    other = await stack.add_host()
    try:
        truth = await finished_recording(stack, durationSeconds=12, chunks=6)
        await announced(archive_container, truth["recordingId"])
        await stack.kill_host()
        await complete(archive_container, truth["recordingId"])
    finally:
        await other.stop()
        await stack.kill_host()
        await stack.start_host()
    assert (await verify(archive_container, truth)).differences == []
