"""The app's parts, made from the settings: the one place where clients are created.

Each is created at first use, and the SDKs are imported only then, so that a cold start stays fast.
"""

# ruff: noqa: PLC0415 - imports wait until they are needed

from __future__ import annotations

import logging
import os
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Self

from shared.config.settings import Settings
from shared.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from azure.communication.callautomation.aio import CallAutomationClient
    from azure.data.tables.aio import TableServiceClient
    from azure.eventgrid.aio import EventGridPublisherClient
    from azure.identity.aio import DefaultAzureCredential
    from azure.storage.blob.aio import BlobServiceClient
    from azure.storage.queue.aio import QueueServiceClient

    from shared.archiving.chunk_archiver import ChunkArchiver
    from shared.archiving.event_worker import EventWorker
    from shared.archiving.intake import Intake
    from shared.archiving.publisher import Publisher
    from shared.archiving.verification import Verification
    from shared.catalogue.listing import Listing
    from shared.diagnostics.health import Health
    from shared.diagnostics.probes import Surroundings
    from shared.diagnostics.results import Diagnosis
    from shared.download.signing import Signer
    from shared.incidents.incidents import Incidents
    from shared.incidents.restoration import Restoration
    from shared.recordings.acs_client import AcsClient
    from shared.recordings.auto_record import AutoRecord
    from shared.recordings.callbacks import Callbacks
    from shared.recordings.policy import Policy
    from shared.recordings.service import Recordings
    from shared.recovery.manual_retry import ManualRetry
    from shared.recovery.reindex import Reindex
    from shared.recovery.replay import Replay
    from shared.recovery.stalled_recordings import StalledRecordings
    from shared.recovery.sweep import Sweep
    from shared.storage.archive import Archive
    from shared.storage.claims import Claims
    from shared.storage.large_events import LargeEvents
    from shared.storage.ledger import Ledger
    from shared.storage.message_queue import MessageQueue
    from shared.storage.places import RecordingPlaces
    from shared.storage.table import Table

QUEUE = "recording-chunks"
"""The queue between the event and the copy; one message a chunk."""

EVENT_QUEUE = "recording-events"
"""The queue between the webhook and the intake; holds one message an event, in the host's account."""

HOST_CONNECTION = "AzureWebJobsStorage"
"""The setting with the host's account: each account's failure is borne by what lies in the other."""

STORAGE_CONNECTION = "ARCHIVE_STORAGE"
"""The setting that bindings name as their connection."""

_SECONDS: Any = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}
"""How long a queue or a table may take: the SDKs' own limits are minutes, and a function would be over first."""

_CLIENTS = (
    "_topic", "_blob_service", "_queue_service", "_host_queue_service", "table_service", "control_client", "_session",
    "_credential", "_host_credential",
)  # fmt: skip


