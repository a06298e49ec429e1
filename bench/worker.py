"""One contender, in a process of its own: `python -m bench.worker NAME`, its task as JSON on standard input.

It gets ready, says so, waits for a line, runs, and prints what it took. Memory is the peak above what the process held
when it was ready, CPU time is what the process used while it ran.
"""

# ruff: noqa: PLC0415 - a contender loads only what it needs, since what it holds when idle is measured

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import resource
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Task:
    """What a contender has to move: from `url`, `size` bytes, to `blob` in `container` of `storage`.

    `block_mib` and `concurrency` are the app's own defaults; peers that take such options get the same.
    """

    url: str
    document_id: str
    size: int
    endpoint: str
    access_key: str
    storage: str
    container: str
    blob: str
    folder: str
    block_mib: int
    concurrency: int


type Ready = Callable[[], Awaitable[dict[str, Any] | None]]


async def ours(task: Task, exits: AsyncExitStack) -> Ready:
    """Copy as the app does."""
    import aiohttp
    from azure.storage.blob.aio import BlobServiceClient

    from shared.core.media_formats import Format
    from shared.core.trusted_origins import TrustedOrigins
    from shared.download.client import DownloadClient
    from shared.download.signing import HmacSigner
    from shared.upload.copier import Copier

    session = await exits.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
    service = await exits.enter_async_context(
        BlobServiceClient.from_connection_string(task.storage, use_env_settings=False)
    )
    source = DownloadClient(session, HmacSigner(task.endpoint, task.access_key), TrustedOrigins(["http://127.0.0.1:*"]))
    transfer = Copier(block_mib=task.block_mib, concurrency=task.concurrency)
    blob = service.get_blob_client(task.container, task.blob)

    async def run() -> dict[str, Any]:
        async with source.open(task.url, format=Format.MP4) as media:
            copied = await transfer.copy(media, blob, document_id=task.document_id, content_type="video/mp4")
        return {"md5": copied.md5, "sha256": copied.sha256, "resumed_bytes": copied.resumed_bytes}

    return run


async def read_limit(task: Task, exits: AsyncExitStack) -> Ready:
    """Read to nowhere, by as many connections as the copy may use; one where the source has no ranges."""
    import aiohttp

    from shared.download.signing import HmacSigner

    session = await exits.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
    signer = HmacSigner(task.endpoint, task.access_key)

    async def part(ranges: list[str]) -> int:
        received = 0
        while ranges:
            headers = {"Range": ranges.pop(0), **(await signer.headers("GET", task.url))}
            async with session.get(task.url, headers=headers) as answer:
                async for data, _ in answer.content.iter_chunks():
                    received += len(data)
                if answer.status == 200:
                    ranges.clear()
        return received

    async def run() -> None:
        async with session.get(
            task.url, headers={"Range": "bytes=0-0", **(await signer.headers("GET", task.url))}
        ) as answer:
            whole = answer.status == 200
        step = 8 * task.block_mib * MIB
        ranges = ["bytes=0-"] if whole else [f"bytes={at}-{at + step - 1}" for at in range(0, task.size, step)]
        received = await asyncio.gather(*[part(ranges) for _ in range(task.concurrency)])
        if sum(received) != task.size:
            raise RuntimeError(f"{sum(received)} of {task.size} bytes were read")

    return run


