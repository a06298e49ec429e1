"""What all tests share. Everything heavy starts only when a test asks for it, so unit tests start no process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from _pytest.terminal import TerminalReporter
    from azure.storage.blob.aio import ContainerClient
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

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

# Files that take longest, in the order in which `make test` begins them: what begins late and lasts has all the other
# workers wait. Those of tests/faults are not neighbours, so that two of them seldom share the machine.
LONGEST_FIRST = (
    "tests/faults/test_matrix.py",
    "tests/faults/test_crashes.py",
    "tests/integration/test_package_contents.py",
    "tests/integration/test_demo.py",
    "tests/integration/test_cli_recordings.py",
    "tests/faults/test_chaos.py",
    "tests/integration/test_doctor_local.py",
    "tests/integration/test_host_lifecycle.py",
    "tests/integration/test_stack_hosts.py",
    "tests/faults/test_outages.py",
    "tests/integration/test_secrets_scan.py",
    "tests/integration/test_stack_up.py",
    "tests/integration/test_attention.py",
    "tests/integration/test_recovery.py",
    "tests/integration/test_security_events.py",
    "tests/integration/test_transfer_properties.py",
)
# Each test starts all that it needs, and takes long: they go to different workers.
APART = ("tests/integration/test_demo.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    places = {file: place for place, file in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(_file(item.nodeid), len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Give each worker a file at a time, in the order above; xdist would begin with the file of most tests."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if _file(nodeid) in APART else _file(nodeid)

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return ByFile(config, log)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the fault matrix, if it was run: by whatever process, and whichever tests were named; write it if asked."""
    from tests.faults import report

    reports = (one for group in terminalreporter.stats.values() for one in group)
    found = report.found(pair for one in reports for pair in getattr(one, "user_properties", ()))
    if found:
        terminalreporter.section("fault matrix")
        terminalreporter.write_line(report.tables(found))
        page: Path | None = terminalreporter.config.getoption("--fault-report", default=None)
        if page is not None:
            report.write(page, found)


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
