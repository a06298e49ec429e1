"""The health route needs no key: many requests to it must not cost the service, which throttles the app's requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from shared.core.errors import ServiceError
from shared.diagnostics.health import FRESH, Health

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue.aio import QueueClient

    from shared.recordings.acs_client import AcsClient


class Dependencies:
    """A container, a queue and the service in one, which count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.time = 100.0
        self.health = Health(
            cast("ContainerClient", self), cast("QueueClient", self), cast("AcsClient", self), clock=lambda: self.time
        )

    async def get_container_properties(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)

    async def get_queue_properties(self) -> None:
        self.asked += 1

    async def get(self, _: str) -> None:
        self.asked += 1
        raise ServiceError(404, "8522", "Recording not found.")


@pytest.fixture
def dependencies() -> Dependencies:
    return Dependencies()


async def test_simultaneous_requests_share_one_check(dependencies: Dependencies) -> None:
    results = await asyncio.gather(*(dependencies.health.check() for _ in range(50)))
    assert all(state.ok for states in results for state in states.values())
    assert dependencies.asked == 3


async def test_a_result_is_used_for_some_seconds_and_then_checked_again(dependencies: Dependencies) -> None:
    await dependencies.health.check()
    dependencies.time += FRESH - 0.1
    await dependencies.health.check()
    assert dependencies.asked == 3
    dependencies.time += 0.1
    await dependencies.health.check()
    assert dependencies.asked == 6


async def test_a_cancelled_caller_does_not_cancel_the_check_of_the_others(dependencies: Dependencies) -> None:
    leaving = asyncio.create_task(dependencies.health.check())
    staying = asyncio.create_task(dependencies.health.check())
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)["queue"].ok
    assert dependencies.asked == 3
