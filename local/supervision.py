"""Starts child processes that never outlive the process that started them.

Each child leads a process group of its own, so that a Ctrl-C at the terminal reaches only the supervisor, which then
stops the children in order. A small watching process (`local.reaper`) ends the groups when the supervisor is gone
without having done so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from local import reaper
from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

GRACE_SECONDS = 15.0
_LAST_LINES = 15


class Child:
    """A running child process and its log; made by `Supervisor.spawn`."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        log: Path,
        *,
        show: Callable[[str], None] | None,
        forget: Callable[[Child], None],
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._ended = asyncio.create_task(self._end(show, forget), name=f"end of {name}")

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the child's process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask the process to end, and make it after `grace` seconds."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            # The group may hold more than the process: func starts a worker. Also on the way out of a cancellation.
            self._signal(signal.SIGKILL, whole_group=True)
        await self.wait()

    async def kill(self) -> None:
        """End the process and its group at once, as a crash would."""
        self._signal(signal.SIGKILL, whole_group=True)
        await self.wait()

    async def ready(self, answers: Callable[[], Awaitable[bool]], *, within: float, advice: str = "") -> None:
        """Wait until `answers` returns true.

        Parameters
        ----------
        answers
            Asks the child whether it is ready.
        within
            Seconds after which to give up.
        advice
            What to look at when it does not get ready, appended to the message.

        Raises
        ------
        LocalProblem
            The process ended, or the time is over; the message carries the end of its log.
        """
        try:
            async with asyncio.timeout(within):
                while self.running:
                    if await answers():
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LocalProblem(
                f"{self.name} was not ready after {within:.0f} s; {self._end_of_log()}{advice}"
            ) from None
        code = await self.wait()
        raise LocalProblem(f"{self.name} ended with exit code {code} before it was ready; {self._end_of_log()}{advice}")

    async def _end(self, show: Callable[[str], None] | None, forget: Callable[[Child], None]) -> int:
        if self._process.stdout is not None and show is not None:
            await _tee(self._process.stdout, self.log, show)
        code = await self._process.wait()
        forget(self)
        return code

    def _signal(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if whole_group:
                os.killpg(self.pid, number)
            elif self.running:
                self._process.send_signal(number)

    def _end_of_log(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:] if self.log.exists() else []
        return f"the end of {self.log}:\n" + "\n".join(f"    {line}" for line in lines) if lines else f"see {self.log}"


class Supervisor:
    """Starts children and ends all of them.

    Parameters
    ----------
    label
        Shown among the arguments of the watching process, so that `ps` shows to which stack it belongs.
    grace
        Seconds that children have to end by themselves when the supervisor is left.
    """

    def __init__(self, label: str = "", *, grace: float = GRACE_SECONDS) -> None:
        self._label = label
        self._grace = grace
        self._reaper: asyncio.subprocess.Process | None = None
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        self._reaper = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(Path(reaper.__file__)), self._label),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for child in list(self._children):
                    group.create_task(child.stop(self._grace))
        finally:
            if self._reaper is not None and self._reaper.stdin is not None:
                self._reaper.stdin.close()
                await self._reaper.wait()

    async def spawn(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        show: Callable[[str], None] | None = None,
    ) -> Child:
        """Start `command`.

        Parameters
        ----------
        name
            What it is, for messages.
        command
            Program and arguments.
        log
            File that takes standard output and error; appended to.
        environment
            The whole environment; the supervisor's own by default.
        folder
            Working directory.
        show
            Gets each line of the output too.
        """
        with _opened(log) as sink:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink if show is None else asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=folder,
                process_group=0,
            )
        self._write_to_reaper(f"+{process.pid}")
        child = Child(name, process, log, show=show, forget=self._forget)
        self._children.append(child)
        return child

    def _forget(self, child: Child) -> None:
        self._write_to_reaper(f"-{child.pid}")
        self._children.remove(child)

    def _write_to_reaper(self, line: str) -> None:
        if self._reaper is None or self._reaper.stdin is None:
            raise RuntimeError("enter the supervisor first")
        self._reaper.stdin.write(f"{line}\n".encode())


def _opened(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


async def _tee(stream: asyncio.StreamReader, log: Path, show: Callable[[str], None]) -> None:
    with _opened(log) as sink:
        while line := await _line(stream):
            sink.write(line)
            sink.flush()
            show(line.decode("utf-8", "replace").rstrip("\r\n"))


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.readexactly(error.consumed)
