"""Azurite, the storage emulator: started on given or free ports, stopped, and restarted on the same data.

The version is locked in package-lock.json beside this file; `make node` installs it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from local import ports
from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from local.supervision import Child, Supervisor

ACCOUNT = "devstoreaccount1"
# The emulator's well-known key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_HERE = Path(__file__).parent
# Azurite asks for Node.js 22. On 18.20 and 20.20 the blob, queue and table services were run and work as well.
_LOWEST_NODE = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class AzuriteOptions:
    """How Azurite runs.

    Attributes
    ----------
    folder
        Where it keeps its data; made if missing.
    log
        File that takes its output.
    host
        The address it listens on.
    blob_port, queue_port, table_port
        Where its three services listen; 0 for any free port.
    """

    folder: Path
    log: Path
    host: str = "127.0.0.1"
    blob_port: int = 0
    queue_port: int = 0
    table_port: int = 0


class Azurite:
    """One Azurite process, started by `async with` or `start`.

    Parameters
    ----------
    options
        How it runs.
    supervisor
        Starts the process; entered by the caller.

    Raises
    ------
    LocalProblem
        On start, when Node.js or Azurite is missing, a port is taken, or Azurite does not get ready.
    """

    def __init__(self, options: AzuriteOptions, supervisor: Supervisor) -> None:
        self._options = options
        self._supervisor = supervisor
        self._child: Child | None = None
        self._ports: tuple[int, int, int] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def ports(self) -> tuple[int, int, int]:
        """The ports of the blob, queue and table services; the same after a restart."""
        if self._ports is None:
            host = self._options.host
            self._ports = (
                ports.claim(host, self._options.blob_port, "Azurite's blob service", "--blob-port"),
                ports.claim(host, self._options.queue_port, "Azurite's queue service", "--queue-port"),
                ports.claim(host, self._options.table_port, "Azurite's table service", "--table-port"),
            )
        return self._ports

    @property
    def connection_string(self) -> str:
        """Connection string of the storage account."""
        blob, queue, table = (f"http://{self._options.host}:{port}/{ACCOUNT}" for port in self.ports)
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={blob};QueueEndpoint={queue};TableEndpoint={table};"
        )

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.running

    async def start(self) -> None:
        """Start on the ports of before, if there were any, and wait until the three services listen."""
        command = await asyncio.to_thread(installed)
        blob, queue, table = self.ports
        host = self._options.host
        self._child = await self._supervisor.spawn(
            "Azurite",
            [
                *command,
                "--skipApiVersionCheck",
                "--disableTelemetry",
                "--silent",
                *("--location", str(self._options.folder)),
                *("--blobHost", host, "--blobPort", str(blob)),
                *("--queueHost", host, "--queuePort", str(queue)),
                *("--tableHost", host, "--tablePort", str(table)),
            ],
            log=self._options.log,
        )
        await self._child.ready(self._listening, within=60)

    async def wait(self) -> int:
        """Wait until the process ends; returns its exit code."""
        if self._child is None:
            raise RuntimeError("Azurite was never started")
        return await self._child.wait()

    async def stop(self) -> None:
        """Stop; the data stays."""
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End at once, as a crash would; what Azurite had not yet written to disk is gone."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Stop and start again on the same ports and data."""
        await self.stop()
        await self.start()

    async def _listening(self) -> bool:
        for port in self.ports:
            try:
                _, writer = await asyncio.open_connection(self._options.host, port)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
        return True


def installed(
    *,
    folder: Path = _HERE,
    which: Callable[[str], str | None] = shutil.which,
    version: Callable[[str], str] | None = None,
) -> list[str]:
    """Return the command that runs the locked Azurite.

    Parameters
    ----------
    folder
        Where package.json and node_modules are.
    which, version
        Find a program on PATH and ask it for its version; replaceable in tests.

    Raises
    ------
    LocalProblem
        Node.js is missing or too old, or Azurite is not installed in the locked version.
    """
    node = which("node")
    if node is None:
        raise LocalProblem(
            "Azurite, the storage emulator, needs Node.js and there is no `node` on PATH: install Node.js 22 or later "
            f"from https://nodejs.org or your system's packages ({_LOWEST_NODE} and 20 work too), then run `make node`"
        )
    found = (version or _version)(node)
    if int(found.lstrip("v").split(".")[0] or 0) < _LOWEST_NODE:
        raise LocalProblem(
            f"Azurite, the storage emulator, needs Node.js {_LOWEST_NODE} or later, better 22, and {node} is {found}: "
            "install a newer one from https://nodejs.org, then run `make node`"
        )
    package = folder / "node_modules" / "azurite"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]["azurite"]
    try:
        present = json.loads((package / "package.json").read_text("utf-8"))["version"]
    except FileNotFoundError:
        raise LocalProblem(
            f"Azurite, the storage emulator, is not installed in {folder}: run `make node` (npm ci)"
        ) from None
    if present != wanted:
        raise LocalProblem(
            f"Azurite {present} is installed in {folder}, but {wanted} is locked there: run `make node` (npm ci)"
        )
    return [node, str(package / "dist" / "src" / "azurite.js")]


def _version(node: str) -> str:
    try:
        return subprocess.run(  # noqa: S603 - the program is the `node` that PATH names
            [node, "--version"], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise LocalProblem(f"{node} --version failed ({error}): install Node.js again") from None


__all__ = ["ACCOUNT", "KEY", "Azurite", "AzuriteOptions", "installed"]
