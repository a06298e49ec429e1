"""The lines between the rooms, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


def imports(room: str) -> Iterator[tuple[str, str]]:
    """Each import of a room's modules: the module's path, and what it imports."""
    for path in sorted((ROOT / room).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import():
                    for alias in node.names:
                        yield str(path.relative_to(ROOT)), alias.name
                case ast.ImportFrom(module=str(module)):
                    yield str(path.relative_to(ROOT)), module


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("shared", ("azure.functions", "functions", "local", "cli", "tests")),
        ("functions", ("local", "cli", "tests")),
        ("cli", ("shared", "functions", "local", "tests", "azure.functions")),
        ("local", ("shared", "functions", "cli", "tests")),
    ],
)
def test_a_room_imports_nothing_of(room: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        (path, name)
        for path, name in imports(room)
        if any(name == other or name.startswith(f"{other}.") for other in forbidden)
    ]
    assert wrong == []


def test_the_map_names_every_module_of_shared_and_no_other() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("In `shared/` a module")[2].partition("## The way of one event")[0]
    modules = {path.stem for path in (ROOT / "shared").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", table)) == modules


def test_every_page_that_is_linked_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
