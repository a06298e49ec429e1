"""What all tests share. Everything heavy starts only when a test asks for it, so unit tests start no process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from _pytest.terminal import TerminalReporter
    from azure.storage.blob.aio import ContainerClient

    from local.azurite import Azurite
    from local.stack import Stack

# No deadline: a slow machine is not a bug. In CI always the same examples, so that a red run can be repeated.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Polls and retries quickly; everything else is as deployed.
QUICK_QUEUE = {
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2000000",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01",
    "RETRY_SECONDS": "1",
}


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the fault matrix, if it was run: by whatever process, and whichever tests were named."""
    from tests.faults import report

    reports = (one for group in terminalreporter.stats.values() for one in group)
    found = report.found(pair for one in reports for pair in getattr(one, "user_properties", ()))
    if found:
        terminalreporter.section("fault matrix")
        terminalreporter.write_line(report.tables(found))


@pytest.fixture(scope="session")
async def azurite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    """Azurite on free ports, one for the session; a test takes containers and queues of its own in it."""
    from local.azurite import Azurite, AzuriteOptions
    from local.supervision import Supervisor

    folder = tmp_path_factory.mktemp("azurite")
    options = AzuriteOptions(folder=folder / "data", log=folder / "azurite.log")
    async with Supervisor(str(folder)) as supervisor, Azurite(options, supervisor) as service:
        yield service


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole local stack on free ports, one for the session, with a clock that runs 20 times as fast.

    A test records calls of its own in it, and leaves it running as it was.
    """
    from local.stack import Stack, StackOptions

    options = StackOptions(
        folder=tmp_path_factory.mktemp("stack"),
        clock_rate=20,
        chunk_seconds=10,
        queue_lease=5,
        settings=QUICK_QUEUE,
    )
    async with Stack(options) as running:
        yield running


@pytest.fixture
async def archive_container(stack: Stack) -> AsyncIterator[ContainerClient]:
    """The container that the stack's app archives to."""
    async with stack.blob_service() as blobs:
        yield blobs.get_container_client("recordings")
