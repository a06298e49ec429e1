"""Puts the domain together from the settings: the one place where clients are made.

That happens at first use, and the heavy SDKs are imported only then, so that a cold start stays quick.
"""

# ruff: noqa: PLC0415 - imports wait until they are needed

from __future__ import annotations

import logging
import os
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
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
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient
    from azure.storage.queue.aio import QueueServiceClient

    from shared.archiving.chunk_archiver import ChunkArchiver
    from shared.archiving.intake import Intake
    from shared.archiving.publisher import Publisher
    from shared.archiving.verification import Verification
    from shared.catalogue.listing import Listing
    from shared.diagnostics.findings import Diagnosis
    from shared.diagnostics.health import Health
    from shared.diagnostics.probes import Surroundings
    from shared.download.signing import Signer
    from shared.incidents.incidents import Incidents
    from shared.recordings.acs_client import AcsClient
    from shared.recordings.auto_record import AutoRecord
    from shared.recordings.callbacks import Callbacks
    from shared.recordings.policy import Policy
    from shared.recordings.service import Recordings
    from shared.recovery.manual_retry import ManualRetry
    from shared.recovery.reindex import Reindex
    from shared.recovery.sweep import Sweep
    from shared.storage.blobs import Catalog
    from shared.storage.ledger import Ledger
    from shared.storage.places import Places

ROOT = Path(__file__).resolve().parents[1]
"""The app's root, where function_app.py is."""

QUEUE = "recording-chunks"
"""The queue between the event and the copy; holds one message a chunk."""

STORAGE_CONNECTION = "ARCHIVE_STORAGE"
"""The setting that bindings name as their connection."""

_CLIENTS = (
    "_topic",
    "_blob_service",
    "_queue_service",
    "_table_service",
    "_control_client",
    "_session",
    "_credential",
)


