"""The app's parts in this process, on real storage and the real emulator, with a time that a test moves.

The chunk queue is a list here, so that delays of hours pass at once; its messages are handled when they are due.
"""

from __future__ import annotations

import heapq
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import aiohttp
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueServiceClient

from local.acs.server import AcsEmulator, AcsOptions
from local.clock import Clock
from shared.archiving.chunk_archiver import ChunkArchiver
from shared.archiving.chunk_files import ChunkFiles
from shared.archiving.chunk_retries import ChunkRetries
from shared.archiving.event_worker import EventWorker
from shared.archiving.intake import Intake
from shared.archiving.webhook import event_message
from shared.core.blob_names import safe_name
from shared.core.trusted_origins import TrustedOrigins
from shared.download.client import DownloadClient
from shared.download.signing import HmacSigner
from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.incidents.incidents import Incidents
from shared.recordings.acs_client import AcsClient
from shared.storage.archive import Archive
from shared.storage.blobs import Blobs
from shared.storage.claims import Claims
from shared.storage.dead_letters import DeadLetters
from shared.storage.large_events import LargeEvents
from shared.storage.ledger import Ledger
from shared.storage.message_queue import MessageQueue
from shared.storage.table import Table
from shared.upload.copier import Copier
from tests.recovery_parts import RETENTION, RecoveryParts, recovery_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from azure.data.tables.aio import TableClient

    from local.azurite import Azurite
from shared.storage.ledger import ChunkProgress

SWEEP_EVERY = timedelta(minutes=5)


