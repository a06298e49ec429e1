from __future__ import annotations

import json

from shared.events.recording_files import Chunk
from shared.storage.manifest import ArchivedChunk, Manifest

AT = "2026-11-22T00:00:00.000000Z"
CHUNK = Chunk(document_id="d", index=0, content_location="https://x/c", metadata_location="https://x/m")
ARCHIVED = Manifest(chunks=(ArchivedChunk(index=0, document_id="d", archived_at=AT, end_reason="SessionEnded"),))


def test_a_deletion_is_noted_once_and_changes_nothing_else() -> None:
    deleted = ARCHIVED.source_deleted(CHUNK, "first")
    assert deleted.chunks[0].source_deleted_at == "first"
    assert deleted.source_deleted(CHUNK, "second") == deleted
    assert deleted.chunks[0].model_copy(update={"source_deleted_at": None}) == ARCHIVED.chunks[0]


def test_only_an_archived_chunk_of_that_document_has_its_source_deleted() -> None:
    waiting = Manifest(chunks=(ArchivedChunk(index=0, document_id="d"),))
    other = CHUNK.model_copy(update={"document_id": "another"})
    assert waiting.source_deleted(CHUNK, AT) == waiting
    assert ARCHIVED.source_deleted(other, AT) == ARCHIVED
    assert Manifest().source_deleted(CHUNK, AT) == Manifest()


def test_a_manifest_says_nothing_of_deletions_where_there_were_none() -> None:
    chunk = json.loads(ARCHIVED.to_json())["chunks"][0]
    assert "sourceDeletedAt" not in chunk
    assert chunk["content"] is None, "what is waited for stays null"
    deleted = ARCHIVED.source_deleted(CHUNK, AT)
    assert json.loads(deleted.to_json())["chunks"][0]["sourceDeletedAt"] == AT
    assert Manifest.model_validate_json(deleted.to_json()) == deleted
