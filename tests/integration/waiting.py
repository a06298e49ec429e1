"""Waiting for what happens elsewhere, without fixed sleeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def eventually[T](look: Callable[[], Awaitable[T | None]], *, within: float = 60) -> T:
    """Look again and again until there is something; returns it, or raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not (found := await look()):
            await asyncio.sleep(0.1)
    return found
