"""Waiting for something to become true, within one event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Changes:
    """Lets tasks wait until a condition holds.

    Unlike `asyncio.Condition` it has no lock, so that telling of a change needs no `await`, and a task that is
    cancelled can still tell the others.
    """

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds()`; it is asked now and after each change, without a task switch before the return."""
        while not holds():
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def tell(self) -> None:
        """Let all that wait ask again, those first that have waited longest."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
