"""What recordings are made of, in memory: a table, a service and an archive with prepared answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError, ServiceRequestError

from shared.core.errors import ManifestUnreadable, ServiceError
from shared.recordings.acs_client import Recording
from shared.recordings.service import Recordings
from shared.storage.archive import Archive
from shared.storage.claims import Claims
from shared.storage.ledger import Ledger
from shared.storage.manifest import ArchivedChunk, ArchivedMedia, Manifest, ManifestStatus
from shared.storage.manifests import NO_MANIFEST, ManifestVersion
from shared.storage.places import RecordingPlaces
from shared.storage.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.data.tables.aio import TableClient
    from azure.storage.blob.aio import ContainerClient

    from shared.recordings.acs_client import AcsClient, Repeatability
    from shared.recordings.start_request import StartRecording
    from shared.storage.manifests import Manifests

NOW = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)
RETENTION = timedelta(hours=24)
NOT_FOUND = ServiceError(404, "8522", "Recording not found.")


class MemoryTable:
    """A table of Azure Table Storage, as far as the ledger uses one."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.away = False
        self.writes = 0

    async def create_entity(self, entity: dict[str, Any]) -> None:
        self._reached()
        key = (entity["PartitionKey"], entity["RowKey"])
        if key in self.rows:
            raise ResourceExistsError
        self.rows[key] = dict(entity)

    async def upsert_entity(self, entity: dict[str, Any], mode: object) -> None:
        self._reached()
        self.writes += 1
        self.rows.setdefault((entity["PartitionKey"], entity["RowKey"]), {}).update(entity)

    async def update_entity(self, entity: dict[str, Any], mode: object, **_: object) -> None:
        self._reached()
        key = (entity["PartitionKey"], entity["RowKey"])
        if key not in self.rows:
            raise ResourceNotFoundError
        self.rows[key].update(entity)

    async def get_entity(self, partition: str, row: str) -> dict[str, Any]:
        self._reached()
        if (partition, row) not in self.rows:
            raise ResourceNotFoundError
        return dict(self.rows[partition, row])

    async def delete_entity(self, partition: str, row: str) -> None:
        self._reached()
        self.rows.pop((partition, row), None)

    async def query_entities(self, _: str, parameters: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        self._reached()
        for (partition, _row), entity in sorted(self.rows.items()):
            if partition == parameters["partition"]:
                yield dict(entity)

    def _reached(self) -> None:
        if self.away:
            raise ServiceRequestError("no route")


class MemoryManifests:
    """The archive's manifests by prefix."""

    def __init__(self) -> None:
        self.known: dict[str, Manifest] = {}
        self.unreadable: set[str] = set()
        self.away = False

    async def read(self, prefix: str) -> ManifestVersion:
        if self.away:
            raise ServiceRequestError("no route")
        if prefix in self.unreadable:
            raise ManifestUnreadable(f"{prefix}/manifest.json is not a manifest")
        manifest = self.known.get(prefix)
        return NO_MANIFEST if manifest is None else ManifestVersion(manifest, "etag")


class MemoryContainer:
    """The archive's blobs, as far as places are looked for."""

    def __init__(self, manifests: MemoryManifests) -> None:
        self._manifests = manifests
        self.asked: list[str] = []

    async def list_blobs(self, name_starts_with: str, **_: object) -> AsyncIterator[str]:
        self.asked.append(name_starts_with)
        for prefix in (*self._manifests.known, *self._manifests.unreadable):
            if f"{prefix}/".startswith(name_starts_with):
                yield f"{prefix}/manifest.json"


class Service:
    """The service; what it says of the one recording, and how it refuses operations, is set by the test."""

    def __init__(self) -> None:
        self.says: str | ServiceError = "active"
        self.refuses: ServiceError | None = None
        self.then_says: str | ServiceError | None = None
        self.asked: list[str] = []
        self.repeatabilities: list[Repeatability] = []

    async def start(self, _: StartRecording, repeatability: Repeatability) -> Recording:
        self.repeatabilities.append(repeatability)
        if self.refuses is not None:
            raise self.refuses
        return Recording(f"recording{len(self.repeatabilities)}", "inactive", "azureCommunicationServices")

    async def get(self, recording_id: str) -> Recording:
        if isinstance(self.says, ServiceError):
            raise self.says
        return Recording(recording_id, self.says, "azureCommunicationServices")

    async def pause(self, _: str) -> None:
        self._do("pause")

    async def resume(self, _: str) -> None:
        self._do("resume")

    async def stop(self, _: str) -> None:
        self._do("stop")

    def _do(self, operation: str) -> None:
        self.asked.append(operation)
        if self.then_says is not None:
            self.says = self.then_says
        if self.refuses is not None:
            raise self.refuses


class Parts:
    """Recordings on parts in memory."""

    def __init__(self) -> None:
        self.table, self.manifests, self.service = MemoryTable(), MemoryManifests(), Service()
        self.now = NOW
        rows = Table(cast("TableClient", self.table))
        self.ledger, self.claims = Ledger(rows, now=lambda: self.now), Claims(rows)
        self.container = MemoryContainer(self.manifests)
        self.archive = Archive(cast("ContainerClient", self.container))
        self.archive.manifests = cast("Manifests", self.manifests)
        self.places = RecordingPlaces(cast("ContainerClient", self.container), self.ledger)
        self.recordings = Recordings(
            cast("AcsClient", self.service),
            self.ledger,
            self.claims,
            self.archive,
            self.places,
            retention=RETENTION,
            now=lambda: self.now,
        )


def manifest(*archived: bool, last: str = "SessionEnded", start: datetime = NOW) -> Manifest:
    """A manifest with a chunk for each argument, archived or not."""
    chunks = tuple(
        ArchivedChunk(
            index=index,
            document_id=f"document{index}",
            end_reason="ChunkMaximumSizeExceeded" if index < len(archived) - 1 else last,
            archived_at="2026-11-22T09:20:00.000000Z" if done else None,
            content=ArchivedMedia(blob="b", size=100, md5="0", sha256="0") if done else None,
        )
        for index, done in enumerate(archived)
    )
    complete = all(archived) and last == "SessionEnded"
    return Manifest(
        recording_id="recording1",
        status=ManifestStatus.COMPLETE if complete else ManifestStatus.PARTIAL,
        start_time=start.isoformat().replace("+00:00", "Z"),
        duration_ms=60_000,
        chunks=chunks,
    )
