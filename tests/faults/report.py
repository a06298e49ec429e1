"""Shows the fault matrix as Markdown tables, and keeps them in a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.cell import MEANINGS, Cell, Family, Outcome
from tests.faults.cells import CELLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BEGIN = "<!-- fault matrix: begin -->"
END = "<!-- fault matrix: end -->"
LOST = "**lost**"

PROPERTY = "fault cell"
"""Name of the property in which a test stores the result of its cell."""


def expected() -> dict[str, str]:
    """Return what has to come of each cell, by the cell's key."""
    return {key(cell): cell.outcome.value for cell in CELLS}


def key(cell: Cell) -> str:
    """Return what identifies a cell."""
    return f"{cell.family.name} {cell.name}"


def shown(outcome: Outcome | None) -> str:
    """Return an outcome as a table shows it."""
    return LOST if outcome is None else outcome.value


def tables(outcomes: Mapping[str, str]) -> str:
    """Return the tables, a family each.

    Parameters
    ----------
    outcomes
        What came of each cell, by its key; cells that are not there are left empty.
    """
    parts = [f"{len(CELLS)} cells.", *(_table(family, outcomes) for family in Family)]
    return "\n\n".join(parts)


def found(properties: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return what came of each cell, by its key, from the tests' properties."""
    return dict(str(value).split("\t") for name, value in properties if name == PROPERTY)


def meanings() -> str:
    """Return what the outcomes mean, as a list."""
    return "\n".join(f"- **{outcome}**: {meaning}." for outcome, meaning in MEANINGS.items())


def _table(family: Family, outcomes: Mapping[str, str]) -> str:
    cells = [cell for cell in CELLS if cell.family is family]
    stages = list(dict.fromkeys(cell.stage for cell in cells))
    faults = list(dict.fromkeys(cell.fault for cell in cells))
    by_place = {(cell.fault, cell.stage): outcomes.get(key(cell), "") for cell in cells}
    rows = [f"| {fault} | {' | '.join(by_place.get((fault, stage), '') for stage in stages)} |" for fault in faults]
    return "\n".join(
        [
            f"### {family}",
            "",
            f"| fault | {' | '.join(stages)} |",
            f"|---|{'---|' * len(stages)}",
            *rows,
        ]
    )


def section(outcomes: Mapping[str, str]) -> str:
    """Return what stands in the page between the marks."""
    return f"{BEGIN}\n\n{meanings()}\n\n{tables(outcomes)}\n\n{END}"


def section_in(page: str) -> str:
    """Return what stands between the marks, marks included.

    Raises
    ------
    ValueError
        The marks are not there.
    """
    begin, end = page.index(BEGIN), page.index(END)
    return page[begin : end + len(END)]


def write(page: Path, outcomes: Mapping[str, str]) -> None:
    """Put the tables into a page, between the marks."""
    text = page.read_text("utf-8")
    page.write_text(text.replace(section_in(text), section(outcomes)), "utf-8")