class Services:
    """The app's parts, created from its settings at first use."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        self.settings = settings
        self.policy = policy

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings and the policy for automatic recording; `environment` is `os.environ` or the like.

        Raises
        ------
        SettingsError
            Settings are missing or wrong; the message names all of them.
        """
        policy, faults = _policy(environment)
        try:
            settings = Settings.from_environment(environment)
        except SettingsError as error:
            raise SettingsError(*error.faults, *faults) from None
        if faults:
            raise SettingsError(*faults)
        return cls(settings, policy)

    @cached_property
    def intake(self) -> Intake:
        """Takes events in."""
        from shared.archiving.intake import Intake

        return Intake(
            self.archive, self.ledger, self.incidents, origins=self.settings.trusted_origins,
            retention=self._retention, resource_id=self.settings.resource_id,
        )  # fmt: skip

    @cached_property
    def event_worker(self) -> EventWorker:
        """Takes the events of their queue in."""
        from shared.archiving.event_worker import EventWorker

        return EventWorker(
            self.intake, self.incidents, events=self._event_queue, chunks=self._chunk_queue, large=self.large_events,
            first_delay=2 * timedelta(seconds=self.settings.retry_seconds),
        )  # fmt: skip

    @cached_property
    def large_events(self) -> LargeEvents:
        """What keeps events that are too large for a message."""
        from shared.storage.blobs import Blobs
        from shared.storage.large_events import OPERATIONS, LargeEvents

        return LargeEvents(Blobs(self._blob_service.get_container_client(OPERATIONS)))

    @cached_property
    def chunk_archiver(self) -> ChunkArchiver:
        """Archives chunks."""
        from shared.archiving.chunk_archiver import ChunkArchiver
        from shared.archiving.chunk_files import ChunkFiles
        from shared.archiving.chunk_retries import ChunkRetries
        from shared.archiving.source_deletion import Completion
        from shared.download.client import DownloadClient
        from shared.upload.copier import Copier

        settings = self.settings
        source = DownloadClient(self._session, self._signer, settings.trusted_origins)
        copier = Copier(block_mib=settings.block_mib, concurrency=settings.concurrency)
        files = ChunkFiles(self.archive, self.ledger, source, copier)
        first = timedelta(seconds=settings.retry_seconds)
        retries = ChunkRetries(self._chunk_queue, self.ledger, self.incidents, first=first)
        completion = Completion(
            self.archive, self.verification, source, publisher=self.publisher, delete_sources=settings.delete_source
        )
        return ChunkArchiver(self.archive, files, retries, completion=completion)

    @cached_property
    def incidents(self) -> Incidents:
        """Keeps what an operator must look at."""
        from shared.incidents.evidence_blobs import EvidenceBlobs
        from shared.incidents.incidents import Incidents

        publish = self.publisher.attention if self.publisher else None
        return Incidents(EvidenceBlobs(self.archive.blobs), self.claims, announce=publish)

    @cached_property
    def publisher(self) -> Publisher | None:
        """Publishes the archive's own events; None where no topic is set."""
        topic = self.settings.topic
        if topic is None:
            return None
        from shared.archiving.publisher import Publisher

        return Publisher(self._topic, self.archive.container.url.partition("?")[0])

    @cached_property
    def verification(self) -> Verification:
        """Reads recordings back."""
        from shared.archiving.verification import Verification

        return Verification(self.archive, self.places)

    @cached_property
    def listing(self) -> Listing:
        """Lists the archive."""
        from shared.catalogue.listing import Listing

        return Listing(self.archive, self.places)

    @cached_property
    def reindex(self) -> Reindex:
        """Rebuilds the ledger."""
        from shared.recovery.reindex import Reindex

        return Reindex(self.archive, self.ledger, self._restoration, listing=self.listing, retention=self._retention)

    @cached_property
    def sweep(self) -> Sweep:
        """Finds and fixes what failed or was lost."""
        from shared.recovery.silent_recordings import SilentRecordings
        from shared.recovery.sweep import Sweep
        from shared.recovery.undelivered import ChunkPoison, DeadLetterReplay, EventPoison
        from shared.recovery.upkeep import Upkeep
        from shared.storage.dead_letters import DeadLetters
        from shared.storage.message_queue import MessageQueue

        dead_letters = DeadLetters(self._blob_service.get_container_client(self.settings.dead_letter_container))
        upkeep = Upkeep(
            self.ledger, self.claims, self.incidents, restoration=self._restoration, stalled=self._stalled,
            dead_letters=dead_letters,
        )  # fmt: skip
        silent = SilentRecordings(
            self.ledger, self.acs, self.incidents, retention=self._retention, expected_event=self._expected_event
        )
        poison = MessageQueue(self._queue_service, f"{QUEUE}-poison")
        event_poison = MessageQueue(self._host_queue_service, f"{EVENT_QUEUE}-poison")
        return Sweep(
            {
                "put_back_what_is_missing": upkeep.put_back_what_is_missing,
                "replay_dead_letters": DeadLetterReplay(dead_letters, self._replay, self.incidents).replay_all,
                "drain_poison_events": EventPoison(event_poison, self._event_queue, self.incidents).drain,
                "drain_poison_chunks": ChunkPoison(poison, self._chunk_queue, self.incidents).drain,
                "drive_partial_recordings": self._stalled.drive_all,
                "look_for_silent_recordings": silent.look_for_all,
                "settle_what_is_resolved": upkeep.settle_what_is_resolved,
                "report_what_grew": upkeep.report_what_grew,
                "drop_what_is_old": upkeep.drop_what_is_old,
            }
        )

    @cached_property
    def manual_retry(self) -> ManualRetry:
        """Retries incidents."""
        from shared.recovery.manual_retry import ManualRetry

        return ManualRetry(
            self.archive, self.ledger, self.incidents, replay=self._replay, stalled=self._stalled,
            queue=self._chunk_queue, restoration=self._restoration,
        )  # fmt: skip

    @cached_property
    def acs(self) -> AcsClient:
        """Asks the service to start and stop recordings."""
        from shared.recordings.acs_client import AcsClient

        return AcsClient(self.control_client, self.callbacks)

    @cached_property
    def recordings(self) -> Recordings:
        """Starts recordings, stops them, and knows their state."""
        from shared.recordings.service import Recordings

        return Recordings(
            self.acs, self.ledger, self.claims, self.archive, self.places,
            retention=self._retention, require_consent=self.settings.require_consent,
        )  # fmt: skip

    @cached_property
    def callbacks(self) -> Callbacks:
        """Takes the service's reports of recordings' states."""
        from shared.recordings.callbacks import Callbacks

        return Callbacks(self.ledger, self.claims, self.settings.public_base_url)

    @cached_property
    def auto_record(self) -> AutoRecord:
        """Starts recordings automatically."""
        from shared.recordings.auto_record import AutoRecord

        return AutoRecord(
            self.ledger, self.claims, self.incidents, self.recordings, self.policy,
            resource_id=self.settings.resource_id,
        )  # fmt: skip

    @cached_property
    def health(self) -> Health:
        """Reports which dependency cannot be reached."""
        from shared.diagnostics.health import Health

        return Health(self.archive.container, self._queue_service.get_queue_client(QUEUE), self.acs)

    @cached_property
    def surroundings(self) -> Surroundings:
        """Gives a diagnosis what it tries."""
        from shared.diagnostics.probes import Surroundings

        return Surroundings(
            settings=self.settings,
            container=self.archive.container,
            queue=lambda: self._queue_service.get_queue_client(QUEUE),
            poison_queue=lambda: self._queue_service.get_queue_client(f"{QUEUE}-poison"),
            table=lambda: self.table_service.get_table_client("diagnostics"),
            control=self.acs,
            session=self._session,
        )

    async def close(self) -> None:
        """Close every client that was made."""
        for name in _CLIENTS:
            if name in self.__dict__:
                await getattr(self, name).close()

    @cached_property
    def places(self) -> RecordingPlaces:
        """Finds a recording in the archive by its id."""
        from shared.storage.places import RecordingPlaces

        return RecordingPlaces(self.archive.container, self.ledger)

    @cached_property
    def _topic(self) -> EventGridPublisherClient:
        from azure.core.credentials import AzureKeyCredential
        from azure.eventgrid.aio import EventGridPublisherClient

        topic = self.settings.topic
        if topic is None:
            raise RuntimeError("there is no topic to publish to")
        credential = AzureKeyCredential(topic.key) if topic.key else self._credential
        # A message that fails is tried again for hours, so few and short tries are enough here.
        return EventGridPublisherClient(
            topic.endpoint, credential, retry_total=2, connection_timeout=5, read_timeout=10
        )

    @property
    def _retention(self) -> timedelta:
        return timedelta(hours=self.settings.retention_hours)

    @property
    def _expected_event(self) -> timedelta:
        return timedelta(minutes=self.settings.expected_event_minutes)

    @cached_property
    def archive(self) -> Archive:
        """What lies in the archive's container."""
        from shared.storage.archive import Archive

        return Archive(self._blob_service.get_container_client(self.settings.container))

    @cached_property
    def _chunk_queue(self) -> MessageQueue:
        from shared.storage.message_queue import MessageQueue

        return MessageQueue(self._queue_service, QUEUE)

    @cached_property
    def _event_queue(self) -> MessageQueue:
        from shared.storage.message_queue import MessageQueue

        return MessageQueue(self._host_queue_service, EVENT_QUEUE)

    @cached_property
    def _table(self) -> Table:
        from shared.storage.ledger import TABLE
        from shared.storage.table import Table

        return Table(self.table_service.get_table_client(TABLE))

    @cached_property
    def ledger(self) -> Ledger:
        """What is known of recordings."""
        from shared.storage.ledger import Ledger

        return Ledger(self._table)

    @cached_property
    def claims(self) -> Claims:
        """The keys that were claimed."""
        from shared.storage.claims import Claims

        return Claims(self._table)

    @cached_property
    def _restoration(self) -> Restoration:
        from shared.incidents.restoration import Restoration

        return Restoration(self.archive, self.ledger, self.incidents)

    @cached_property
    def _replay(self) -> Replay:
        from shared.recovery.replay import Replay

        return Replay(self.intake, self.auto_record, self._chunk_queue)

    @cached_property
    def _stalled(self) -> StalledRecordings:
        from shared.recovery.stalled_recordings import StalledRecordings

        return StalledRecordings(
            self.archive, self.ledger, self.incidents, self._replay,
            retention=self._retention, expected_event=self._expected_event,
        )  # fmt: skip

    @cached_property
    def control_client(self) -> CallAutomationClient:
        """The SDK's client of Azure Communication Services."""
        from azure.communication.callautomation.aio import CallAutomationClient
        from azure.core.credentials import AzureKeyCredential

        service = self.settings.service
        credential: Any = AzureKeyCredential(service.access_key) if service.access_key else self._credential
        return CallAutomationClient(service.endpoint, credential, retry_total=0)  # AcsClient itself tries again

    @cached_property
    def _blob_service(self) -> BlobServiceClient:
        from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

        # By default the SDK looks for credentials in netrc at each request, and first waits 15 s after a failure.
        retries = ExponentialRetry(initial_backoff=1, increment_base=2)
        uri = self.settings.storage.blob_uri
        return self._storage(BlobServiceClient, uri, use_env_settings=False, retry_policy=retries)

    @cached_property
    def _queue_service(self) -> QueueServiceClient:
        from azure.storage.queue.aio import QueueServiceClient

        return self._storage(QueueServiceClient, self.settings.storage.queue_uri, **_SECONDS)

    @cached_property
    def _host_queue_service(self) -> QueueServiceClient:
        from azure.storage.queue.aio import QueueServiceClient

        host = self.settings.host_storage
        if host is None:
            raise SettingsError(f"{HOST_CONNECTION} is not set; the Functions host needs it too")
        if host.connection_string:
            return QueueServiceClient.from_connection_string(host.connection_string, **_SECONDS)
        return QueueServiceClient(host.queue_uri or "", credential=self._host_credential, **_SECONDS)

    @cached_property
    def table_service(self) -> TableServiceClient:
        """The SDK's client of the archive's tables."""
        from azure.data.tables.aio import TableServiceClient

        return self._storage(TableServiceClient, self.settings.storage.table_uri, **_SECONDS)

    def _storage[C](self, client: type[C], address: str | None, **options: Any) -> C:
        make: Any = client  # the clients of the three services share no base
        if self.settings.storage.connection_string:
            made: C = make.from_connection_string(self.settings.storage.connection_string, **options)
        else:
            made = make(address, credential=self._credential, **options)
        return made

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        return aiohttp.ClientSession(auto_decompress=False)

    @cached_property
    def _signer(self) -> Signer:
        from shared.download.signing import HmacSigner, TokenSigner

        service = self.settings.service
        if service.access_key:
            return HmacSigner(service.endpoint, service.access_key)
        return TokenSigner(self._credential, service.endpoint)

    @cached_property
    def _credential(self) -> DefaultAzureCredential:
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential(managed_identity_client_id=self.settings.storage.client_id)

    @cached_property
    def _host_credential(self) -> DefaultAzureCredential:
        from azure.identity.aio import DefaultAzureCredential

        host = self.settings.host_storage
        return DefaultAzureCredential(managed_identity_client_id=host.client_id if host else None)


def _policy(environment: Mapping[str, str]) -> tuple[Policy | None, list[str]]:
    auto_record = environment.get("AUTO_RECORD", "").strip() or "off"
    if auto_record == "off":
        return None, []  # without the import, which takes time
    from pathlib import Path

    from shared.recordings.policy import policy_of

    require_consent = environment.get("REQUIRE_CONSENT", "").strip().lower() == "true"
    return policy_of(auto_record, Path(__file__).resolve().parents[1], require_consent=require_consent)


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the app's parts, made from this process's environment.

    Raises
    ------
    SettingsError
        The settings are wrong; they are read again at the next call.
    """
    return Services.from_environment(os.environ)


async def diagnose() -> Diagnosis:
    """Try everything that the app needs; wrong settings are a result too."""
    from shared.diagnostics.checks import diagnosed, diagnosed_by

    try:
        surroundings = services().surroundings
    except SettingsError as error:
        return diagnosed_by(error)
    return await diagnosed(surroundings)


def report_settings() -> None:
    """Log at start what is wrong with the settings; every request then fails with the same message."""
    try:
        services()
    except SettingsError as error:
        logging.getLogger("archiver").critical("%s", error)
