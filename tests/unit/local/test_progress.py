"""Progress is readable without a terminal too."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.progress import Progress


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def test_without_a_terminal_each_step_and_each_new_state_is_a_plain_line(output: io.StringIO) -> None:
    progress = Progress(Console(file=output, width=40))
    with progress.step("archive it") as report:
        report("chunk 0 copying")
        report("chunk 0 copying")
        report("chunk 0 archived")
    lines = output.getvalue().splitlines()
    assert lines[:2] == ["  … chunk 0 copying", "  … chunk 0 archived"]
    assert lines[2].startswith("✓ archive it (")
    assert "\x1b" not in output.getvalue()


def test_a_failed_step_gets_a_cross(output: io.StringIO) -> None:
    progress = Progress(Console(file=output))
    with pytest.raises(ValueError, match="no"), progress.step("archive it"):
        raise ValueError("no")
    assert output.getvalue() == "✗ archive it\n"
