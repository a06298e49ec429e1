"""One run of one contender, in surroundings of its own, and what is checked afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from bench import peers, worker
from bench.services import CONTAINER, PROJECT, storage
from shared.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob.aio import BlobClient

    from bench.services import Recording, Storage

BLOB = "0000.mp4"
PEERS = ("rclone", "azcopy", "curl")
TO_NOWHERE = {"read-limit", "curl"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Attributes
    ----------
    wall_s, cpu_s
        Seconds; CPU seconds of the contender's own processes.
    peak_mib
        Peak memory above that of the idle process; of a peer, which has no idle state, in all.
    requests
        That storage answered.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    requests: int


class RunFailed(Exception):  # noqa: N818 - what happened
    """A contender did not do its work; the message says why."""


async def once(name: str, recording: Recording, folder: Path) -> Run:
    """Let a contender move a recording into an empty storage account.

    Raises
    ------
    RunFailed
        It is not installed, it failed, or what arrived is not what was sent.
    """
    async with storage(folder) as account:
        try:
            if name in PEERS:
                used = await peers.run(name, recording, account, BLOB, folder)
                run = Run(used.wall_s, used.cpu_s, used.peak_mib, account.requests())
            else:
                run = await _in_process(name, recording, account, folder)
        except peers.PeerFailed as error:
            raise RunFailed(str(error)) from error
        if name not in TO_NOWHERE:
            await _check(recording, account)
    return run


def task(recording: Recording, account: Storage, folder: Path) -> worker.Task:
    """Return a contender's job."""
    app = Settings.from_environment(
        {
            "ACS_CONNECTION_STRING": f"endpoint={recording.endpoint};accesskey={recording.access_key}",
            "ARCHIVE_STORAGE": account.connection_string,
        }
    )
    return worker.Task(
        url=recording.url,
        document_id=recording.document_id,
        size=recording.size,
        endpoint=recording.endpoint,
        access_key=recording.access_key,
        storage=account.connection_string,
        container=CONTAINER,
        blob=BLOB,
        folder=str(folder),
        block_mib=app.block_mib,
        concurrency=app.concurrency,
    )


async def begin(name: str, what: worker.Task) -> asyncio.subprocess.Process:
    """Start a contender's process and wait until it is ready; a line on its standard input lets it go."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.worker", name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(what)).encode() + b"\n")
    await process.stdin.drain()
    if not await process.stdout.readline():
        raise RunFailed(f"{name} did not get ready")
    return process


async def resumed(recording: Recording, folder: Path, share: float) -> tuple[int, int]:
    """Kill a copy when so much of the file is staged, and let another go on.

    Returns
    -------
    tuple
        Bytes that were staged at the kill and read again all the same, and bytes that were staged.

    Raises
    ------
    RunFailed
        The first copy ended before it could be killed, or the second failed.
    """
    async with storage(folder) as account:
        what = task(recording, account, folder)
        first = await begin("ours", what)
        assert first.stdin is not None
        first.stdin.write(b"\n")
        await first.stdin.drain()
        async with BlobServiceClient.from_connection_string(account.connection_string) as service:
            blob = service.get_blob_client(CONTAINER, BLOB)
            staged = 0
            while staged < share * recording.size:
                if first.returncode is not None:
                    raise RunFailed("the copy was over before it could be killed")
                await asyncio.sleep(0.02)
                with contextlib.suppress(ResourceNotFoundError):
                    staged = sum(block.size for block in (await blob.get_block_list("uncommitted"))[1])
            first.kill()
            await first.wait()
            staged = await _settled(blob)
        second = await begin("ours", what)
        assert second.stdin is not None
        assert second.stdout is not None
        second.stdin.write(b"\n")
        await second.stdin.drain()
        line = await second.stdout.readline()
        await second.wait()
        if not line:
            raise RunFailed("the second copy failed")
        await _check(recording, account)
        return staged - json.loads(line)["resumed_bytes"], staged


async def _settled(blob: BlobClient) -> int:
    """Return what is staged, once storage has done with what was on its way."""
    seen = -1
    while True:
        staged = sum(block.size for block in (await blob.get_block_list("uncommitted"))[1])
        if staged == seen:
            return staged
        seen = staged
        await asyncio.sleep(0.5)


async def _in_process(name: str, recording: Recording, account: Storage, folder: Path) -> Run:
    process = await begin(name, task(recording, account, folder))
    before = account.requests()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    await process.stdin.drain()
    line = await process.stdout.readline()
    await process.wait()
    if not line:
        raise RunFailed(f"{name} ended with {process.returncode}")
    result = json.loads(line)
    return Run(result["wall_s"], result["cpu_s"], result["peak_mib"], account.requests() - before)


async def _check(recording: Recording, account: Storage) -> None:
    async with BlobServiceClient.from_connection_string(account.connection_string) as service:
        properties = await service.get_blob_client(CONTAINER, BLOB).get_blob_properties()
    if properties.size != recording.size:
        raise RunFailed(f"{properties.size} of {recording.size} bytes arrived")
