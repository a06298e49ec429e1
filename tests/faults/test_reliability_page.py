"""docs/reliability.md shows the matrix that the suite runs."""

from __future__ import annotations

from pathlib import Path

from tests.faults import report
from tests.faults.cells import CELLS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def test_the_page_has_exactly_the_cells_of_the_suite_with_what_has_to_come_of_them() -> None:
    assert report.section_in(PAGE.read_text("utf-8")) == report.section(report.expected()), (
        'make it anew: make test ARGS="tests/faults --fault-report docs/reliability.md"'
    )


def test_no_two_cells_have_one_name() -> None:
    assert len(report.expected()) == len(CELLS)


def test_what_is_not_found_in_a_page_is_left_empty() -> None:
    assert "| 503 |  |  |" in report.tables({})
