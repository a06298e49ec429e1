"""`recordings verify --all`: several recordings at a time, each once, and resumable after any interruption."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from cli.audit import Audit, verify_all
from cli.deployment import Answer
from cli.errors import CommandError, Unreachable
from cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cli.api import Api

SINCE = "2026-11-01"
PAGES = [[f"2026/11/0{page}/r{page}{number}" for number in range(5)] for page in (1, 2)]
ALL = [prefix for page in PAGES for prefix in page]


class App:
    """An archive of two pages; recordings in `damaged` differ, and at one in `away` the app cannot be reached."""

    def __init__(self, *, damaged: set[str] = frozenset(), away: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.damaged, self.away = damaged, away
        self.verified: list[str] = []
        self.at_work = self.most_at_work = 0

    async def ask_again(self, method: str, path: str, *, query: Mapping[str, str | None] | None = None) -> Answer:
        if method == "GET":
            page = int((query or {}).get("cursor") or 0)
            listed = [{"recordingId": None, "name": prefix[-3:], "prefix": prefix} for prefix in PAGES[page]]
            return Answer(200, {"recordings": listed, "cursor": "1" if page == 0 else None}, None)
        prefix = next(prefix for prefix in ALL if prefix[-3:] == path.split("/")[1])
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.at_work -= 1
        if prefix in self.away:
            raise Unreachable("the app cannot be reached")
        self.verified.append(prefix)
        found = ["0000.wav is missing"] if prefix in self.damaged else []
        report: dict[str, Any] = {"prefix": prefix, "chunks": [], "differences": found, "next": None}
        return Answer(200, {**report, "verified": not found, "verifiedAt": "now"}, None)


async def audited(app: App, audit: Audit, file: Path | None = None, *, at_once: int = 3) -> None:
    with Progress() as progress:
        await verify_all(cast("Api", app), audit, file, progress, at_once=at_once, quiet=True)


@pytest.mark.parametrize("at_once", [1, 3, 16])
async def test_every_recording_is_verified_once_and_no_more_at_a_time_than_asked_for(at_once: int) -> None:
    app, audit = App(), Audit("https://app", SINCE)
    await audited(app, audit, at_once=at_once)
    assert sorted(app.verified) == ALL
    assert app.most_at_work == min(at_once, len(PAGES[0]))
    assert (audit.recordings, audit.differing) == (len(ALL), [])


async def test_differences_are_reported_in_the_archives_order() -> None:
    app, audit = App(damaged={ALL[7], ALL[1], ALL[0]}), Audit("https://app", SINCE)
    await audited(app, audit)
    assert [found["prefix"] for found in audit.as_json()["differing"]] == [ALL[0], ALL[1], ALL[7]]


async def test_an_interrupted_audit_continues_with_what_was_not_verified(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    app = App(damaged={ALL[6]}, away={ALL[8]})
    with pytest.raises(CommandError, match="cannot be reached"):
        await audited(app, Audit("https://app", SINCE), file)
    kept = json.loads(file.read_text())
    assert set(kept["done"]) == set(app.verified) & set(PAGES[1])
    assert kept["recordings"] == len(app.verified) < len(ALL)

    before, app.away = list(app.verified), set()
    audit = Audit.resumed(file, "https://app", SINCE)
    await audited(app, audit, file)
    assert sorted(app.verified) == ALL
    assert app.verified[: len(before)] == before
    assert audit.recordings == len(ALL)
    assert [found["prefix"] for found in audit.differing] == [ALL[6]]
