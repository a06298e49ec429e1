"""One recording, announced in every form in which the service has been seen to announce it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local import archive
from local.eventgrid.schemas import EventSchema
from tests.integration.archive_fixtures import acs_control, finished_recording
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    import aiohttp
    from azure.storage.blob.aio import ContainerClient

    from local.stack import Stack

__all__ = ["acs_control"]

TWICE = {"duplicates": 1}
FORMS: dict[str, dict[str, Any]] = {
    "one event of three chunks": {"delivery": "merged"},
    "three events, shuffled": {"delivery": "per-chunk", "shuffle": True},
    "2021, one event": {"payload": "2021", "subject": "call-server"},
    "2021, three events, shuffled, the call only": {
        "payload": "2021",
        "subject": "call",
        "delivery": "per-chunk",
        "shuffle": True,
    },
    "subject of call and recording": {"subject": "call-recording"},
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an archive holds, without what depends on the form and time of its events."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


@pytest.fixture(scope="module")
async def recording(acs_control: aiohttp.ClientSession) -> dict[str, Any]:
    """A finished recording of three chunks that nothing was said about yet."""
    return await finished_recording(acs_control, durationSeconds=6, chunks=3, announce=False)


async def of_recording(container: ContainerClient, truth: dict[str, Any]) -> dict[str, int]:
    """All blobs that the recording may have: its chunks' documents are named in the manifest it belongs to."""
    documents = {chunk["documentId"] for chunk in truth["chunks"]}
    found: dict[str, int] = {}
    for name, manifest in (await archive.manifests(container)).items():
        if documents & {chunk["documentId"] for chunk in manifest["chunks"]}:
            found |= await archive.listing(container, name.removesuffix("manifest.json"))
    return found


async def settled(container: ContainerClient, truth: dict[str, Any], events: int) -> Snapshot:
    """The recording's archive, once it is complete and `events` events are kept with it."""

    async def complete() -> Snapshot | None:
        names = await of_recording(container, truth)
        manifests = [name for name in names if name.endswith("/manifest.json")]
        if len(manifests) != 1 or sum("/events/" in name for name in names) < events:
            return None
        manifest = await archive.document(container, manifests[0])
        if manifest["status"] != "complete":
            return None
        files = {
            name: bytes(await (await container.download_blob(name)).readall())
            for name in names
            if "/events/" not in name and name != manifests[0]
        }
        return Snapshot(manifest, files)

    return await eventually(complete)


async def quiet(stack: Stack) -> None:
    """Wait until every delivery was made and every message worked on, the doubled ones too."""
    assert await stack.eventgrid.wait_until_idle(30)
    async with stack.queue_service() as queues:
        queue = queues.get_queue_client("recording-chunks")

        async def empty() -> bool:
            return (await queue.get_queue_properties()).approximate_message_count == 0

        await eventually(empty)


async def clear(stack: Stack, container: ContainerClient, truth: dict[str, Any]) -> None:
    await quiet(stack)
    for name in [*await of_recording(container, truth), *await archive.listing(container, "calls/")]:
        await container.delete_blob(name)


def comparable(snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The snapshot, less the moments of archiving and the ids that older forms do not say."""
    chunks = [{**chunk, "archivedAt": None} for chunk in snapshot.manifest["chunks"]]
    manifest = {**snapshot.manifest, "chunks": chunks, "recordingId": None, "serverCallId": None}
    folder = next(iter(snapshot.files)).rsplit("/", 1)[0]
    text = str(manifest).replace(folder, "PREFIX")
    return {"manifest": text}, {name.removeprefix(folder): content for name, content in snapshot.files.items()}


async def test_every_form_gives_the_same_archive_byte_for_byte(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient, recording: dict[str, Any]
) -> None:
    expected = None
    for schema in EventSchema:
        await stack.subscribe(schema)
        for name, form in FORMS.items():
            await clear(stack, archive_container, recording)
            route = f"recordings/{recording['recordingId']}/announce"
            await acs_control.post(route, json={**form, **TWICE})
            events = 3 if form.get("delivery") == "per-chunk" else 1
            snapshot = comparable(await settled(archive_container, recording, events))
            expected = expected or snapshot
            assert snapshot == expected, f"{name} in {schema}"
    await stack.subscribe(EventSchema.EVENT_GRID)


async def test_all_forms_at_once_give_one_archive(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient, recording: dict[str, Any]
) -> None:
    await clear(stack, archive_container, recording)
    await stack.subscribe(EventSchema.EVENT_GRID)
    await stack.subscribe(EventSchema.CLOUD_EVENTS, name="recording-files-cloud")
    try:
        for form in reversed(FORMS.values()):
            route = f"recordings/{recording['recordingId']}/announce"
            await acs_control.post(route, json={**form, **TWICE})
        snapshot = await settled(archive_container, recording, events=3)
    finally:
        await stack.eventgrid.delete_subscription("acs", "recording-files-cloud")
    assert snapshot.manifest["recordingId"] == recording["recordingId"]
    assert [chunk["documentId"] for chunk in snapshot.manifest["chunks"]] == [
        chunk["documentId"] for chunk in recording["chunks"]
    ]
    assert [chunk["content"]["sha256"] for chunk in snapshot.manifest["chunks"]] == [
        chunk["sha256"] for chunk in recording["chunks"]
    ]
