"""Azurite: what is missing is named with the command that installs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local.azurite import installed
from local.problems import LocalProblem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"azurite": "3.37.0"}}))
    return tmp_path


def install(folder: Path, version: str) -> None:
    package = folder / "node_modules" / "azurite"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))


def find(name: str) -> str:
    return f"/usr/bin/{name}"


def ask_for_version(_: str) -> str:
    return "v22.11.0"


def test_the_locked_version_is_run_by_node_itself(folder: Path) -> None:
    install(folder, "3.37.0")
    assert installed(folder=folder, which=find, version=ask_for_version) == [
        "/usr/bin/node",
        str(folder / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"),
    ]


def test_missing_node_is_named(folder: Path) -> None:
    with pytest.raises(LocalProblem, match=r"no `node` on PATH: install Node\.js"):
        installed(folder=folder, which=lambda _: None)


def test_a_node_that_is_too_old_is_named_with_its_version(folder: Path) -> None:
    with pytest.raises(LocalProblem, match=r"needs Node.js 18 or later, better 22, and /usr/bin/node is v16\.20\.2"):
        installed(folder=folder, which=find, version=lambda _: "v16.20.2")


def test_missing_azurite_is_named_with_the_command_that_installs_it(folder: Path) -> None:
    with pytest.raises(LocalProblem, match=r"is not installed in .*: run `make node`"):
        installed(folder=folder, which=find, version=ask_for_version)


def test_another_version_than_the_locked_one_is_refused(folder: Path) -> None:
    install(folder, "3.31.0")
    with pytest.raises(LocalProblem, match=r"Azurite 3\.31\.0 is installed .* but 3\.37\.0 is locked"):
        installed(folder=folder, which=find, version=ask_for_version)
