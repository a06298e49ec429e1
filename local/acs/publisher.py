"""Posts events to a topic, and tries again while the topic is away."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.acs.events import Event

_LOG_LENGTH = 5000
_AT_ONCE = 16


@dataclass(slots=True)
class Posted:
    """One delivery of an event, and what became of it."""

    event: Event
    outcome: str = "waiting"
    attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the delivery as the control routes show it."""
        return {"outcome": self.outcome, "attempts": self.attempts, "event": self.event}


class Publisher:
    """Delivers events to one topic; several at once, each on its own.

    Parameters
    ----------
    topic
        URL to post to; None to keep events in the log only.
    key
        Value of `aeg-sas-key`.
    patience
        Real seconds for which a delivery is tried again.
    """

    def __init__(self, topic: str | None, key: str | None, patience: float) -> None:
        self.topic = topic
        self.key = key
        self.log: deque[Posted] = deque(maxlen=_LOG_LENGTH)
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def publish(self, events: Iterable[Event]) -> int:
        """Post events, each in a request of its own, in order; returns how many the topic took."""
        taken = 0
        for event in events:
            posted = Posted(event)
            self.log.append(posted)
            async with self._slots:
                await self._deliver(posted)
            taken += posted.outcome == "delivered"
        return taken

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, posted: Posted) -> None:
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            if self.topic is None:
                posted.outcome = "no topic set"
                return
            posted.attempts += 1
            posted.outcome = await self._post(self.topic, posted.event)
            # A topic that refuses the event will refuse it again, unless it is only busy.
            refused = posted.outcome.startswith("HTTP 4") and posted.outcome not in ("HTTP 408", "HTTP 429")
            if posted.outcome == "delivered" or refused or time.monotonic() + pause > deadline:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _post(self, topic: str, event: Event) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=35))
        headers = {"aeg-event-type": "Notification"}
        if self.key is not None:
            headers["aeg-sas-key"] = self.key
        try:
            async with self._session.post(topic, json=[event], headers=headers) as response:
                await response.read()
                return "delivered" if response.ok else f"HTTP {response.status}"
        except (aiohttp.ClientError, TimeoutError) as exc:
            return f"not reachable: {type(exc).__name__}"
