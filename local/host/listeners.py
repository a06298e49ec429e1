"""The queue and timer listeners of one app, started and stopped together."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from local.host.queues import QueueListener
    from local.host.timers import TimerListener

_log = logging.getLogger("host")


class Listeners:
    """All listeners of an app.

    Attributes
    ----------
    queues
        One for each function with a queue trigger.
    timers
        By function name.
    """

    def __init__(self) -> None:
        self.queues: list[QueueListener] = []
        self.timers: dict[str, TimerListener] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Listen, until :meth:`stop`."""
        for queue in self.queues:
            self._start(queue.listen())
        for timer in self.timers.values():
            self._start(timer.listen())

    def stop(self) -> None:
        """Take nothing more; what runs goes on."""
        for queue in self.queues:
            queue.stop()
        for timer in self.timers.values():
            timer.stop()

    def notify(self, url: str) -> None:
        """Look for messages on the queue at `url` at once."""
        for listener in self.queues:
            if listener.url == url:
                listener.notify()

    async def until_stopped(self, grace: float) -> None:
        """Wait until all have stopped, timers after the run they may be at; `grace` seconds at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)

    async def until_settled(self, grace: float) -> None:
        """Wait until no message is in work, `grace` seconds at most for each queue."""
        for listener in self.queues:
            await listener.until_settled(grace)

    def give_up(self) -> None:
        """Leave the messages in work leased, but for those whose functions still succeed."""
        for listener in self.queues:
            listener.give_up()

    async def hand_back(self) -> None:
        """Make the messages that were given up visible."""
        for listener in self.queues:
            await listener.hand_back()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.append(task)
        task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exception := task.exception()) is not None:
        _log.error("A listener failed and stopped", exc_info=exception)
