"""The official clients in one form, and an emulator that they may download from: behind TLS, at the service's hosts."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import aiohttp
import trustme
from azure.communication.callautomation import (
    AzureBlobContainerRecordingStorage,
    CallAutomationClient,
    ChannelAffinity,
    CommunicationUserIdentifier,
)
from azure.communication.callautomation.aio import CallAutomationClient as AsyncClient
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import AzureError, HttpResponseError

from local.acs.server import AcsEmulator, AcsOptions
from tests.integration.acs_fixtures import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SCRIPT = Path(__file__).parents[1] / "sdk_js" / "acs_recording.mjs"
#: Host names as the service's: of the resource, and of media, to which alone the clients send credentials.
RESOURCE_HOST = "emulator.communication.azure.com"
MEDIA_HOST, SECOND_MEDIA_HOST = "storage.asm.skype.com", "eu-storage.asm.skype.com"

_NAMES = {
    "serverCallId": "server_call_id",
    "groupCallId": "group_call_id",
    "roomId": "room_id",
    "callConnectionId": "call_connection_id",
    "content": "recording_content_type",
    "channel": "recording_channel_type",
    "format": "recording_format_type",
    "pauseOnStart": "pause_on_start",
    "callbackUrl": "recording_state_callback_url",
}


class RefusedError(Exception):
    """A client failed; `status` and `code` are the service's where it answered."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Connection:
    """Where a client connects, and with what: a key, a token, or a connection string as the endpoint.

    `authority` is the file of the certificate authority to trust, `proxy` the port of a proxy on this machine.
    """

    endpoint: str
    key: str = ""
    token: str = ""
    authority: Path | None = None
    proxy: int | None = None
    insecure: bool = True


class Sdk(Protocol):
    """What the tests ask of a client; options of a start have the names of the API, shortened."""

    async def start(self, **options: Any) -> dict[str, Any]:
        """Start a recording and return recordingId, recordingState and recordingKind."""

    async def state(self, recording_id: str) -> str:
        """Return the state of a recording."""

    async def change(self, what: str, recording_id: str) -> None:
        """Pause, resume or stop."""

    async def download(self, url: str, offset: int | None = None, length: int | None = None) -> bytes:
        """Download content or metadata."""

    async def delete(self, url: str) -> None:
        """Delete a recording's files."""


