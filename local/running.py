"""Runs an asynchronous command of `python -m local` so that it ends well, however it is ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from local.acs.errors import AcsEmulatorError
from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Coroutine

INTERRUPTED = 130

#: What is shown at the terminal as one sentence; each package has a base of its own.
SHOWN = (LocalProblem, AcsEmulatorError)


def run(command: Coroutine[None, None, int]) -> int:
    """Run `command` to its end and return its exit code.

    Ctrl-C, SIGTERM and a closed terminal cancel it, so that it can stop what it started; an error of
    `SHOWN` becomes its sentence on standard error and exit code 1.
    """
    try:
        with asyncio.Runner() as runner:
            return runner.run(_cancelled_by_signals(command))
    except SHOWN as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def _cancelled_by_signals(command: Coroutine[None, None, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    signalled = False

    def cancel() -> None:
        nonlocal signalled
        if not signalled:  # a second Ctrl-C must not cut the stopping short
            signalled = True
            task.cancel()

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not signalled:
            raise
        return INTERRUPTED
    except BaseExceptionGroup as group:
        problems, others = group.split(SHOWN)
        if others is not None or problems is None:
            raise
        raise _first(problems) from None
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
