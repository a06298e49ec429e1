"""`python -m local` says what it can do, and what it needs, in one sentence."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import local

ENTRY = Path(local.__file__).with_name("__main__.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_part() -> None:
    shown = run("-m", "local", "--help")
    assert shown.returncode == 0
    words = shown.stdout.split()
    for command in ("up", "demo", "host", "acs", "eventgrid", "azurite", "archive", "call", "record", "fault", "clock"):
        assert command in words, command
    assert "subscription" in words


def test_help_imports_nothing_heavy() -> None:
    loaded = run(
        "-c",
        "import sys, local.commands\n"
        "print([name for name in ('av', 'numpy', 'PIL', 'azure_functions_runtime', 'local.stack') "
        "if name in sys.modules])",
    )
    assert loaded.stdout == "[]\n", loaded.stderr


@pytest.mark.parametrize("before", ["default_int_handler", "SIG_IGN"])
def test_ctrl_c_while_it_loads_ends_it_at_once_and_without_a_traceback(before: str) -> None:
    ended = run(
        "-c",
        "import os, runpy, signal, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'local.commands': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"signal.signal(signal.SIGINT, signal.{before})\n"
        "runpy.run_module('local', run_name='x')",
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("minor", [6, 12])
def test_the_entry_parses_on_an_old_python(minor: int) -> None:
    for file in (ENTRY, ENTRY.with_name("__init__.py")):
        ast.parse(file.read_text(), feature_version=(3, minor))


def test_another_python_is_an_error_that_names_the_needed_version() -> None:
    done = run(
        "-c", "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); runpy.run_module('local', run_name='x')"
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"python -m local needs Python 3.13, and {sys.executable} is 3.9: "
        "run `make setup`, then `.venv/bin/python -m local`\n"
    )


def test_a_missing_package_is_reported_in_one_sentence() -> None:
    done = run("-c", "import runpy, sys; sys.modules['typer'] = None; runpy.run_module('local', run_name='x')")
    assert done.returncode == 1
    assert done.stderr.startswith("python -m local needs the package typer, which ")
    assert len(done.stderr.splitlines()) == 1


def test_a_moment_of_the_demo_that_there_is_not_is_refused_with_those_there_are() -> None:
    refused = run("-m", "local", "demo", "--kill-host-at", "never")
    assert refused.returncode == 2
    assert "first-chunk" in refused.stderr
