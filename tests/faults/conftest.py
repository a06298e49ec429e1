"""The cells of a module are run at once on one stack, and each of them is a test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import report
from tests.faults.arena import arena
from tests.faults.cells import CELLS
from tests.faults.matrix import run_matrix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.arena import Arena
    from tests.faults.matrix import Result

OPTION = "--fault-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, metavar="FILE", type=Path, help="write the fault matrix, as found, into this page")


@pytest.fixture(scope="module")
async def matrix(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Result]:
    """What came of the cells that the module was asked for, by key."""
    of_module = (item for item in request.session.items if item.path == request.path and _is_cell(item))
    asked = {item.callspec.params["cell"] for item in of_module}  # type: ignore[attr-defined]
    async with arena(tmp_path_factory.mktemp("matrix"), DELETE_SOURCE_AFTER_ARCHIVE="true") as stack:
        results = await run_matrix(stack, [cell for cell in CELLS if report.key(cell) in asked])
    return {report.key(result.cell): result for result in results}


@pytest.fixture(scope="module")
async def own_arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """A stack for a module that does worse things to it than others could bear."""
    async with arena(tmp_path_factory.mktemp("arena"), clock_rate=60) as running:
        yield running


def _is_cell(item: pytest.Item) -> bool:
    return "cell" in getattr(getattr(item, "callspec", None), "params", {})
