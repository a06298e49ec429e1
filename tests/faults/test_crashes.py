"""Wherever the Functions host is killed: a recording is archived, whole and once.

The crashes of the fault matrix; they have a stack, and so a module, of their own, because a killed host hits all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import report
from tests.faults.cell import Family
from tests.faults.cells import CELLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Result

EXPECTED = report.expected()


# The first cell waits for all of them.
@pytest.mark.timeout(420)
@pytest.mark.parametrize("cell", [report.key(cell) for cell in CELLS if cell.family is Family.CRASH])
def test_what_a_killed_host_leaves_is_archived(
    matrix: dict[str, Result], cell: str, record_property: Callable[[str, object], None]
) -> None:
    result = matrix[cell]
    record_property(report.PROPERTY, f"{cell}\t{report.shown(result.outcome)}")
    assert report.shown(result.outcome) == EXPECTED[cell], result.notes
    assert result.hits, "the fault was never met, so nothing is known"
