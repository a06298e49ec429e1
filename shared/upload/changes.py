"""Waiting until a condition holds, within one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Changes:
    """Lets tasks wait until a condition holds.

    Unlike `asyncio.Condition` it has no lock, so that `notify` needs no `await`: a cancelled task can call it.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds()`; it is called now and after each `notify`, with no task switch before the return."""
        while not holds():
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def notify(self) -> None:
        """Let all waiting tasks check their condition again, in the order in which they began to wait."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
