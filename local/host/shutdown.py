"""The three ways in which a host's work ends: stopped in good order, failed with its process, drained.

In each of them nothing new is taken; they differ in what becomes of the invocations that run, and of their messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from local.host.endings import DRAINED_EXIT_CODE

if TYPE_CHECKING:
    from local.host.endings import Drain
    from local.host.invocations import Invoker
    from local.host.listeners import Listeners

_log = logging.getLogger("host")
_SETTLING = 2.0
_ABORTING = 0.5


def exited(code: int) -> str:
    """Write what the platform logs of a worker process that ended with `code`."""
    return f"python exited with code {code} (0x{code:X})"


async def stop(listeners: Listeners, invoker: Invoker, grace: float) -> None:
    """Let invocations end within `grace` seconds, and hand back the messages of those that do not."""
    _log.info("Stopping: waiting for running functions")
    listeners.stop()
    await listeners.until_stopped(max(grace, _SETTLING))
    await invoker.until_idle(grace)
    # Given up before it is cancelled, so that a message is handed back and not counted as failed.
    listeners.give_up()
    invoker.cancel_all()
    await invoker.until_idle(_ABORTING)
    await listeners.hand_back()


async def fail(listeners: Listeners, invoker: Invoker, error: str) -> None:
    """Fail all invocations with `error`; their messages are tried again or poisoned, as after any failure."""
    listeners.stop()
    invoker.abort_all(error)
    await listeners.until_stopped(_SETTLING)
    await invoker.until_idle(_SETTLING)
    await listeners.until_settled(_SETTLING)


async def drain(listeners: Listeners, invoker: Invoker, order: Drain) -> None:
    """Give invocations the drain's seconds, then abort them; their messages stay leased.

    The platform logs the end of the worker as an error, also where nothing ran (azure-functions-host issue 12007).
    """
    _log.info("DrainMode mode enabled")
    listeners.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(order.after):
            await listeners.until_stopped(order.after)
            await invoker.until_idle(order.after)
            await listeners.until_settled(order.after)
    listeners.give_up()
    end = exited(DRAINED_EXIT_CODE)
    _log.error(end)
    invoker.abort_all(f"WorkerProcessExitException: {end}")
    await invoker.until_idle(_ABORTING)
