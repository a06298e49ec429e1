"""The whole of the local stack: Azurite, the ACS and Event Grid emulators, the Functions host, and what lies between.

What Bicep makes in Azure is made here too: the containers, the queue, and, once the host runs, the event subscription.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local import ports
from local.acs.errors import AcsEmulatorError
from local.acs.options import AcsOptions
from local.acs.server import AcsEmulator
from local.azurite import Azurite, AzuriteOptions
from local.choices import HostKind
from local.clock import Clock
from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.errors import EventGridEmulatorError
from local.eventgrid.options import EventGridOptions
from local.eventgrid.retries import EndpointType
from local.eventgrid.schemas import EventSchema, TopicKind
from local.eventgrid.subscriptions import DeadLetterDestination, EventFilter, RetryPolicy, SubscriptionSettings
from local.functions_host import FunctionsHost, FunctionsHostOptions
from local.functions_host import program as functions_host_program
from local.host.errors import SettingsError
from local.host.keys import Keys, load_or_create
from local.problems import LocalProblem
from local.provisioning import ARCHIVE_CONTAINER, DEAD_LETTER_CONTAINER, provision
from local.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

PROJECT = Path(__file__).resolve().parent.parent
TOPIC = "acs"
SUBSCRIPTION = "recording-files"
EVENT_FUNCTION = "recording_file_status_updated"
CALL_SUBSCRIPTION = "calls"
ARCHIVE_TOPIC = "archive-events"
CALL_FUNCTION = "call_started_or_ended"
_EVENT_TYPES = {
    EVENT_FUNCTION: ("Microsoft.Communication.RecordingFileStatusUpdated",),
    CALL_FUNCTION: ("Microsoft.Communication.CallStarted", "Microsoft.Communication.CallEnded"),
}
# Settings that a developer's shell may hold for a deployed app, and that would lead the local one astray.
_FOREIGN_SETTINGS = (
    "ACS_",
    "ARCHIVE_",
    "AUTO_RECORD",
    "PUBLIC_BASE_URL",
    "REQUIRE_CONSENT",
    "DELETE_SOURCE_AFTER_ARCHIVE",
    "AzureWebJobsStorage",
    "APPLICATIONINSIGHTS_",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """How the stack runs. Port 0 is any free port.

    Attributes
    ----------
    folder
        Where everything is kept: Azurite's data, the host's keys, logs.
    root
        The app's folder.
    functions_host
        Which Functions host runs the app.
    host_port, blob_port, queue_port, table_port, acs_port, acs_second_port, eventgrid_port
        Where the parts listen, on 127.0.0.1.
    clock_rate
        Emulated seconds a real second, for ACS and Event Grid.
    chunk_seconds
        Recorded seconds after which a chunk ends; the service takes 4 hours.
    queue_lease
        Seconds after which a killed host's queue messages come back; None for the 10 minutes of Azure.
    settings
        App settings on top of those that lead to the stack's parts.
    media_folder
        Where generated media is kept for the next time.
    show
        Gets each line that a Functions host writes.
    """

    folder: Path
    root: Path = PROJECT
    functions_host: HostKind = HostKind.LOCAL
    host_port: int = 0
    blob_port: int = 0
    queue_port: int = 0
    table_port: int = 0
    acs_port: int = 0
    acs_second_port: int = 0
    eventgrid_port: int = 0
    clock_rate: float = 1.0
    chunk_seconds: float = 4 * 3600
    queue_lease: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    media_folder: Path = PROJECT / ".local" / "media"
    show: Callable[[str], None] | None = None


class Stack:
    """The running stack; `async with` starts and stops it.

    Attributes
    ----------
    azurite, acs, eventgrid, host
        The parts.
    clock
        The emulated time of ACS and Event Grid.

    Raises
    ------
    LocalProblem
        On start, if the user has to fix something first.
    """

    azurite: Azurite
    acs: AcsEmulator
    eventgrid: EventGridEmulator
    host: FunctionsHost

    def __init__(self, options: StackOptions, *, progress: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.clock = Clock(options.clock_rate)
        self.keys: Keys
        self._progress = progress
        self._supervisor = Supervisor(str(options.folder))
        self._exits = AsyncExitStack()
        self._hosts: list[FunctionsHost] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except (AcsEmulatorError, EventGridEmulatorError, SettingsError) as error:
            await self._exits.aclose()
            raise LocalProblem(str(error)) from error
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    @property
    def url(self) -> str:
        """Where the app's functions answer."""
        return self.host.url

    @property
    def function_key(self) -> str:
        """The key that opens the app's HTTP functions."""
        return self.keys.function_key

    @property
    def storage(self) -> str:
        """Connection string of the archive's storage account."""
        return self.azurite.connection_string

    @property
    def logs(self) -> Path:
        """Folder of the log files."""
        return self.options.folder / "logs"

    def blob_service(self) -> BlobServiceClient:
        """Return a client of the archive's blob service; the caller closes it."""
        return BlobServiceClient.from_connection_string(self.storage, use_env_settings=False)

    def queue_service(self) -> QueueServiceClient:
        """Return a client of the archive's queue service; the caller closes it."""
        return QueueServiceClient.from_connection_string(self.storage, use_env_settings=False)

    async def start_host(self) -> None:
        """Start the Functions host again after `stop_host` or `kill_host`."""
        await self.host.start()

    async def stop_host(self) -> None:
        """Stop the Functions host; what runs may finish."""
        await self.host.stop()

    async def kill_host(self) -> None:
        """End the Functions host at once, as a crash would."""
        await self.host.kill()

    async def add_host(self, *, settings: Mapping[str, str] | None = None) -> FunctionsHost:
        """Start another Functions host on the same storage, as scaling out does.

        Parameters
        ----------
        settings
            App settings in which it differs.
        """
        host = FunctionsHost(self._host_options(0, settings or {}), self._supervisor)
        self._hosts.append(host)
        await host.start()
        return host

    async def _start(self) -> None:
        options = self.options
        # First what can be checked: a second stack, started by mistake, fails before it changes anything.
        functions_host_program(options.functions_host)
        acs_port = ports.claim("127.0.0.1", options.acs_port, "the ACS emulator", "--acs-port")
        acs_second = ports.claim(
            "127.0.0.1", options.acs_second_port, "the ACS emulator's second media origin", "--acs-second-port"
        )
        eventgrid_port = ports.claim("127.0.0.1", options.eventgrid_port, "the Event Grid emulator", "--eventgrid-port")
        host_port = ports.claim("127.0.0.1", options.host_port, "the Functions host", "--host-port")
        options.folder.mkdir(parents=True, exist_ok=True)
        self.keys = load_or_create(options.folder / "keys.json")
        await self._exits.enter_async_context(self._supervisor)
        self.azurite = Azurite(
            AzuriteOptions(
                folder=options.folder / "azurite",
                log=self.logs / "azurite.log",
                blob_port=options.blob_port,
                queue_port=options.queue_port,
                table_port=options.table_port,
            ),
            self._supervisor,
        )
        await self._exits.enter_async_context(self.azurite)
        await provision(self.storage)
        self._progress(f"Azurite keeps the archive in {options.folder / 'azurite'}")
        self.eventgrid = await self._exits.enter_async_context(
            EventGridEmulator(EventGridOptions(port=eventgrid_port), clock=self.clock)
        )
        await self.eventgrid.create_topic(TOPIC)
        await self.eventgrid.create_topic(ARCHIVE_TOPIC, kind=TopicKind.CUSTOM, input_schema=EventSchema.CLOUD_EVENTS)
        self.acs = await self._exits.enter_async_context(
            AcsEmulator(
                AcsOptions(
                    port=acs_port,
                    second_port=acs_second,
                    chunk_duration=options.chunk_seconds,
                    media_dir=options.media_folder,
                    topic=self.eventgrid.topic_endpoint(TOPIC),
                    topic_key=self.eventgrid.topic_key(TOPIC),
                ),
                clock=self.clock,
            )
        )
        self._progress("the ACS and Event Grid emulators listen")
        self.host = FunctionsHost(self._host_options(host_port, {}), self._supervisor)
        self._hosts.append(self.host)
        self._exits.push_async_callback(self._stop_hosts)
        await self.host.start()
        self._progress(f"the Functions host runs the app at {self.url}")
        await self.subscribe()
        await self.subscribe(name=CALL_SUBSCRIPTION, function=CALL_FUNCTION)
        self._progress("Event Grid delivers to the app")

    async def _stop_hosts(self) -> None:
        for host in self._hosts:
            await host.stop()

    async def subscribe(
        self,
        schema: EventSchema = EventSchema.EVENT_GRID,
        name: str = SUBSCRIPTION,
        function: str = EVENT_FUNCTION,
        host: FunctionsHost | None = None,
    ) -> None:
        """Make a subscription that delivers to the app, or change it.

        Parameters
        ----------
        schema
            In which events are delivered.
        name
            Another name makes another subscription beside the first.
        function
            Which function gets the events.
        host
            Which Functions host runs it; the first by default.
        """
        await self.eventgrid.create_subscription(
            TOPIC,
            SubscriptionSettings(
                name=name,
                event_delivery_schema=schema,
                endpoint=(
                    f"{(host or self.host).url}/runtime/webhooks/EventGrid?functionName={function}"
                    f"&code={self.keys.event_grid_key}"
                ),
                endpoint_type=EndpointType.AZURE_FUNCTION,
                filter=EventFilter(included_event_types=_EVENT_TYPES[function]),
                retry_policy=RetryPolicy(max_delivery_attempts=30, event_time_to_live_in_minutes=120),
                dead_letter=DeadLetterDestination.model_validate(
                    {"connectionString": self.storage, "container": DEAD_LETTER_CONTAINER}
                ),
            ),
        )

    def _host_options(self, port: int, settings: Mapping[str, str]) -> FunctionsHostOptions:
        port = port or ports.free_port()
        options = self.options
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
        environment = {
            **inherited,
            "ACS_CONNECTION_STRING": self.acs.connection_string,
            "ACS_RESOURCE_ID": self.acs.options.azure_id,
            "ARCHIVE_STORAGE": self.storage,
            "ARCHIVE_CONTAINER": ARCHIVE_CONTAINER,
            "ARCHIVE_TOPIC_ENDPOINT": self.eventgrid.topic_endpoint(ARCHIVE_TOPIC),
            "ARCHIVE_TOPIC_KEY": self.eventgrid.topic_key(ARCHIVE_TOPIC),
            "AzureWebJobsStorage": self.storage,
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            "RECORDING_TRUSTED_ORIGINS": "http://127.0.0.1:*",
            # The stack is on this machine, whatever proxy leads out of it.
            "NO_PROXY": ",".join(filter(None, (inherited.get("NO_PROXY"), "127.0.0.1"))),
            "no_proxy": ",".join(filter(None, (inherited.get("no_proxy"), "127.0.0.1"))),
            "PYTHONUNBUFFERED": "1",
            **options.settings,
            **settings,
        }
        return FunctionsHostOptions(
            kind=options.functions_host,
            root=options.root,
            host="127.0.0.1",
            port=port,
            keys=options.folder / "keys.json",
            log=self.logs / f"functions-{port}.log",
            environment=environment,
            queue_lease=options.queue_lease,
            show=options.show,
        )
