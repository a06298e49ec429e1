"""The hooks of a commit in a repository of their own, with no environment activated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# They need the whole project; `make check` runs them there.
SLOW = "mypy,import-linter,infrastructure"


class Repository:
    """A git repository with the project's hooks and environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(folder.parent),
            "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"),
            "SKIP": SLOW,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
        }  # fmt: skip
        folder.mkdir()
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".gitignore").write_text(".venv\n")
        for file in (".pre-commit-config.yaml", "pyproject.toml"):
            shutil.copy(ROOT / file, folder / file)
        for command in (["git", "init", "--quiet"], ["git", "add", "."]):
            assert self.run(*command).returncode == 0

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def commit(self, text: str) -> subprocess.CompletedProcess[str]:
        """Commit a module with this text."""
        (self.folder / "module.py").write_text(text)
        assert self.run("git", "add", "module.py").returncode == 0
        return self.run("git", "commit", "--quiet", "--message", "A change")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    installed = made.run(".venv/bin/pre-commit", "install")
    assert installed.returncode == 0, installed.stderr
    return made


def test_a_commit_of_clean_code_passes(repository: Repository) -> None:
    done = repository.commit('"""A module."""\n')

    assert done.returncode == 0, done.stderr
    assert repository.run("git", "rev-list", "--count", "HEAD").stdout == "1\n"


@pytest.mark.parametrize(
    ("text", "hook"),
    [('"""A module."""\n\nimport os\n', "ruff-check"), ('"""A module."""\n\nvalue = {  "a":1}\n', "ruff-format")],
)
def test_a_commit_that_breaks_a_rule_is_refused(repository: Repository, text: str, hook: str) -> None:
    refused = repository.commit(text)

    assert refused.returncode != 0
    failed = [part for part in refused.stderr.split("- hook id: ")[1:] if "exit code" in part]
    assert [part.split()[0] for part in failed] == [hook]
    assert (repository.folder / "module.py").read_text() == text
