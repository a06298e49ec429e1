"""Runs an asynchronous command of `python -m local` so that it ends well, however it is ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local.acs.errors import AcsEmulatorError
from local.eventgrid.errors import EventGridEmulatorError
from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

INTERRUPTED = 130
STOP_SECONDS = 30.0
"""Seconds a command has to stop what it started; a signal after that ends it at once."""


#: What is shown at the terminal as one sentence; each package has a base of its own.
SHOWN = (LocalProblem, AcsEmulatorError, EventGridEmulatorError)


def run(command: Coroutine[None, None, int], *, stop_seconds: float = STOP_SECONDS) -> int:
    """Run `command` to its end and return its exit code.

    Ctrl-C, SIGTERM and a closed terminal cancel it, so that it can stop what it started, also where the shell that
    started it in the background made it ignore SIGINT. An error of `SHOWN` becomes its sentence on standard error
    and exit code 1.

    Parameters
    ----------
    command
        What to run.
    stop_seconds
        Seconds that the first signal leaves it. Further signals have no effect until then, and end this process at
        once after that; what it started is then left to `local.reaper`.
    """
    try:
        with asyncio.Runner() as runner:
            return runner.run(_cancelled_by_signals(command, stop_seconds))
    except SHOWN as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def _cancelled_by_signals(command: Coroutine[None, None, int], stop_seconds: float) -> int:
    task = asyncio.ensure_future(command)
    stopping = _Stopping(task, stop_seconds)
    with _handled(stopping.signalled):
        try:
            return await task
        except asyncio.CancelledError:
            if not stopping.began:
                raise
            return INTERRUPTED
        except BaseExceptionGroup as group:
            problems, others = group.split(SHOWN)
            if others is not None or problems is None:
                raise
            raise _first(problems) from None


class _Stopping:
    def __init__(self, task: asyncio.Future[int], seconds: float) -> None:
        self.began = False
        self._task = task
        self._seconds = seconds
        self._until = 0.0

    def signalled(self) -> None:
        now = self._task.get_loop().time()
        if not self.began:
            self.began, self._until = True, now + self._seconds
            self._task.cancel()
        elif now >= self._until:  # before that, a second Ctrl-C must not cut the stopping short
            os._exit(INTERRUPTED)


@contextmanager
def _handled(handler: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
