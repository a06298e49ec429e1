from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.core.errors import InvalidEvent
from shared.events.chunk_message import ChunkMessage
from shared.events.recording_files import Chunk

MESSAGE = ChunkMessage(
    prefix="2026/11/20/rec",
    recording_id="rec",
    chunk=Chunk(document_id="d", index=0, content_location="https://x/c", metadata_location="https://x/m"),
    format="mp4",
    expires_at=datetime(2026, 11, 21, tzinfo=UTC),
)


def test_a_message_comes_back_as_it_was_sent() -> None:
    assert ChunkMessage.from_json(MESSAGE.to_json()) == MESSAGE


def test_a_message_of_a_later_version_is_still_read() -> None:
    body = MESSAGE.to_json().replace('{"schemaVersion":1', '{"new":true,"schemaVersion":1')
    assert ChunkMessage.from_json(body) == MESSAGE


@pytest.mark.parametrize("body", ["", "{}", "[]", "nonsense", '{"prefix": 1}'])
def test_an_invalid_message_is_refused_with_the_reason(body: str) -> None:
    with pytest.raises(InvalidEvent, match="not a chunk to archive"):
        ChunkMessage.from_json(body)


def test_the_longest_locations_fit_into_a_queue_message() -> None:
    long = Chunk(
        document_id="d" * 1024,
        index=0,
        content_location="https://x/" + "c" * 4086,
        metadata_location="https://x/" + "m" * 4086,
        delete_location="https://x/" + "d" * 4086,
    )
    body = MESSAGE.model_copy(update={"chunk": long, "recording_id": "r" * 2048, "prefix": "p" * 300}).to_json()
    assert len(body) * 4 / 3 < 64 * 1024
