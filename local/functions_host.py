"""The Functions host as a child process: this project's own, or Microsoft's `func` where it is installed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from local.choices import HostKind
from local.host.keys import load_or_create
from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local.supervision import Child, Supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionsHostOptions:
    """How a Functions host runs.

    Attributes
    ----------
    kind
        Which one.
    root
        The app's folder, with host.json.
    host, port
        Where it listens.
    keys
        The keys file.
    log
        File that takes its output.
    environment
        Its whole environment; wins over local.settings.json.
    queue_lease
        Seconds for which a queue message is hidden while it is worked on, after which a killed host's messages come
        back; None for the 10 minutes of Azure. `func` has no such option.
    show
        Gets each line of the output too.
    """

    kind: HostKind
    root: Path
    host: str
    port: int
    keys: Path
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    queue_lease: float | None = None
    show: Callable[[str], None] | None = None


class FunctionsHost:
    """One Functions host, that can be stopped, killed and started again on the same port.

    Parameters
    ----------
    options
        How it runs.
    supervisor
        Starts the process; entered by the caller.
    """

    def __init__(self, options: FunctionsHostOptions, supervisor: Supervisor) -> None:
        self.options = options
        self._supervisor = supervisor
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.options.host}:{self.options.port}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """Process id, if it is running."""
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> None:
        """Start and wait until the host says that it is running.

        Raises
        ------
        LocalProblem
            `func` is wanted and not there, or the host does not get ready.
        """
        options = self.options
        self._child = await self._supervisor.spawn(
            f"the Functions host on port {options.port}",
            _command(options),
            log=options.log,
            environment=options.environment,
            folder=options.root,
            show=options.show,
        )
        headers = {"x-functions-key": load_or_create(options.keys).master}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session:
            await self._child.ready(lambda: self._says_running(session), within=90)

    async def stop(self) -> None:
        """Stop as an operator would: what runs may finish."""
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End at once, as a crash would."""
        if self._child is not None:
            await self._child.kill()

    async def wait(self) -> int:
        """Wait until the process ends; returns its exit code."""
        if self._child is None:
            raise RuntimeError("the Functions host was never started")
        return await self._child.wait()

    async def _says_running(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/admin/host/status") as answer:
                return answer.ok and (await answer.json()).get("state") == "Running"
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False


def program(kind: HostKind) -> list[str]:
    """Return the command that runs a Functions host of this kind; raises `LocalProblem` if it is not installed."""
    if kind is HostKind.LOCAL:
        return [sys.executable, "-m", "local", "host"]
    func = shutil.which("func")
    if func is None:
        raise LocalProblem(
            "HOST=func asks for Azure Functions Core Tools and there is no `func` on PATH: install them "
            "(https://learn.microsoft.com/azure/azure-functions/functions-run-local), or leave HOST=func away to use "
            "this project's own host"
        )
    return [func, "start"]


def _command(options: FunctionsHostOptions) -> list[str]:
    command = [*program(options.kind), "--port", str(options.port)]
    if options.kind is HostKind.FUNC:
        return command
    lease = [] if options.queue_lease is None else ["--queue-lease", f"{options.queue_lease:g}"]
    return [*command, "--root", str(options.root), "--host", options.host, "--keys", str(options.keys), *lease]
