"""Recordings, incidents, reports and progress as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli import attention_command, reindex_command, verify_command
from cli.audit import Audit
from cli.errors import UsageError
from cli.recording_view import lines, summary
from shared.recordings import responses
from shared.recordings.states import State
from shared.storage.ledger import Operation

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-11-22T09:15:00.123456Z"
NEXT = "2026-11-22T09:48:10.000000Z"


def body(**changes: Any) -> dict[str, Any]:
    """The API's answer for a recording."""
    return responses.RecordingBody(**{"recording_id": "eyJx", "state": State.ARCHIVING, **changes}).as_json()


CHUNKS = [
    responses.ChunkBody(
        index=0, document_id="a", state="archived", bytes_done=2 << 20, bytes_total=2 << 20, tries=1, archived_at=AT
    ),
    responses.ChunkBody(
        index=1,
        document_id="b",
        state="retrying",
        bytes_done=1 << 20,
        bytes_total=4 << 20,
        tries=2,
        last_error="the body\nwas cut",
        next_try_at=NEXT,
    ),
    responses.ChunkBody(index=2, document_id="c", state="waiting"),
]


def test_a_recording_is_shown_with_its_times_pauses_chunks_and_the_hours_left() -> None:
    shown = body(
        started_at=AT,
        started_by="alice",
        ended_at=NEXT,
        duration_ms=1_740_000,
        transitions=[responses.TransitionBody(operation=Operation.START, at=AT)],
        pauses=[responses.Pause(begin=AT, end=NEXT), responses.Pause(begin=NEXT)],
        prefix="2026/11/22/eyJx",
        chunks=CHUNKS,
        expires_at=NEXT,
        hours_left=23.94,
        notes=["as\x1b a test"],
    )
    assert lines(shown) == [
        "archiving  eyJx",
        "  started   2026-11-22 09:15:00 UTC by alice",
        "  ended     2026-11-22 09:48:10 UTC",
        "  length    0:29:00",
        "  paused    2026-11-22 09:15:00 UTC to 2026-11-22 09:48:10 UTC",
        "  paused    2026-11-22 09:48:10 UTC to now",
        "  archive   2026/11/22/eyJx",
        "  source    deleted 2026-11-22 09:48:10 UTC; 23.9 h left",
        "  chunks    1 of 3 archived",
        "       0  archived  2.0 MiB, 2026-11-22 09:15:00 UTC",
        "       1  retrying  25 % of 4.0 MiB, 2 failed tries, the next 2026-11-22 09:48:10 UTC, the body was cut",
        "       2  waiting",
        "  note      as a test",
    ]


def test_a_recording_of_which_little_is_known_has_few_lines() -> None:
    assert lines(body(state=State.UNKNOWN, service_state="inactive")) == [
        "unknown    eyJx",
        "  started   not known",
        "  service   says inactive",
    ]


def test_the_summary_has_the_chunks_in_progress() -> None:
    assert summary(body(state=State.STARTING)) == "starting"
    assert summary(body(chunks=CHUNKS, hours_left=0.5)) == (
        "archiving: 1 of 3 chunks archived; chunk 1 retrying 25 % of 4.0 MiB; source: 30 min left"
    )
    assert summary(body(state=State.ARCHIVED, chunks=CHUNKS[:1])) == "archived: 1 of 1 chunks archived"


def test_an_incident_is_shown_with_the_hours_left() -> None:
    finding = {"severity": "urgent", "hoursLeft": 3.21, "reason": "a\nb", "id": "chunk.x", "prefix": "2026/11/22/x"}
    assert attention_command.lines(finding) == [
        "urgent    3.2 h left  a b",
        "    id         chunk.x",
        "    archive    2026/11/22/x",
    ]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"chunks": 2, "settled": False}, "retried      event.x: 2 chunks sent to be archived"),
        ({"chunks": 0, "settled": True}, "settled      event.x"),
        ({"refused": "no event has come"}, "not retried  event.x: no event has come"),
    ],
)
def test_the_outcome_of_a_retry_is_one_line(outcome: dict[str, Any], said: str) -> None:
    assert attention_command.outcome_line({"id": "event.x", **outcome}) == said


def test_a_report_is_shown_difference_by_difference() -> None:
    chunks = [{"index": 0, "ok": True, "differences": []}, {"index": 1, "ok": False, "differences": ["gone"]}]
    report = {"prefix": "p", "verified": False, "differences": ["a gap"], "chunks": chunks}
    assert verify_command.lines(report) == ["a gap", "chunk 1: gone", "p: 2 chunks read back, 2 differences"]
    well = {"prefix": "p", "verified": True, "differences": [], "chunks": chunks[:1]}
    assert verify_command.lines(well) == ["p: 1 chunk read back, as the manifest says"]


def test_the_summary_of_reindex_counts_what_was_done() -> None:
    total = {"recordings": 3, "learnt": 2, "findings": 1, "unreadable": ["x"]}
    assert reindex_command.summary(total) == (
        "3 recordings read, 2 of them restored in the ledger; 1 incidents restored; 1 blobs cannot be read"
    )


def test_an_audit_continues_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    audit = Audit.resumed(file, "https://app", "2026-11-01")
    audit.done.append("2026/11/22/x")
    audit.recordings = 1
    audit.keep(file)
    assert Audit.resumed(file, "https://app", "2026-11-01") == audit
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]
    audit.forget(file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "url": "u", "other": 1}'])
def test_another_kind_of_file_is_refused_and_not_changed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(UsageError, match="--resume-file"):
        Audit.resumed(file, "https://app", "2026-11-01")
    assert file.read_text() == text


def test_a_file_of_another_audit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    Audit("https://other", "2026-11-01").keep(file)
    with pytest.raises(UsageError, match="give another file"):
        Audit.resumed(file, "https://app", "2026-11-01")
    assert json.loads(file.read_text())["url"] == "https://other"
