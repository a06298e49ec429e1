"""The app's parts in the test's process, between a real Azurite and ACS emulator, with a container of their own."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from shared.app import QUEUE, Services
from shared.storage.manifest import Manifest
from tests.integration.acs_fixtures import Bench, bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from local.azurite import Azurite

PAYLOAD = Path(__file__).parent.parent / "payloads" / "eventgrid-three-chunks.json"
MEDIA = Path(__file__).parent.parent.parent / ".local" / "media"


@dataclass(slots=True)
class Workshop:
    """The app's parts and what they work on."""

    acs: Bench
    services: Services
    container: ContainerClient
    queue: QueueClient

    async def announce(self, event: dict[str, Any]) -> int:
        """Deliver an event and put its messages into the queue; returns how many there were."""
        messages = await self.services.intake.announce(event)
        for message in messages:
            await self.queue.send_message(message)
        return len(messages)

    async def work(self, messages: int = 1) -> list[str]:
        """Take so many messages from the queue, as they become visible, and archive their chunks."""
        bodies: list[str] = []
        async with asyncio.timeout(30):
            while len(bodies) < messages:
                async for message in self.queue.receive_messages(max_messages=1, visibility_timeout=60):
                    await self.services.chunk_archiver.take(message.content)
                    await self.queue.delete_message(message)
                    bodies.append(message.content)
                    break
                else:
                    await asyncio.sleep(0.05)
        return bodies

    async def archive(self, **wanted: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make a recording, announce it and archive it; returns what the emulator knows of it, and its event."""
        truth = await self.acs.recording(**{"durationSeconds": 2, "chunks": 1, "contentType": "audio", **wanted})
        event = event_of(truth)
        await self.work(await self.announce(event))
        return truth, event

    async def prefix(self, recording_id: str) -> str:
        """Return where a recording lies."""
        page = await self.services.listing.page(limit="200")
        return next(entry.prefix for entry in page.recordings if entry.recording_id == recording_id)

    async def manifest(self, recording_id: str) -> Manifest:
        """Return a recording's manifest."""
        return Manifest.model_validate_json(await self.read(f"{await self.prefix(recording_id)}/manifest.json"))

    async def read(self, name: str) -> bytes:
        """Return a blob's content."""
        return bytes(await (await self.container.download_blob(name)).readall())

    def requests(self, document_id: str, method: str) -> list[str]:
        """Return the paths that were asked of the service about a document with this method, in order."""
        return [
            record.path
            for record in self.acs.acs.log.all()
            if record.document_id == document_id and record.method == method
        ]

    async def findings(self) -> list[dict[str, Any]]:
        """Return what an operator has to look at."""
        return await self.services.incidents.by_severity()


def event_of(truth: dict[str, Any], **data: Any) -> dict[str, Any]:
    """Return the event that announces a recording, in today's form."""
    event: dict[str, Any] = json.loads(PAYLOAD.read_text())
    event["id"] = str(uuid4())
    event["eventTime"] = datetime.now(UTC).isoformat()
    event["subject"] = f"/recording/call/{uuid4()}"
    named = ("documentId", "index", "endReason", "contentLocation", "metadataLocation", "deleteLocation")
    formats = {name: truth["options"][name] for name in ("recordingContentType", "recordingFormatType")}
    event["data"] |= {"recordingId": truth["recordingId"], "recordingStartTime": datetime.now(UTC).isoformat()}
    event["data"] |= formats | data
    event["data"]["recordingStorageInfo"]["recordingChunks"] = [
        {name: chunk[name] for name in named} for chunk in truth["chunks"]
    ]
    return event


def altered(event: dict[str, Any], index: int = 0, **fields: Any) -> dict[str, Any]:
    """Return an event whose chunk at `index` has other fields; one that is None is left out."""
    copy = deepcopy(event)
    chunk = copy["data"]["recordingStorageInfo"]["recordingChunks"][index]
    chunk |= fields
    for name in [name for name, value in chunk.items() if value is None]:
        del chunk[name]
    return copy


@asynccontextmanager
async def workshop(azurite: Azurite, **settings: str) -> AsyncIterator[Workshop]:
    """Run the app's parts on a container of their own."""
    name = f"archive-{uuid4().hex[:12]}"
    environment = {
        "ARCHIVE_STORAGE": azurite.connection_string,
        "AzureWebJobsStorage": azurite.connection_string,
        "ARCHIVE_CONTAINER": name,
        "RECORDING_TRUSTED_ORIGINS": "http://127.0.0.1:*",
        "RETRY_SECONDS": "1",
        **settings,
    }
    queue = QueueClient.from_connection_string(
        azurite.connection_string,
        QUEUE,
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    )
    async with bench(MEDIA) as acs, BlobServiceClient.from_connection_string(azurite.connection_string) as blobs, queue:
        try:
            await queue.create_queue()
        except ResourceExistsError:
            await queue.clear_messages()
        container = await blobs.create_container(name)
        environment["ACS_CONNECTION_STRING"] = acs.acs.connection_string
        services = Services.from_environment(environment)
        try:
            yield Workshop(acs, services, container, queue)
        finally:
            await services.close()
            await container.delete_container()
