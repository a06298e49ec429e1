"""The local stack with everything in it that can be made to fail, and a sweep that comes when a test wants it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.data.tables.aio import TableServiceClient

from local import ports
from local.azurite import ACCOUNT
from local.listener import listening
from local.provisioning import (
    ARCHIVE_CONTAINER,
    CHUNK_QUEUE,
    DEAD_LETTER_CONTAINER,
    EVENT_QUEUE,
)
from local.stack import ARCHIVE_TOPIC, Stack, StackOptions
from shared.archiving.intake import Intake
from shared.core.trusted_origins import TrustedOrigins
from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.incidents.incidents import Incidents
from shared.recordings.acs_client import AcsClient
from shared.storage.archive import Archive
from shared.storage.claims import Claims
from shared.storage.dead_letters import DeadLetters
from shared.storage.ledger import TABLE, Ledger
from shared.storage.message_queue import MessageQueue
from shared.storage.table import Table
from tests.faults.storage_proxy import StorageProxy
from tests.recovery_parts import RETENTION, recovery_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from azure.storage.blob.aio import ContainerClient

    from local.acs.requests import RequestRecord
    from local.eventgrid.faults import Faults
    from local.functions_host import FunctionsHost
    from local.listener import Listener

# Small blocks, so that small files have several; many messages at once, so that one that waits holds up no other.
SETTINGS = {
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2000000",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01",
    "AzureFunctionsJobHost__extensions__queues__batchSize": "32",
    "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "48",
    "RETRY_SECONDS": "1",
    "COPY_BLOCK_MIB": "1",
}
RECORDINGS_AT_ONCE = 8


@dataclass(slots=True)
class Arena:
    """A running stack, and the proxy between its app and its storage.

    Attributes
    ----------
    container
        The archive, seen past the proxy.
    listener
        Hears the archive's own events.
    deleted
        When the service deleted documents, by documentId, on the clock of `time.monotonic`.
    """

    stack: Stack
    proxy: StorageProxy
    container: ContainerClient
    listener: Listener
    control: aiohttp.ClientSession
    app: aiohttp.ClientSession
    deleted: dict[str, float] = field(default_factory=dict)

    @property
    def topic_faults(self) -> Faults:
        """Faults of the topic that the archive's own events go to."""
        return self.stack.eventgrid.topic(ARCHIVE_TOPIC).faults

    def note_deletion(self, record: RequestRecord) -> None:
        """Remember when a document was deleted; called with each request that the service has answered."""
        if record.method == "DELETE" and record.document_id is not None and self.is_gone(record.document_id):
            self.deleted.setdefault(record.document_id, time.monotonic())

    def is_gone(self, document_id: str) -> bool:
        """Whether the service has deleted a document."""
        chunk = self.stack.acs.service.recordings.stored(document_id)
        return chunk is None or chunk.deleted

    def was_read_back(self, blob: str, before: float) -> bool:
        """Whether the app had read a blob of the archive at this time."""
        read = self.proxy.read.get(f"/{ACCOUNT}/{ARCHIVE_CONTAINER}/{blob}")
        return read is not None and read < before

    def clear_faults(self) -> None:
        """Take all faults back."""
        self.stack.acs.faults.clear()
        self.proxy.clear()
        self.topic_faults.clear()

    async def recording(self, **wanted: Any) -> dict[str, Any]:
        """Make a finished recording without an event; return the truth about it."""
        body = {"durationSeconds": 2, "contentType": "audio", "format": "mp3", "announce": False, **wanted}
        async with self.control.post("recordings", json=body) as answer:
            truth: dict[str, Any] = await answer.json()
        return truth

    async def recordings(self, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Several of them."""
        slots = asyncio.Semaphore(RECORDINGS_AT_ONCE)

        async def one(what: dict[str, Any]) -> dict[str, Any]:
            async with slots:
                return await self.recording(**what)

        return await asyncio.gather(*(one(what) for what in wanted))

    async def announce(self, truth: dict[str, Any], **form: Any) -> None:
        """Send its events."""
        async with self.control.post(f"recordings/{truth['recordingId']}/announce", json=form):
            pass

    async def findings(self) -> list[dict[str, Any]]:
        """What an operator sees, once a host that is being started answers."""

        async def look() -> list[dict[str, Any]] | None:
            try:
                async with self.app.get("attention") as answer:
                    return list((await answer.json())["findings"]) if answer.ok else None
            except aiohttp.ClientError:
                return None

        async with asyncio.timeout(30):
            while (found := await look()) is None:
                await asyncio.sleep(0.2)
        return found

    async def sweep(self, host: FunctionsHost | None = None) -> None:
        """Start the sweep that the timer would."""
        url = f"{(host or self.stack.host).url}/admin/functions/sweep"
        headers = {"x-functions-key": self.stack.keys.master}
        try:
            async with aiohttp.ClientSession() as session, session.post(url, json={}, headers=headers):
                pass
        except aiohttp.ClientError:
            return  # the host is down: the timer would not have come either

    async def sweep_in(self, time: timedelta) -> None:
        """Sweep as if `time` had passed."""
        storage, acs = self.stack.storage, self.stack.acs

        def now() -> datetime:
            return datetime.now(UTC) + time

        async with (
            self.stack.blob_service() as blobs,
            self.stack.queue_service() as queues,
            TableServiceClient.from_connection_string(storage) as tables,
            CallAutomationClient(acs.endpoint, AzureKeyCredential(acs.options.access_key), retry_total=0) as client,
        ):
            table = Table(tables.get_table_client(TABLE))
            archive, ledger, claims = Archive(self.container), Ledger(table, now=now), Claims(table)
            incidents = Incidents(EvidenceBlobs(archive.blobs), claims, now=now)
            origins = TrustedOrigins(["http://127.0.0.1:*"])
            recovery = recovery_parts(
                archive=archive,
                ledger=ledger,
                claims=claims,
                incidents=incidents,
                intake=Intake(
                    archive,
                    ledger,
                    incidents,
                    origins=origins,
                    retention=RETENTION,
                    now=now,
                ),
                events=MessageQueue(queues, EVENT_QUEUE),
                event_poison=MessageQueue(queues, f"{EVENT_QUEUE}-poison"),
                control=AcsClient(client),
                queue=MessageQueue(queues, CHUNK_QUEUE),
                poison=MessageQueue(queues, f"{CHUNK_QUEUE}-poison"),
                dead_letters=DeadLetters(blobs.get_container_client(DEAD_LETTER_CONTAINER)),
                now=now,
            )
            await recovery.sweep()


@asynccontextmanager
async def arena(
    folder: Path, *, clock_rate: float = 20, queue_lease: float = 3, **settings: str
) -> AsyncIterator[Arena]:
    """Start a stack whose app reaches its storage through a proxy.

    Parameters
    ----------
    folder
        Where it keeps everything.
    clock_rate
        Emulated seconds a real second, for ACS and Event Grid.
    queue_lease
        Seconds after which a killed host's messages come back.
    settings
        App settings.
    """
    blob, queue, table = _different_ports(3)
    async with StorageProxy({"blob": blob, "queue": queue, "table": table}) as proxy:
        options = StackOptions(
            folder=folder,
            blob_port=blob,
            queue_port=queue,
            table_port=table,
            clock_rate=clock_rate,
            chunk_seconds=600,
            queue_lease=queue_lease,
            settings={**SETTINGS, **settings, "ARCHIVE_STORAGE": proxy.connection_string},
        )
        async with (
            Stack(options) as stack,
            listening(stack) as listener,
            stack.blob_service() as blobs,
            aiohttp.ClientSession(f"{stack.acs.endpoint}/control/", raise_for_status=True) as control,
            aiohttp.ClientSession(f"{stack.url}/api/", headers={"x-functions-key": stack.function_key}) as app,
        ):
            running = Arena(stack, proxy, blobs.get_container_client(ARCHIVE_CONTAINER), listener, control, app)
            stack.acs.log.on_answered = running.note_deletion
            yield running


def _different_ports(number: int) -> list[int]:
    found: set[int] = set()
    while len(found) < number:
        found.add(ports.free_port())
    return list(found)
