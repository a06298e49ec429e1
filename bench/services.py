"""The source and the storage of a measurement: the ACS emulator and Azurite, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from azure.storage.blob.aio import BlobServiceClient

from local import ports
from local.azurite import ACCOUNT, KEY, installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROJECT = Path(__file__).resolve().parent.parent
CONTAINER = "bench"


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording at the emulator.

    Attributes
    ----------
    url, document_id, size
        Of its one chunk's media.
    endpoint, access_key
        Of the emulated resource.
    """

    url: str
    document_id: str
    size: int
    endpoint: str
    access_key: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A fresh Azurite.

    Attributes
    ----------
    connection_string, blob_url
        How to reach it.
    log
        Its access log: a line a request.
    """

    connection_string: str
    blob_url: str
    log: Path

    def requests(self) -> int:
        """Return how many requests it has answered."""
        return len(re.findall(r'"(?:GET|PUT|HEAD|POST|DELETE) ', self.log.read_text("utf-8", "replace")))


@contextlib.asynccontextmanager
async def storage(folder: Path) -> AsyncIterator[Storage]:
    """Run an Azurite on an empty folder, so that no run pays for what another has left."""
    blob, queue, table = (ports.free_port() for _ in range(3))
    data = folder / "azurite"
    log = folder / "azurite.log"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    command = [
        *installed(),
        *("--skipApiVersionCheck", "--disableTelemetry", "--location", str(data)),
        *("--blobPort", str(blob), "--queuePort", str(queue), "--tablePort", str(table)),
    ]
    url = f"http://127.0.0.1:{blob}/{ACCOUNT}"
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url};"
    async with _running(command, log):
        await _listening(blob)
        async with BlobServiceClient.from_connection_string(text) as service:
            await service.create_container(CONTAINER)
        log.write_text("", "utf-8")
        yield Storage(text, url, log)
    shutil.rmtree(data, ignore_errors=True)


@contextlib.asynccontextmanager
async def source(folder: Path, *options: str) -> AsyncIterator[str]:
    """Run an ACS emulator with command line options of its own; gives its address."""
    port = ports.free_port()
    command = [
        *(sys.executable, "-m", "local", "acs", "--port", str(port), "--second-port", "0"),
        *("--media-dir", str(folder / "media"), *options),
    ]
    async with _running(command, folder / "acs.log"):
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/control/clock") as answer:
                        if answer.ok:
                            break
                await asyncio.sleep(0.1)
        yield url


async def record(url: str, size: int) -> Recording:
    """Make a finished mp4 recording of so many bytes."""
    body = {"durationSeconds": 10, "chunks": 1, "format": "mp4", "sizeBytes": size, "announce": False}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/control/recordings", json=body) as answer:
        answer.raise_for_status()
        chunk = (await answer.json())["chunks"][0]
    return Recording(
        chunk["contentLocation"],
        chunk["documentId"],
        chunk["contentLength"],
        url,
        _emulator_key(),
    )


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)


def _emulator_key() -> str:
    from local.acs.options import DEFAULT_ACCESS_KEY  # noqa: PLC0415 - only when a source runs

    return DEFAULT_ACCESS_KEY


@contextlib.asynccontextmanager
async def _running(command: list[str], log: Path) -> AsyncIterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        # Appending, so that the log can be emptied while the process writes to it.
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, cwd=PROJECT)
    try:
        await asyncio.sleep(0)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
