"""Runs `python -m local` as a process, and looks for processes that were left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


async def processes_of(label: str) -> list[str]:
    """Return the lines of `ps` that name `label`, a path that only the processes of one test have."""
    ps = await asyncio.create_subprocess_exec("ps", "-ww", "-eo", "pid,stat,args", stdout=asyncio.subprocess.PIPE)
    output, _ = await ps.communicate()
    return [line for line in output.decode().splitlines() if label in line and line.split()[1][0] != "Z"]


async def no_process_of(label: str, *, within: float = 30) -> None:
    """Assert that after at most `within` seconds no process names `label`; one that is left is killed."""
    left = await processes_of(label)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while left:
                await asyncio.sleep(0.1)
                left = await processes_of(label)
    for line in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[0]), signal.SIGKILL)
    assert left == []


async def some_processes_of(label: str, count: int, *, within: float = 60) -> None:
    """Wait until `count` processes name `label`."""
    async with asyncio.timeout(within):
        found = await processes_of(label)
        while len(found) < count:
            found = await processes_of(label)


def _signals_as_in_a_terminal() -> None:
    """Undo what the tests inherited: under nohup, and in a shell's background, signals are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Command:
    """`python -m local …` as a process with a process group of its own, as a terminal would start it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @classmethod
    async def start(cls, *arguments: str) -> Self:
        """Start the command; its standard output and error come together in `lines`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_signals_as_in_a_terminal,
        )
        return cls(process)

    @property
    def output(self) -> str:
        """Everything read so far."""
        return "\n".join(self.lines)

    async def read_until(self, text: str) -> None:
        """Read until a line holds `text`."""
        while (line := await self._line()) is not None:
            if text in line:
                return
        raise AssertionError(f"the command ended without {text!r}:\n{self.output}")

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole process group, as Ctrl-C at a terminal does."""
        os.killpg(self.process.pid, number)

    async def end(self) -> int:
        """Read to the end and return the exit code."""
        while await self._line() is not None:
            pass
        return await self.process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        await self.end()

    async def _line(self) -> str | None:
        if self.process.stdout is None:
            raise ValueError("the process was started without a pipe")
        line = await self.process.stdout.readline()
        if not line:
            return None
        self.lines.append(line.decode().rstrip("\n"))
        return self.lines[-1]