class Services:
    """The app's parts, made from its settings when first asked for."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        self.settings = settings
        self.policy = policy

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings and the policy for automatic recording; `environment` is `os.environ` or the like.

        Raises
        ------
        SettingsError
            Something is missing or wrong; names everything that is.
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
        """What takes events in."""
        from shared.archiving.intake import Intake

        return Intake(
            self._catalog,
            self._ledger,
            self.attention,
            origins=self.settings.trusted_origins,
            retention=timedelta(hours=self.settings.retention_hours),
            resource_id=self.settings.resource_id,
        )

    @cached_property
    def archive(self) -> ChunkArchiver:
        """What copies chunks."""
        from shared.archiving.chunk_archiver import ChunkArchiver
        from shared.archiving.source_deletion import Completion
        from shared.download.client import DownloadClient
        from shared.storage.chunk_queue import ChunkQueue
        from shared.upload.copier import Copier

        settings = self.settings
        source = DownloadClient(self._session, self._signer, settings.trusted_origins)
        return ChunkArchiver(
            self._container,
            catalog=self._catalog,
            ledger=self._ledger,
            attention=self.attention,
            queue=ChunkQueue(self._queue_service, QUEUE),
            source=source,
            transfer=Copier(block_mib=settings.block_mib, concurrency=settings.concurrency),
            completion=Completion(
                self._catalog,
                self.verification,
                source,
                announcer=self.announcer,
                delete_sources=settings.delete_source,
            ),
            first_retry=timedelta(seconds=settings.retry_seconds),
        )

    @cached_property
    def attention(self) -> Incidents:
        """What keeps the operator's list."""
        from shared.incidents.incidents import Incidents

        announcer = self.announcer
        return Incidents(self._catalog, self._ledger, announce=announcer.attention if announcer else None)

    @cached_property
    def announcer(self) -> Publisher | None:
        """What publishes the archive's own events; None where no topic is set."""
        topic = self.settings.topic
        if topic is None:
            return None
        from shared.archiving.publisher import Publisher

        return Publisher(self._topic, self._container.url.partition("?")[0])

    @cached_property
    def verification(self) -> Verification:
        """What reads recordings back."""
        from shared.archiving.verification import Verification

        return Verification(self._container, self._catalog, self._places)

    @cached_property
    def listing(self) -> Listing:
        """What lists the archive."""
        from shared.catalogue.listing import Listing

        return Listing(self._container, self._catalog, self._places)

    @cached_property
    def reindexing(self) -> Reindex:
        """What makes the ledger again."""
        from shared.recovery.reindex import Reindex

        return Reindex(
            self._container,
            catalog=self._catalog,
            ledger=self._ledger,
            attention=self.attention,
            listing=self.listing,
            retention=timedelta(hours=self.settings.retention_hours),
        )

    @cached_property
    def recovery(self) -> Sweep:
        """What finds and mends what did not go its way."""
        from shared.recovery.sweep import Sweep
        from shared.storage.chunk_queue import ChunkQueue
        from shared.storage.dead_letters import DeadLetters

        settings = self.settings
        return Sweep(
            catalog=self._catalog,
            ledger=self._ledger,
            attention=self.attention,
            intake=self.intake,
            calls=self.auto_record,
            control=self.control,
            queue=ChunkQueue(self._queue_service, QUEUE),
            poison=ChunkQueue(self._queue_service, f"{QUEUE}-poison"),
            dead_letters=DeadLetters(self._blob_service.get_container_client(settings.dead_letter_container)),
            retention=timedelta(hours=settings.retention_hours),
            expected_event=timedelta(minutes=settings.expected_event_minutes),
        )

    @property
    def rework(self) -> ManualRetry:
        """What puts the work of findings back."""
        return self.recovery.rework

    @cached_property
    def control(self) -> AcsClient:
        """What starts and stops recordings."""
        from shared.recordings.reporting_client import ReportingClient

        return ReportingClient(self._control_client, self.callbacks)

    @cached_property
    def recordings(self) -> Recordings:
        """What starts recordings, stops them, and knows their state."""
        from shared.recordings.service import Recordings

        retention = timedelta(hours=self.settings.retention_hours)
        return Recordings(
            self.control,
            self._ledger,
            self._catalog,
            self._places,
            retention=retention,
            require_consent=self.settings.require_consent,
        )

    @cached_property
    def callbacks(self) -> Callbacks:
        """What takes the service's reports of recordings' states."""
        from shared.recordings.callbacks import Callbacks

        return Callbacks(self._ledger, self.settings.public_base_url)

    @cached_property
    def auto_record(self) -> AutoRecord:
        """What starts recordings by itself."""
        from shared.recordings.auto_record import AutoRecord

        return AutoRecord(
            self._ledger,
            self.attention,
            self.recordings,
            self.policy,
            resource_id=self.settings.resource_id,
        )

    @cached_property
    def health(self) -> Health:
        """What tells which dependency cannot be reached."""
        from shared.diagnostics.health import Health

        return Health(self._container, self._queue_service.get_queue_client(QUEUE), self.control)

    @cached_property
    def surroundings(self) -> Surroundings:
        """What a diagnosis tries."""
        from shared.diagnostics.probes import Surroundings

        return Surroundings(
            settings=self.settings,
            container=self._container,
            queue=lambda: self._queue_service.get_queue_client(QUEUE),
            poison_queue=lambda: self._queue_service.get_queue_client(f"{QUEUE}-poison"),
            table=lambda: self._table_service.get_table_client("diagnostics"),
            control=self.control,
            session=self._session,
        )

    async def close(self) -> None:
        """Close every client that was made."""
        for name in _CLIENTS:
            if name in self.__dict__:
                await getattr(self, name).close()

    @cached_property
    def _places(self) -> Places:
        from shared.storage.places import Places

        return Places(self._container, self._ledger)

    @cached_property
    def _topic(self) -> EventGridPublisherClient:
        from azure.core.credentials import AzureKeyCredential
        from azure.eventgrid.aio import EventGridPublisherClient

        topic = self.settings.topic
        if topic is None:
            raise RuntimeError("there is no topic to publish to")
        credential = AzureKeyCredential(topic.key) if topic.key else self._credential
        # The message that is published again on failure is more patient than an HTTP client.
        return EventGridPublisherClient(
            topic.endpoint, credential, retry_total=2, connection_timeout=5, read_timeout=10
        )

    @property
    def _container(self) -> ContainerClient:
        return self._blob_service.get_container_client(self.settings.container)

    @cached_property
    def _catalog(self) -> Catalog:
        from shared.storage.blobs import Catalog

        return Catalog(self._container)

    @cached_property
    def _ledger(self) -> Ledger:
        from shared.storage.ledger import TABLE, Ledger

        return Ledger(self._table_service.get_table_client(TABLE))

    @cached_property
    def _control_client(self) -> CallAutomationClient:
        from azure.communication.callautomation.aio import CallAutomationClient
        from azure.core.credentials import AzureKeyCredential

        service = self.settings.service
        credential: Any = AzureKeyCredential(service.access_key) if service.access_key else self._credential
        return CallAutomationClient(service.endpoint, credential, retry_total=0)  # Control itself tries again

    @cached_property
    def _blob_service(self) -> BlobServiceClient:
        from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

        client: BlobServiceClient = self._storage(
            BlobServiceClient,
            self.settings.storage.blob_uri,
            # The SDK would look for credentials in netrc at each request, and first wait 15 s after a failure.
            use_env_settings=False,
            retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2),
        )
        return client

    @cached_property
    def _queue_service(self) -> QueueServiceClient:
        from azure.storage.queue.aio import QueueServiceClient

        client: QueueServiceClient = self._storage(QueueServiceClient, self.settings.storage.queue_uri)
        return client

    @cached_property
    def _table_service(self) -> TableServiceClient:
        from azure.data.tables.aio import TableServiceClient

        client: TableServiceClient = self._storage(TableServiceClient, self.settings.storage.table_uri)
        return client

    def _storage(self, client: Any, address: str | None, **options: Any) -> Any:
        if self.settings.storage.connection_string:
            return client.from_connection_string(self.settings.storage.connection_string, **options)
        return client(address, credential=self._credential, **options)

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


def _policy(environment: Mapping[str, str]) -> tuple[Policy | None, list[str]]:
    auto_record = environment.get("AUTO_RECORD", "").strip() or "off"
    if auto_record == "off":
        return None, []
    from shared.recordings.policy import policy_of

    require_consent = environment.get("REQUIRE_CONSENT", "").strip().lower() == "true"
    return policy_of(auto_record, ROOT, require_consent=require_consent)


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
    """Try everything the app needs; settings that are wrong are a finding too."""
    from shared.diagnostics.checks import diagnosed, diagnosed_by

    try:
        surroundings = services().surroundings
    except SettingsError as error:
        return diagnosed_by(error)
    return await diagnosed(surroundings)


def report_settings() -> None:
    """Say at start what is wrong with the settings; what is asked of the app then fails with the same message."""
    try:
        services()
    except SettingsError as error:
        logging.getLogger("archiver").critical("%s", error)
