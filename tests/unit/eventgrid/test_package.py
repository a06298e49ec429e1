"""The emulator is a package that could be installed by itself."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROJECT = {"local", "shared", "functions", "cli", "tests", "infra", "bench", "function_app"}


def imported(module: Path) -> set[str]:
    """Every module that a module imports, under TYPE_CHECKING and in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(name)):
                found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return found


def modules() -> dict[str, set[str]]:
    paths = (ROOT / "local/eventgrid").rglob("*.py")
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return {name: imported(path) for name, path in named.items()}


def test_nothing_of_the_rest_of_the_project_is_imported() -> None:
    ours = {name for names in modules().values() for name in names if name.partition(".")[0] in PROJECT}
    assert ours
    assert {name for name in ours if not f"{name}.".startswith("local.eventgrid.")} == set()


def test_no_module_imports_itself_through_others() -> None:
    every = modules()
    every["local.eventgrid.cli"].clear()  # a package is imported by its parts
    graph = {name: {other for other in names if other in every and other != name} for name, names in every.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(every)
