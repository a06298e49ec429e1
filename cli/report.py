"""The output of an examination: lines for people, JSON for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text

from cli.findings import Status, worst
from cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from cli.doctor import Examination

_SIGNS = {
    Status.OK: ("✓", "ok", "green"),
    Status.WARNING: ("!", "warn", "yellow"),
    Status.FAILED: ("✗", "FAIL", "red"),
    Status.SKIPPED: ("\N{EN DASH}", "skip", "dim"),
}
_OTHERS = {Status.WARNING: "to look at", Status.FAILED: "failed", Status.SKIPPED: "skipped"}
_HIDDEN = "***"


def show(examination: Examination, console: Console) -> None:
    """Print a line for each check, and below it what to do."""
    secrets = examination.secrets
    plain = not _can_show_signs(console)
    width = max((len(finding.check) for finding in examination.findings), default=0)
    for finding in examination.findings:
        sign, word, style = _SIGNS[finding.status]
        mark = f"{word:<4}" if plain else sign
        line = Text.assemble((mark, style), f" {finding.check:<{width}}  ", _clean(finding.detail, secrets))
        console.print(line, soft_wrap=True)
        if finding.fix:
            indent = " " * (len(mark) + 1)
            console.print(Text(f"{indent}fix: {_clean(finding.fix, secrets)}", style="bold"), soft_wrap=True)
    console.print(Text(_summary(examination)), soft_wrap=True)


def as_json(examination: Examination) -> str:
    """Return the examination as a JSON object."""
    shown = {
        "status": worst(examination.findings).value,
        "url": examination.url,
        "checks": [finding.as_json() for finding in examination.findings],
        "facts": examination.facts,
    }
    return _struck(json.dumps(shown, indent=2, ensure_ascii=False), examination.secrets)


def _summary(examination: Examination) -> str:
    counts = dict.fromkeys(Status, 0)
    for finding in examination.findings:
        counts[finding.status] += 1
    parts = [
        f"{counts[Status.OK]} ok",
        *(f"{counts[status]} {word}" for status, word in _OTHERS.items() if counts[status]),
    ]
    return f"{len(examination.findings)} checks: {', '.join(parts)}"


def _can_show_signs(console: Console) -> bool:
    try:
        "✓✗\N{EN DASH}".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clean(text: str, secrets: Iterable[str]) -> str:
    return _struck(one_line(text), secrets)


def _struck(text: str, secrets: Iterable[str]) -> str:
    """Replace keys: part of the text comes from other programs, which may repeat what was sent to them."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text
