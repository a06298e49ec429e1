from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.events.metadata_file import ChunkMetadata, ChunkParticipant
from shared.events.recording_files import Chunk, RecordingFiles
from shared.storage.manifest import ArchivedChunk, ArchivedMedia, ArchivedMetadata, Manifest, ManifestStatus

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def chunk(index: int, count: int, document: str | None = None) -> Chunk:
    return Chunk(
        document_id=document or f"doc-{index}",
        index=index,
        end_reason="SessionEnded" if index == count - 1 else "ChunkMaximumSizeExceeded",
        content_location="https://x.asm.skype.com/c",
        metadata_location="https://x.asm.skype.com/m",
    )


def files(chunks: list[Chunk], **changes: Any) -> RecordingFiles:
    values: dict[str, Any] = {
        "event_id": "e",
        "event_time": START,
        "recording_id": "rec",
        "call_id": "call",
        "server_call_id": "server",
        "start_time": START,
        "duration_ms": 60_000,
        "session_end_reason": "CallEnded",
        "content_type": "audioVideo",
        "channel_type": "mixed",
        "format": "mp4",
        "storage_type": "ACS",
        "chunks": tuple(chunks),
    }
    return RecordingFiles(**{**values, **changes})


def archived(index: int, count: int) -> ArchivedChunk:
    return ArchivedChunk(
        index=index,
        document_id=f"doc-{index}",
        end_reason=chunk(index, count).end_reason,
        start_time="2026-11-20T09:00:00.000000Z",
        duration_ms=20_000,
        archived_at="2026-11-20T10:00:00.000000Z",
        content=ArchivedMedia(blob=f"{index}.mp4", size=1, md5="m", sha256="s"),
        metadata=ArchivedMetadata(blob=f"{index}.json", size=1, sha256="s"),
    )


METADATA = ChunkMetadata(
    document_id=None,
    call_id="call",
    start_time=None,
    duration_ms=None,
    content_type="audioVideo",
    channel_type="mixed",
    format="mp4",
    participants=(ChunkParticipant("8:acs:b"), ChunkParticipant("8:acs:a")),
)

type Step = tuple[str, tuple[int, ...]]


def steps(count: int) -> list[Step]:
    return [("announce", tuple(range(count))), *[("archive", (index,)) for index in range(count)]]


def apply(manifest: Manifest, step: Step, count: int, *, old_form: bool = False) -> Manifest:
    kind, indexes = step
    if kind == "announce":
        changes: dict[str, Any] = (
            {"recording_id": None, "content_type": None, "channel_type": None, "format": None} if old_form else {}
        )
        return manifest.announced(files([chunk(index, count) for index in indexes], **changes))
    for index in indexes:
        manifest = manifest.archived(archived(index, count), METADATA)
    return manifest


@given(st.integers(1, 5), st.data())
def test_any_order_and_repetition_gives_the_same_manifest(count: int, data: st.DataObject) -> None:
    expected = Manifest()
    for step in steps(count):
        expected = apply(expected, step, count)
    single = [("announce", (index,)) for index in range(count)] + steps(count)
    order = data.draw(st.permutations(single + data.draw(st.lists(st.sampled_from(single), max_size=6))))
    manifest = Manifest()
    for step in order:
        manifest = apply(manifest, step, count, old_form=data.draw(st.booleans()))
    manifest = apply(manifest, steps(count)[0], count)
    assert manifest == expected
    assert manifest.to_json() == expected.to_json()
    assert manifest.status is ManifestStatus.COMPLETE


@given(st.integers(1, 5), st.data())
def test_it_is_complete_only_when_all_is_in(count: int, data: st.DataObject) -> None:
    missing = data.draw(st.sampled_from(steps(count)[1:]))
    manifest = Manifest()
    for step in data.draw(st.permutations([step for step in steps(count) if step != missing])):
        manifest = apply(manifest, step, count)
    assert manifest.status is ManifestStatus.PARTIAL


def test_a_gap_in_the_indexes_is_not_complete() -> None:
    manifest = Manifest()
    for index in (0, 2):
        manifest = manifest.announced(files([chunk(index, 3)])).archived(archived(index, 3), METADATA)
    assert manifest.status is ManifestStatus.PARTIAL


def test_a_last_chunk_that_another_must_follow_is_not_complete() -> None:
    manifest = Manifest().announced(files([chunk(0, 2)])).archived(archived(0, 2), METADATA)
    assert manifest.status is ManifestStatus.PARTIAL


def test_a_late_announcement_opens_the_recording_again() -> None:
    manifest = Manifest().announced(files([chunk(0, 1)])).archived(archived(0, 1), METADATA)
    assert manifest.status is ManifestStatus.COMPLETE
    assert manifest.announced(files([chunk(1, 2)])).status is ManifestStatus.PARTIAL


def test_the_first_document_keeps_its_index() -> None:
    manifest = Manifest().announced(files([chunk(0, 1)]))
    other = chunk(0, 1, "another")
    assert manifest.conflicts(other)
    assert not manifest.holds(other)
    assert manifest.announced(files([other])) == manifest


def test_the_first_archiving_of_a_chunk_stands() -> None:
    manifest = Manifest().announced(files([chunk(0, 1)])).archived(archived(0, 1), METADATA)
    again = archived(0, 1).model_copy(update={"archived_at": "2027-01-01T00:00:00.000000Z"})
    assert manifest.archived(again, METADATA) == manifest


def test_the_json_has_the_documented_fields() -> None:
    manifest = Manifest().announced(files([chunk(0, 1)])).archived(archived(0, 1), METADATA)
    document = json.loads(manifest.to_json())
    assert document == {
        "schemaVersion": 1,
        "recordingId": "rec",
        "callId": "call",
        "serverCallId": "server",
        "status": "complete",
        "startTime": "2026-11-20T09:00:00.000000Z",
        "durationMs": 60000,
        "contentType": "audioVideo",
        "channelType": "mixed",
        "format": "mp4",
        "sessionEndReason": "CallEnded",
        "participants": [{"participantId": "8:acs:a"}, {"participantId": "8:acs:b"}],
        "chunks": [
            {
                "index": 0,
                "documentId": "doc-0",
                "endReason": "SessionEnded",
                "startTime": "2026-11-20T09:00:00.000000Z",
                "durationMs": 20000,
                "archivedAt": "2026-11-20T10:00:00.000000Z",
                "content": {"blob": "0.mp4", "size": 1, "md5": "m", "sha256": "s"},
                "metadata": {"blob": "0.json", "size": 1, "sha256": "s"},
            }
        ],
    }


def test_fields_of_a_later_version_survive_a_change() -> None:
    document = json.loads(Manifest().announced(files([chunk(0, 2)])).to_json())
    document["legalHold"] = {"since": "yesterday"}
    document["chunks"][0]["deletedAt"] = "later"
    manifest = Manifest.model_validate(document).announced(files([chunk(1, 2)])).archived(archived(0, 2), METADATA)
    kept = json.loads(manifest.to_json())
    assert kept["legalHold"] == {"since": "yesterday"}
    assert kept["chunks"][0]["deletedAt"] == "later"


def test_unmixed_channels_are_kept() -> None:
    metadata = ChunkMetadata(
        None, None, None, None, None, None, None, (ChunkParticipant("b", 0), ChunkParticipant("a", 1))
    )
    manifest = Manifest().archived(archived(0, 1), metadata)
    assert json.loads(manifest.to_json())["participants"] == [
        {"participantId": "a", "channel": 1},
        {"participantId": "b", "channel": 0},
    ]
