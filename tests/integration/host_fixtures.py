"""A Functions host as a process of its own, on the sample app or any other, against the session's Azurite.

Test modules name this one in `pytest_plugins`, so that all of them share one sample host. Nothing here asserts in a way
that needs rewriting: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueServiceClient

from local.host.keys import Keys, load_or_create
from local.host.storage import create_if_missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from azure.storage.queue.aio import QueueClient

    from local.azurite import Azurite

SAMPLE = Path(__file__).parent / "host_apps" / "sample"


class HostProcess:
    """A running host: its address, keys and output."""

    def __init__(self, process: asyncio.subprocess.Process, keys: Path, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.session = session
        self.output = ""
        self.keys_file = keys
        self._grown = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def keys(self) -> Keys:
        return load_or_create(self.keys_file)

    @property
    def url(self) -> str:
        said = re.search(r"Listening on http://localhost:(\d+)", self.output)
        assert said is not None, self.output
        return f"http://127.0.0.1:{said.group(1)}"

    async def says(self, text: str, times: int = 1) -> str:
        """Wait until the output has `text`, and return the output."""
        while self.output.count(text) < times:
            self._grown.clear()
            if self._reading.done() and self.output.count(text) < times:
                raise AssertionError(f"the host ended without saying {text!r}:\n{self.output}")
            await self._grown.wait()
        return self.output

    async def get(self, path: str, **options: Any) -> tuple[int, bytes]:
        return await self.request("GET", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        from yarl import URL

        async with self.session.request(method, URL(self.url + path, encoded=True), **options) as response:
            return response.status, await response.read()

    async def ended(self) -> int:
        await self._reading
        return await self.process.wait()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.output += chunk.decode()
            self._grown.set()
        self._grown.set()


class SampleQueues:
    """The queues that one run of the sample app works on, and the notes it takes."""

    def __init__(self, service: QueueServiceClient, notes: Path) -> None:
        self.name, self.done, self.events = (f"{name}-{uuid4().hex[:12]}" for name in ("work", "done", "events"))
        self.service = service
        self.notes_file = notes

    async def send(self, order: dict[str, Any]) -> None:
        queue = self.queue(self.name)
        await create_if_missing(queue)
        await queue.send_message(json.dumps(order))

    def queue(self, name: str) -> QueueClient:
        return self.service.get_queue_client(
            name, message_encode_policy=TextBase64EncodePolicy(), message_decode_policy=TextBase64DecodePolicy()
        )

    def raw(self, name: str) -> QueueClient:
        return self.service.get_queue_client(name)

    def notes(self, name: str, order: str | None = None) -> list[dict[str, Any]]:
        text = self.notes_file.read_text() if self.notes_file.exists() else ""
        found = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [n for n in found if n["name"] == name and (order is None or n["order"]["id"] == order)]

    async def noted(self, name: str, order: str | None = None, times: int = 1) -> list[dict[str, Any]]:
        """Wait until the sample app took `times` notes."""
        while True:
            found = self.notes(name, order)
            if len(found) >= times:
                return found
            await asyncio.sleep(0.05)

    async def take(self, name: str, wanted: Callable[[str], bool] = lambda _: True, *, raw: bool = False) -> str:
        """Wait for a message on a queue and take it away; `raw` leaves its encoding as it is."""
        queue = self.raw(name) if raw else self.queue(name)
        while True:
            try:
                async for message in queue.receive_messages(visibility_timeout=1):
                    if wanted(message.content):
                        await queue.delete_message(message)
                        return str(message.content)
            except ResourceNotFoundError:
                pass
            await asyncio.sleep(0.05)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.close()


@asynccontextmanager
async def host_process(
    folder: Path, root: Path, *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[HostProcess]:
    """Start a host on a free port; it may still be starting, or refuse to."""
    keys = folder / "keys.json"
    command = [
        sys.executable,
        "-m",
        "local",
        "host",
        "--root",
        str(root),
        "--port",
        "0",
        "--keys",
        str(keys),
        *arguments,
    ]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AzureFunctionsJobHost")}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=inherited | {"PYTHONUNBUFFERED": "1"} | (environment or {}),
    )
    async with aiohttp.ClientSession() as session:
        host = HostProcess(process, keys, session)
        try:
            yield host
        finally:
            if process.returncode is None:
                process.kill()
            await host.ended()


def sample_environment(azurite: Azurite, queues: SampleQueues) -> dict[str, str]:
    return {
        "SAMPLE_STORAGE": azurite.connection_string,
        "SAMPLE_NOTES": str(queues.notes_file),
        "SAMPLE_SCHEDULE": "* * * * * *",
        "WORK_QUEUE": queues.name,
        "DONE_QUEUE": queues.done,
        "EVENTS_QUEUE": queues.events,
        "AzureWebJobs.switched_off.Disabled": "true",
    }


@pytest.fixture(scope="session")
async def sample_queues(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleQueues]:
    service = QueueServiceClient.from_connection_string(azurite.connection_string)
    async with SampleQueues(service, tmp_path_factory.mktemp("notes") / "notes") as queues:
        yield queues


@pytest.fixture(scope="session")
async def sample_host(
    azurite: Azurite, sample_queues: SampleQueues, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    """The sample app with keys asked for, shared by the session."""
    environment = sample_environment(azurite, sample_queues)
    folder = tmp_path_factory.mktemp("host")
    async with host_process(
        folder, SAMPLE, "--queue-lease", "2", "--stop-grace", "0.5", environment=environment
    ) as host:
        await host.says("Host started")
        yield host


@pytest.fixture
async def own_queues(azurite: Azurite, tmp_path: Path) -> AsyncIterator[SampleQueues]:
    service = QueueServiceClient.from_connection_string(azurite.connection_string)
    async with SampleQueues(service, tmp_path / "notes") as queues:
        yield queues


@asynccontextmanager
async def sample(
    azurite: Azurite, queues: SampleQueues, *arguments: str, tick: bool = False, **settings: str
) -> AsyncIterator[HostProcess]:
    """Start a sample host of the test's own, without keys and its timer `tick`; `settings` override host.json."""
    environment = sample_environment(azurite, queues) | {"AzureWebJobs.tick.Disabled": str(not tick)}
    environment |= {f"AzureFunctionsJobHost__{name}": value for name, value in settings.items()}
    async with host_process(queues.notes_file.parent, SAMPLE, "--no-auth", *arguments, environment=environment) as host:
        await host.says("Host started")
        yield host