class ListQueue:
    """Keeps messages until the test's time has come to them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._order = itertools.count()
        self.messages: list[tuple[datetime, int, str]] = []

    async def send(self, body: str, delay: timedelta) -> None:
        heapq.heappush(self.messages, (self._now() + delay, next(self._order), body))

    def take(self, until: datetime) -> tuple[datetime, str] | None:
        if not self.messages or self.messages[0][0] > until:
            return None
        due, _, body = heapq.heappop(self.messages)
        return due, body


@dataclass(slots=True)
class Parts:
    """The app's parts."""

    acs: AcsEmulator
    container: ContainerClient
    dead_letters: ContainerClient
    poison: MessageQueue
    queue: ListQueue
    events: ListQueue
    large: LargeEvents
    archive: Archive
    table: TableClient
    ledger: Ledger
    claims: Claims
    letters: DeadLetters
    incidents: Incidents
    intake: Intake
    event_worker: EventWorker
    chunk_archiver: ChunkArchiver
    recovery: RecoveryParts
    moved: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return self.acs.clock.now()

    async def recording(self, **wanted: Any) -> dict[str, Any]:
        """A finished recording, announced to nobody."""
        body = {"durationSeconds": 2, "format": "mp3", "contentType": "audio", "announce": False, **wanted}
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(f"{self.acs.endpoint}/control/recordings", json=body) as answer,
        ):
            truth: dict[str, Any] = await answer.json()
        return truth

    def event(self, truth: dict[str, Any], *indexes: int) -> dict[str, Any]:
        """The event that says that these chunks, or all, are ready."""
        names = ("documentId", "index", "endReason", "contentLocation", "metadataLocation", "deleteLocation")
        chunks = [
            {name: chunk[name] for name in names}
            for chunk in truth["chunks"]
            if not indexes or chunk["index"] in indexes
        ]
        return {
            "id": str(uuid4()),
            "topic": "/subscriptions/x",
            "subject": f"/recording/call/{truth['callId']}/recordingId/{truth['recordingId']}",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "eventTime": f"{self.now():%Y-%m-%dT%H:%M:%SZ}",
            "dataVersion": "1.0",
            "data": {
                "recordingStorageInfo": {
                    "recordingChunks": [{name: chunk[name] for name in names} for chunk in chunks]
                },
                "recordingStartTime": truth["startTime"],
                "recordingDurationMs": 2000,
                "recordingId": truth["recordingId"],
                "recordingFormatType": "Mp3",
                "sessionEndReason": "CallEnded",
            },
        }

    async def deliver(self, event: dict[str, Any]) -> None:
        """What Event Grid, the webhook and the queue of events do."""
        await self.event_worker.take(await event_message(event, self.now(), lambda: self.large))

    async def live(self, time: timedelta) -> None:
        """Let time pass: messages are handled when they are due, and a sweep comes every five minutes."""
        end = self.now() + time
        sweep_at = self.now() + SWEEP_EVERY
        while True:
            until = min(sweep_at, end)
            if (event := self.events.take(until)) is not None:
                self._move_to(event[0])
                await self.event_worker.take(event[1])
            elif (taken := self.queue.take(until)) is not None:
                self._move_to(taken[0])
                await self.chunk_archiver.take(taken[1])
            elif sweep_at <= end:
                self._move_to(sweep_at)
                await self.recovery.sweep()
                sweep_at += SWEEP_EVERY
            else:
                self._move_to(end)
                return

    async def manifest(self, truth: dict[str, Any]) -> dict[str, Any] | None:
        """The recording's manifest."""
        async for blob in self.container.list_blobs():
            if blob.name.endswith("/manifest.json"):
                stream = await self.container.download_blob(blob.name)
                try:
                    manifest: dict[str, Any] = json.loads(await stream.readall())
                except ValueError:
                    continue
                if manifest["recordingId"] == truth["recordingId"]:
                    return manifest
        return None

    def lost(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event without what says where its files are: it is refused."""
        del event["data"]["recordingStorageInfo"]
        return event

    async def prefix(self, truth: dict[str, Any]) -> str:
        """Where the recording lies."""
        found = (await self.ledger.read(safe_name(truth["recordingId"]))).text("prefix")
        assert found is not None
        return found

    async def progress(self, truth: dict[str, Any]) -> Mapping[int, ChunkProgress]:
        """How far the recording's chunks are, as the ledger has it."""
        return (await self.ledger.read(safe_name(truth["recordingId"]))).chunks

    async def findings(self) -> list[dict[str, Any]]:
        """The operator's list."""
        return await self.incidents.by_severity()

    def _move_to(self, moment: datetime) -> None:
        self.acs.clock.advance(max(0.0, (moment - self.now()).total_seconds()))


@asynccontextmanager
async def archive_parts(azurite: Azurite, media: Path) -> AsyncIterator[Parts]:
    """The parts on a container, a queue and a table of their own."""
    unique = uuid4().hex[:12]
    storage = azurite.connection_string
    clock = Clock(start=datetime.now(UTC))
    options = AcsOptions(port=0, second_port=0, media_dir=media, finalize_delay=0.0)
    async with (
        AcsEmulator(options, clock=clock) as acs,
        BlobServiceClient.from_connection_string(storage) as blobs,
        QueueServiceClient.from_connection_string(storage) as queues,
        TableServiceClient.from_connection_string(storage) as tables,
        CallAutomationClient(acs.endpoint, AzureKeyCredential(options.access_key), retry_total=0) as client,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        container = await blobs.create_container(f"archive-{unique}")
        dead_letters = await blobs.create_container(f"dead-{unique}")
        await queues.create_queue(f"poison-{unique}")
        now = clock.now
        origins = TrustedOrigins(["http://127.0.0.1:*"])
        table = tables.get_table_client(f"ledger{unique}")
        archive, ledger, claims = Archive(container), Ledger(Table(table), now=now), Claims(Table(table))
        incidents, queue = Incidents(EvidenceBlobs(archive.blobs), claims, now=now), ListQueue(now)
        events, large = ListQueue(now), LargeEvents(Blobs(await blobs.create_container(f"operations-{unique}")))
        intake = Intake(
            archive,
            ledger,
            incidents,
            origins=origins,
            retention=RETENTION,
            now=now,
        )
        worker = EventWorker(
            intake, incidents, events=cast("MessageQueue", events), chunks=cast("MessageQueue", queue), large=large
        )
        poison, letters = MessageQueue(queues, f"poison-{unique}"), DeadLetters(dead_letters)
        waiting: Any = queue
        source = DownloadClient(session, HmacSigner(acs.endpoint, options.access_key), origins, sleep=_at_once)
        archiver = ChunkArchiver(
            archive,
            ChunkFiles(archive, ledger, source, Copier(block_mib=1, concurrency=4)),
            ChunkRetries(waiting, ledger, incidents, now=now),
            now=now,
        )
        recovery = recovery_parts(
            archive=archive,
            ledger=ledger,
            claims=claims,
            incidents=incidents,
            intake=intake,
            control=AcsClient(client),
            queue=waiting,
            poison=poison,
            dead_letters=letters,
            now=now,
        )
        yield Parts(
            acs, container, dead_letters, poison, queue, events, large, archive,
            table, ledger, claims, letters, incidents, intake, worker,
            archiver, recovery,
        )  # fmt: skip


async def _at_once(_: float) -> None:
    """Stands in for the pauses between a source's tries within one reading."""
