"""What the tests of the copy engine share: a storage account that fails on request, and a copy in one call."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import Counter, defaultdict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from yarl import URL

from shared.core.media_formats import Format
from shared.core.trusted_origins import TrustedOrigins
from shared.download.client import DownloadClient
from shared.upload.copier import Copied, Copier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    from azure.storage.blob.aio import BlobClient, ContainerClient

    from local.azurite import Azurite
    from tests.source_server import SourceServer

_HOP_BY_HOP = {"transfer-encoding", "connection", "keep-alive", "host", "content-length"}


_OPERATIONS = {
    ("PUT", "block"): "stage block",
    ("PUT", "blocklist"): "commit",
    ("GET", "blocklist"): "list blocks",
    ("PUT", None): "put blob",
    ("HEAD", None): "properties",
    ("GET", None): "read",
}


@dataclass(frozen=True, slots=True)
class Refuses:
    """Storage answers with an error and does nothing."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Damages:
    """A byte of the file arrives as another one; lists and properties are not damaged."""


@dataclass(frozen=True, slots=True)
class LosesAnswer:
    """Storage does what it was asked to, and the connection is gone before it says so."""


type StorageFault = Refuses | Damages | LosesAnswer


class StorageProxy:
    """Stands before a real Azurite, counts what is asked, and fails on request.

    Attributes
    ----------
    faults
        By operation (`operation()` names them), what its next requests get; None stands for a good answer.
    asked
        How often each operation was asked for.
    staged
        The blocks that Azurite has taken, each as often as it took it.
    """

    def __init__(self, blob_port: int) -> None:
        self._target = f"http://127.0.0.1:{blob_port}"
        self.faults: defaultdict[str, deque[StorageFault | None]] = defaultdict(deque)
        self.asked: Counter[str] = Counter()
        self.staged: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = operation(request)
        self.asked[name] += 1
        fault = self.faults[name].popleft() if self.faults[name] else None
        if isinstance(fault, Refuses):
            await request.read()
            return web.Response(status=fault.status, headers=fault.headers)
        body = await request.read()
        if isinstance(fault, Damages) and name in {"stage block", "put blob"}:
            body = body[:-1] + bytes([body[-1] ^ 1])
        assert self._session is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            URL(self._target + request.raw_path, encoded=True),
            headers=headers,
            data=None if not body else _Body(body),
            skip_auto_headers=["Content-Type", "User-Agent", "Accept", "Accept-Encoding"],
        ) as answer:
            content = await answer.read()
            if name == "stage block" and answer.status == 201:
                self.staged.append(request.query["blockid"])
            if isinstance(fault, LosesAnswer):
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_BY_HOP}
            response = web.Response(status=answer.status, body=content, headers=kept)
            if "Content-Length" in answer.headers and request.method == "HEAD":
                response.headers["Content-Length"] = answer.headers["Content-Length"]
            return response


class _Body(aiohttp.BytesPayload):
    """Bytes of any length; aiohttp's own warns of many."""

    def __init__(self, content: bytes) -> None:
        super().__init__(b"", content_type="application/octet-stream")
        self._value = content
        self._size = len(content)


def operation(request: web.Request) -> str:
    """Name what a request asks of Blob Storage."""
    asked = request.method, request.query.get("comp", request.query.get("restype"))
    return _OPERATIONS.get(asked, " ".join(filter(None, asked)))


class Store:
    """A container of its own behind a proxy of its own."""

    def __init__(self, container: ContainerClient, proxy: StorageProxy) -> None:
        self.container = container
        self.proxy = proxy

    def blob(self, name: str | None = None) -> BlobClient:
        """Return a client of a blob; of a new one, if it is not named."""
        return self.container.get_blob_client(name or f"{uuid.uuid4()}.mp4")


@asynccontextmanager
async def open_store(azurite: Azurite) -> AsyncIterator[Store]:
    """Make a container behind a proxy."""
    async with StorageProxy(azurite.ports[0]) as proxy:
        text = azurite.connection_string.replace(f":{azurite.ports[0]}/", f":{proxy.port}/")
        retries = ExponentialRetry(initial_backoff=0, increment_base=0, random_jitter_range=0)
        async with BlobServiceClient.from_connection_string(
            text, retry_policy=retries, use_env_settings=False
        ) as service:
            container = await service.create_container(f"t-{uuid.uuid4()}")
            proxy.asked.clear()
            yield Store(container, proxy)


class Signer:
    """Signs nothing."""

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return no headers."""
        del method, url, body
        return {}


async def nap(_: float) -> None:
    """Wait no longer than it takes to let others run."""
    await asyncio.sleep(0)


async def copy(
    server: SourceServer,
    blob: BlobClient,
    *,
    transfer: Copier | None = None,
    document_id: str = "0-eus-d1-1",
    probe_bytes: int = 64 * 1024,
    stall_seconds: float = 5,
    progress: Callable[[int, int | None], None] | None = None,
    deadline: float | None = None,
) -> Copied:
    """Copy what a server has into a blob."""
    async with aiohttp.ClientSession() as session:
        source = DownloadClient(
            session,
            Signer(),
            TrustedOrigins([server.origin]),
            stall_seconds=stall_seconds,
            probe_bytes=probe_bytes,
            sleep=nap,
        )
        async with source.open(server.url, format=Format.MP4) as media:
            return await (transfer or Copier(block_mib=0.25, concurrency=4)).copy(
                media,
                blob,
                document_id=document_id,
                content_type="video/mp4",
                progress=progress,
                deadline=deadline,
            )


async def read(blob: BlobClient) -> bytes:
    """Return a blob's bytes."""
    content: Any = await (await blob.download_blob()).readall()
    return bytes(content)


def digests(content: bytes) -> tuple[str, str]:
    """Return MD5 and SHA-256 in hex."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest()
