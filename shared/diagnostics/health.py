"""Whether the app's dependencies can be reached, and the fix where not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from shared.core.errors import ServiceError
from shared.diagnostics.results import explained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue.aio import QueueClient

    from shared.recordings.acs_client import AcsClient

TIMEOUT = 5.0
"""The timeout of one dependency, seconds."""

FRESH = 5.0
"""Seconds for which a result is used again: the route needs no key, and the service throttles the app's requests."""

NO_RECORDING = "health"
"""An id that no recording has: the service's 404 for it proves that it accepts the app's credentials."""


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """The state of one dependency; `detail` has what is wrong and the fix."""

    ok: bool
    detail: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        return {"status": "ok"} if self.ok else {"status": "failed", "detail": self.detail}


class Health:
    """Checks the archive's container, the queue and the communication service; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        container: ContainerClient,
        queue: QueueClient,
        control: AcsClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks: Mapping[str, Callable[[], Awaitable[object]]] = {
            "archiveContainer": container.get_container_properties,
            "queue": queue.get_queue_properties,
            "communicationService": lambda: _service_answers(control),
        }
        self._clock = clock
        self._checking: asyncio.Task[dict[str, DependencyHealth]] | None = None
        self._checked_at = 0.0

    async def check(self) -> dict[str, DependencyHealth]:
        """Return each dependency's state, at most `FRESH` seconds old; simultaneous calls share one check."""
        if self._checking is None or (self._checking.done() and self._clock() - self._checked_at >= FRESH):
            self._checking = asyncio.create_task(self._checked())
        return await asyncio.shield(self._checking)

    async def _checked(self) -> dict[str, DependencyHealth]:
        results = await asyncio.gather(*(_result(check) for check in self._checks.values()))
        self._checked_at = self._clock()
        return dict(zip(self._checks, results, strict=True))


async def _service_answers(control: AcsClient) -> None:
    try:
        await control.get(NO_RECORDING)
    except ServiceError as error:
        if error.status not in {400, 404}:
            raise


async def _result(check: Callable[[], Awaitable[object]]) -> DependencyHealth:
    try:
        async with asyncio.timeout(TIMEOUT):
            await check()
    except ServiceError as error:
        fix = "; check ACS_ENDPOINT or ACS_CONNECTION_STRING" if error.status in {401, 403, 503} else ""
        return DependencyHealth(ok=False, detail=f"the service answered {error.status} {error.code}{fix}")
    except TimeoutError:
        return DependencyHealth(ok=False, detail=f"no answer within {TIMEOUT:g} s; check the address and the network")
    except AzureError as error:
        return DependencyHealth(ok=False, detail="; ".join(explained(error, "the roles that infra/ assigns")))
    return DependencyHealth(ok=True)
