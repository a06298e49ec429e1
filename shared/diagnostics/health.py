"""Whether the things the app depends on can be reached, and what to do about those that cannot."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from shared.core.errors import ServiceError
from shared.diagnostics.findings import explained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue.aio import QueueClient

    from shared.recordings.acs_client import AcsClient

TIMEOUT = 5.0
"""Seconds that a dependency has to answer."""

FRESH = 5.0
"""Seconds for which what was found is told again. Everybody may ask, and the service counts the app's requests."""

NO_RECORDING = "health"
"""An id that no recording has: the service's 404 for it proves that it answers and takes the app's credentials."""


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """How one dependency is; `detail` says what is wrong and the mend."""

    ok: bool
    detail: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        return {"status": "ok"} if self.ok else {"status": "failed", "detail": self.detail}


class Health:
    """Checks the archive's container, the queue and the communication service, all at once.

    Parameters
    ----------
    clock
        Seconds from any beginning.
    """

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
        self._look: asyncio.Task[dict[str, DependencyHealth]] | None = None
        self._looked_at = 0.0

    async def check(self) -> dict[str, DependencyHealth]:
        """Return a finding for each dependency, at most `FRESH` seconds old; who asks meanwhile shares the look."""
        if self._look is None or (self._look.done() and self._clock() - self._looked_at >= FRESH):
            self._look = asyncio.create_task(self._looked())
        return await asyncio.shield(self._look)

    async def _looked(self) -> dict[str, DependencyHealth]:
        findings = await asyncio.gather(*(_finding(check) for check in self._checks.values()))
        self._looked_at = self._clock()
        return dict(zip(self._checks, findings, strict=True))


async def _service_answers(control: AcsClient) -> None:
    try:
        await control.get(NO_RECORDING)
    except ServiceError as error:
        if error.status not in {400, 404}:
            raise


async def _finding(check: Callable[[], Awaitable[object]]) -> DependencyHealth:
    try:
        async with asyncio.timeout(TIMEOUT):
            await check()
    except ServiceError as error:
        mend = "; check ACS_ENDPOINT or ACS_CONNECTION_STRING" if error.status in {401, 403, 503} else ""
        return DependencyHealth(ok=False, detail=f"the service answered {error.status} {error.code}{mend}")
    except TimeoutError:
        return DependencyHealth(ok=False, detail=f"no answer within {TIMEOUT:g} s; check the address and the network")
    except AzureError as error:
        return DependencyHealth(ok=False, detail="; ".join(explained(error, "the roles that infra/ assigns")))
    return DependencyHealth(ok=True)