class PythonSync:
    """The synchronous Python client, in a thread."""

    def __init__(self, client: CallAutomationClient) -> None:
        self._client = client

    async def start(self, **options: Any) -> dict[str, Any]:
        return _started(await self._run(lambda: self._client.start_recording(**_python_options(options))))

    async def state(self, recording_id: str) -> str:
        properties = await self._run(lambda: self._client.get_recording_properties(recording_id))
        return str(properties.recording_state)

    async def change(self, what: str, recording_id: str) -> None:
        await self._run(lambda: getattr(self._client, f"{what}_recording")(recording_id))

    async def download(self, url: str, offset: int | None = None, length: int | None = None) -> bytes:
        sent: dict[str, Any] = {"offset": offset, "length": length}

        def download() -> bytes:
            try:
                # The client promises an iterable of bytes and returns the response.
                return cast("bytes", cast("Any", self._client.download_recording(url, **sent)).read())
            except HttpResponseError as exc:
                # It leaves the answer of a failed download open.
                if exc.response is not None:
                    cast("Any", exc.response).close()
                raise

        return cast("bytes", await self._run(download))

    async def delete(self, url: str) -> None:
        await self._run(lambda: self._client.delete_recording(url))

    @staticmethod
    async def _run(work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(work)
        except (AzureError, ValueError) as exc:
            raise _refused(exc) from exc


class PythonAio:
    """The asynchronous Python client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def start(self, **options: Any) -> dict[str, Any]:
        try:
            return _started(await self._client.start_recording(**_python_options(options)))
        except AzureError as exc:
            raise _refused(exc) from exc

    async def state(self, recording_id: str) -> str:
        try:
            return str((await self._client.get_recording_properties(recording_id)).recording_state)
        except AzureError as exc:
            raise _refused(exc) from exc

    async def change(self, what: str, recording_id: str) -> None:
        try:
            await getattr(self._client, f"{what}_recording")(recording_id)
        except AzureError as exc:
            raise _refused(exc) from exc

    async def download(self, url: str, offset: int | None = None, length: int | None = None) -> bytes:
        sent: dict[str, Any] = {"offset": offset, "length": length}
        try:
            stream = await self._client.download_recording(url, **sent)
            return cast("bytes", await cast("Any", stream).read())
        except (AzureError, ValueError) as exc:
            # The client leaves the answer of a failed download open.
            if isinstance(exc, HttpResponseError) and exc.response is not None:
                await cast("Any", exc.response).close()
            raise _refused(exc) from exc

    async def delete(self, url: str) -> None:
        try:
            await self._client.delete_recording(url)
        except (AzureError, ValueError) as exc:
            raise _refused(exc) from exc


class JavaScript:
    """The JavaScript client, in a process of Node.js that takes orders."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, **options: Any) -> dict[str, Any]:
        return cast("dict[str, Any]", await self.order("start", options=options))

    async def state(self, recording_id: str) -> str:
        return str((await self.order("state", recordingId=recording_id))["recordingState"])

    async def change(self, what: str, recording_id: str) -> None:
        await self.order(what, recordingId=recording_id)

    async def download(self, url: str, offset: int | None = None, length: int | None = None) -> bytes:
        limits = {name: value for name, value in (("offset", offset), ("length", length)) if value is not None}
        return base64.b64decode(await self.order("download", url=url, **limits))

    async def delete(self, url: str) -> None:
        await self.order("delete", url=url)

    async def order(self, what: str, **fields: Any) -> Any:
        """Give one order and return what was done."""
        await self.write({"do": what, **fields})
        stdout = self._process.stdout
        assert stdout is not None
        line = await stdout.readline()
        assert line, "Node.js ended; its standard error says why"
        answer = json.loads(line)
        if (error := answer.get("error")) is not None:
            raise RefusedError(error.get("message") or "", error.get("status"), error.get("code"))
        return answer["done"]

    async def write(self, line: dict[str, Any]) -> None:
        """Send one line of JSON."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(line).encode() + b"\n")
        await stdin.drain()


def _python_options(options: dict[str, Any]) -> dict[str, Any]:
    sent = {_NAMES[name]: value for name, value in options.items() if name in _NAMES}
    if (affinity := options.get("affinity")) is not None:
        sent["channel_affinity"] = [
            ChannelAffinity(target_participant=CommunicationUserIdentifier(one["participant"]), channel=one["channel"])
            for one in affinity
        ]
    if (container := options.get("container")) is not None:
        sent["recording_storage"] = AzureBlobContainerRecordingStorage(container)
    return sent


def _started(properties: Any) -> dict[str, Any]:
    return {
        "recordingId": properties.recording_id,
        "recordingState": str(properties.recording_state),
        "recordingKind": str(properties.recording_kind),
    }


def _refused(problem: Exception) -> RefusedError:
    if not isinstance(problem, HttpResponseError):
        return RefusedError(str(problem))
    return RefusedError(str(problem), problem.status_code, getattr(problem.error, "code", None))


class _SyncToken:
    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert scopes == ("https://communication.azure.com//.default",), options
        return AccessToken(self._token, int(time.time()) + 3600)


class _AsyncToken(_SyncToken):
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # type: ignore[override]  # asynchronous
        return super().get_token(*scopes, **options)

    async def close(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> _AsyncToken:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""


@asynccontextmanager
async def sdk(language: str, connection: Connection, **settings: Any) -> AsyncIterator[Any]:
    """Connect one of the official clients: `python`, `python-aio` or `javascript`; `settings` are its own options."""
    if language == "javascript":
        async with _node(connection, settings) as made:
            yield made
        return
    options: dict[str, Any] = {"retry_total": 0, **settings}
    if connection.authority is not None:
        options["connection_verify"] = str(connection.authority)
    if connection.proxy is not None:
        options["proxies"] = {"https": f"http://127.0.0.1:{connection.proxy}"}
    if language == "python":
        with _python(CallAutomationClient, connection, _SyncToken, options) as sync_client:
            yield PythonSync(sync_client)
    else:
        async with _python(AsyncClient, connection, _AsyncToken, options) as client:
            yield PythonAio(client)


def _python(client: Any, connection: Connection, token: type[_SyncToken], options: dict[str, Any]) -> Any:
    if connection.endpoint.startswith("endpoint="):
        return client.from_connection_string(connection.endpoint, **options)
    credential = token(connection.token) if connection.token else AzureKeyCredential(connection.key)
    return client(connection.endpoint, credential, **options)


@asynccontextmanager
async def _node(connection: Connection, settings: dict[str, Any]) -> AsyncIterator[JavaScript]:
    environment = dict(os.environ)
    if connection.authority is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(connection.authority)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), stdin=pipe, stdout=pipe, env=environment, limit=16 * 2**20
    )
    try:
        made = JavaScript(process)
        await made.write(
            {
                "endpoint": connection.endpoint,
                "key": connection.key,
                "token": connection.token,
                "proxy": connection.proxy,
                "insecure": connection.insecure,
                "options": settings,
            }
        )
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@dataclass(slots=True)
class Tunnel:
    """An HTTP proxy that leads every host name to this machine, and remembers the names."""

    port: int = 0
    hosts: list[str] = field(default_factory=list)


@asynccontextmanager
async def tunnel() -> AsyncIterator[Tunnel]:
    """Run a proxy; a client that is given it reaches an emulator under any host name."""
    kept = Tunnel()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        authority = head.split(b" ", 2)[1].decode()
        host, _, port = authority.rpartition(":")
        kept.hosts.append(host)
        there, back = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        """Either end may leave at any time."""
    finally:
        writer.close()


@dataclass(slots=True)
class TlsBench:
    """An emulator behind TLS whose media is announced at the service's hosts, and the proxy that leads there."""

    bench: Bench
    proxy: Tunnel
    authority: Path

    def connection(self, **fields: Any) -> Connection:
        """Return how a client connects to it."""
        acs = self.bench.acs
        known: dict[str, Any] = {
            "endpoint": f"https://{RESOURCE_HOST}:{urlsplit(acs.endpoint).port}",
            "key": acs.options.access_key,
            "authority": self.authority,
            "proxy": self.proxy.port,
            "insecure": False,
        }
        return Connection(**(known | fields))


@asynccontextmanager
async def tls_bench(folder: Path, **options: Any) -> AsyncIterator[TlsBench]:
    """Run an emulator with a certificate of its own authority on free ports."""
    authority = trustme.CA()
    certificate, trusted = folder / "certificate.pem", folder / "authority.pem"
    issued = authority.issue_cert("127.0.0.1", RESOURCE_HOST, "*.asm.skype.com")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(trusted))
    settings: dict[str, Any] = {"port": 0, "second_port": 0, "media_dir": folder, "finalize_delay": 0.0}
    settings |= {"media_host": MEDIA_HOST, "second_media_host": SECOND_MEDIA_HOST, "certificate": certificate}
    settings["resource_hosts"] = (RESOURCE_HOST,)
    here = ssl.create_default_context(cafile=str(trusted))
    async with AsyncExitStack() as stack:
        acs = await stack.enter_async_context(AcsEmulator(AcsOptions(**(settings | options))))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=here)))
        proxy = await stack.enter_async_context(tunnel())
        yield TlsBench(Bench(acs, session), proxy, trusted)
