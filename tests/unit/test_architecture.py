"""The direction of imports, and the links between the documents."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


CONFIGURATION = ROOT / "pyproject.toml"


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_imports_go_one_way() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout
    assert " 0 broken" in checked.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("shared/core/limits.py", "from shared.storage import ledger", "Packages of shared import only"),
        ("shared/core/limits.py", "if False:\n    from shared import app", "Packages of shared"),
        ("shared/recordings/states.py", "import shared.archiving.intake", "Packages of shared import only"),
        ("shared/upload/digests.py", "import shared.events.chunk_message", "The copy engine and the settings"),
        ("shared/config/connections.py", "import shared.download.signing", "Settings stand on core alone"),
        ("shared/storage/table.py", "import shared.download.signing", "Only archiving copies files"),
        ("shared/upload/changes.py", "import shared.upload.pipeline", "No circles among modules"),
        ("shared/api/problems.py", "import functions.http", "shared knows nothing of what uses it"),
        ("functions/http.py", "import cli.api", "Triggers know shared only"),
        ("cli/api.py", "import shared.core.times", "The operators' command knows the HTTP API"),
        ("local/clock.py", "import shared.core.times", "The local stack runs the app"),
    ],
)  # fmt: skip
def test_an_import_the_other_way_is_found(tmp_path: Path, module: str, statement: str, contract: str) -> None:
    for package in ("shared", "functions", "cli", "local"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("node_modules", "__pycache__")
        )
    shutil.copy(CONFIGURATION, tmp_path)
    path = tmp_path / module
    path.write_text(f"{path.read_text()}\n{statement}\n")
    checked = lint_imports(tmp_path)
    assert checked.returncode == 1
    assert re.search(rf"^{re.escape(contract)}[^\n]*\n?[^\n]*BROKEN", checked.stdout, re.MULTILINE), checked.stdout


def test_every_answer_is_made_in_one_place() -> None:
    makers = [path.name for path in (ROOT / "functions").glob("*.py") if "func.HttpResponse(" in path.read_text()]
    assert makers == ["http.py"]


def test_every_page_that_is_linked_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_module_that_a_document_names_exists() -> None:
    named = re.compile(r"\b(?:shared|functions|cli|local|infra|bench|tests)/[\w/]+\.py\b")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    missing = {
        f"{page.name}: {path}"
        for page in pages
        for path in named.findall(page.read_text())
        if not (ROOT / path).is_file()
    }
    assert missing == set()