async def write_limit(task: Task, exits: AsyncExitStack) -> Ready:
    """Put Block of a constant buffer with its MD5 computed once, as many at a time as the copy may have."""
    from azure.storage.blob import BlobBlock
    from azure.storage.blob.aio import BlobServiceClient

    service = await exits.enter_async_context(
        BlobServiceClient.from_connection_string(task.storage, use_env_settings=False)
    )
    blob = service.get_blob_client(task.container, task.blob)
    buffer = os.urandom(task.block_mib * MIB)
    md5 = base64.b64encode(hashlib.md5(buffer, usedforsecurity=False).digest()).decode()
    names = [f"{index:08d}" for index in range(task.size // len(buffer))]

    class Body:
        async def __aiter__(self) -> AsyncIterator[memoryview]:
            view = memoryview(buffer)
            for offset in range(0, len(buffer), MIB // 4):
                yield view[offset : offset + MIB // 4]

    async def stage(waiting: list[str]) -> None:
        while waiting:
            name = waiting.pop()
            await blob.stage_block(name, Body(), length=len(buffer), headers={"Content-MD5": md5})  # type: ignore[arg-type]

    async def run() -> None:
        waiting = names.copy()
        await asyncio.gather(*[stage(waiting) for _ in range(task.concurrency)])
        await blob.commit_block_list([BlobBlock(name) for name in names])

    return run


def _official_download(task: Task) -> Callable[[], Any]:
    """Return the official client's download; its own list of hosts leaves no room for an emulator, so it is widened."""
    from azure.communication.callautomation import CallAutomationClient, _content_downloader
    from azure.core.credentials import AzureKeyCredential

    vars(_content_downloader)["validate_recording_url"] = lambda *_: None
    client = CallAutomationClient(task.endpoint, AzureKeyCredential(task.access_key))
    return lambda: client.download_recording(task.url)


async def _quickstart(task: Task, **options: Any) -> Ready:
    from azure.storage.blob import BlobServiceClient

    download = _official_download(task)
    blob = BlobServiceClient.from_connection_string(task.storage).get_blob_client(task.container, task.blob)

    def copy() -> None:
        path = Path(task.folder) / "quickstart.mp4"
        try:
            with path.open("wb") as file:
                for piece in download().iter_bytes():
                    file.write(piece)
            with path.open("rb") as file:
                blob.upload_blob(file, **options)
        finally:
            path.unlink(missing_ok=True)

    async def run() -> None:
        await asyncio.to_thread(copy)

    return run


async def quickstart(task: Task, exits: AsyncExitStack) -> Ready:
    """Download to a file, then `upload_blob` with its defaults, as the quickstarts do."""
    del exits
    return await _quickstart(task)


async def quickstart_md5(task: Task, exits: AsyncExitStack) -> Ready:
    """Do the same, tuned: Content-MD5, which Azurite is quick with, and as many uploads as the copy may have."""
    del exits
    return await _quickstart(task, validate_content=True, max_concurrency=task.concurrency)


async def stream(task: Task, exits: AsyncExitStack) -> Ready:
    """Hand the response's stream to `upload_blob`, tuned likewise."""
    import aiohttp
    from azure.storage.blob.aio import BlobServiceClient

    from shared.download.signing import HmacSigner

    session = await exits.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
    service = await exits.enter_async_context(
        BlobServiceClient.from_connection_string(
            task.storage,
            use_env_settings=False,
            max_block_size=task.block_mib * MIB,
            max_single_put_size=task.block_mib * MIB,
        )
    )
    signer = HmacSigner(task.endpoint, task.access_key)
    blob = service.get_blob_client(task.container, task.blob)

    async def run() -> None:
        async with session.get(task.url, headers=await signer.headers("GET", task.url)) as answer:
            await blob.upload_blob(
                answer.content.iter_any(), length=task.size, validate_content=True, max_concurrency=task.concurrency
            )

    return run


CONTENDERS: dict[str, Callable[[Task, AsyncExitStack], Awaitable[Ready]]] = {
    "ours": ours,
    "read-limit": read_limit,
    "write-limit": write_limit,
    "quickstart": quickstart,
    "quickstart-md5": quickstart_md5,
    "stream": stream,
}


def _status(name: str) -> float:
    """Return a line of /proc/self/status, in MiB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


async def main(name: str, task: Task) -> None:
    """Run one contender and print its result."""
    async with AsyncExitStack() as exits:
        run = await CONTENDERS[name](task, exits)
        idle = _status("VmRSS")
        _forget_peak()
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        cpu = _cpu()
        began = time.perf_counter()
        result = await run()
        wall = time.perf_counter() - began
        used = _cpu() - cpu
        peak = _status("VmHWM") - idle
    print(json.dumps({"wall_s": wall, "cpu_s": used, "peak_mib": peak, **(result or {})}), flush=True)


def _forget_peak() -> None:
    """Reset the peak, so that it excludes the imports."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Task(**json.loads(sys.stdin.readline()))))
