"""Findings as text."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from cli.doctor import Examination
from cli.findings import Finding, Status, worst
from cli.report import as_json, show

KEY = "kkkkkkkkkkkkkkkk"
FINDINGS = [
    Finding.ok("a.well", "fine"),
    Finding.warning("b", "odd", "look at it"),
    Finding.failed("c.ill", f"it answered {KEY}\x1b[31m\nand more", "fix it"),
    Finding.skipped("d", "not known"),
]


def shown(findings: list[Finding], *, encoding: str = "utf-8", terminal: bool = False) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    # A terminal of 40 columns: lines are not wrapped, so that they can be searched and pasted.
    console = Console(file=stream, force_terminal=terminal, width=40, color_system="standard" if terminal else None)
    show(Examination("https://app", findings, {}, frozenset({KEY})), console)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_each_check_is_a_line_with_its_fix_below() -> None:
    assert shown(FINDINGS).splitlines() == [
        "✓ a.well  fine",
        "! b       odd",
        "  fix: look at it",
        "✗ c.ill   it answered ***[31m and more",
        "  fix: fix it",
        "\N{EN DASH} d       not known",
        "4 checks: 1 ok, 1 to look at, 1 failed, 1 skipped",
    ]


def test_where_signs_cannot_be_shown_there_are_words() -> None:
    lines = shown(FINDINGS, encoding="ascii").splitlines()
    assert [line.split()[0] for line in lines if "fix:" not in line] == ["ok", "warn", "FAIL", "skip", "4"]


def test_colours_are_for_terminals_and_nothing_from_outside_can_write_to_one() -> None:
    assert "\x1b" not in shown(FINDINGS)
    coloured = shown(FINDINGS, terminal=True)
    assert "\x1b[32m✓" in coloured
    assert coloured.count("\x1b[31m") == 1, "the sign of what failed, and not what the other side sent"


def test_a_long_line_is_not_wrapped() -> None:
    lines = shown([Finding.ok("a", "word " * 50)]).splitlines()
    assert len(lines) == 2


def test_json_has_everything_but_the_key() -> None:
    text = as_json(Examination("https://app", FINDINGS, {"retentionHours": 24}, frozenset({KEY})))
    report = json.loads(text)
    assert KEY not in text
    assert (report["status"], report["url"], report["facts"]) == ("failed", "https://app", {"retentionHours": 24})
    assert report["checks"][1] == {"check": "b", "status": "warning", "detail": "odd", "mend": "look at it"}


@pytest.mark.parametrize(
    ("findings", "status"),
    [([], Status.OK), (FINDINGS[:1], Status.OK), (FINDINGS[:2], Status.WARNING), (FINDINGS, Status.FAILED)],
)
def test_the_worst_finding_counts(findings: list[Finding], status: Status) -> None:
    assert worst(findings) is status
