from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import SourceNotReady
from shared.events.metadata_file import ChunkParticipant, parse_metadata

PAYLOADS = Path(__file__).parents[2] / "payloads"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_real_file_is_read() -> None:
    metadata = parse_metadata((PAYLOADS / "metadata-mixed-mp4.json").read_bytes())
    assert metadata.start_time == "2026-11-20T09:00:03.949701Z"
    assert metadata.duration_ms == 76440
    assert (metadata.content_type, metadata.channel_type, metadata.format) == ("audioVideo", "mixed", "mp4")
    assert metadata.participants == (ChunkParticipant("8:acs:1ba99ba1_alice"), ChunkParticipant("8:acs:1ba99ba1_bob"))


def test_swapped_types_are_corrected() -> None:
    metadata = parse_metadata((PAYLOADS / "metadata-types-swapped.json").read_bytes())
    assert (metadata.content_type, metadata.channel_type) == ("audioVideo", "mixed")


def test_unmixed_participants_have_their_channel() -> None:
    metadata = parse_metadata((PAYLOADS / "metadata-unmixed-wav.json").read_bytes())
    assert [participant.channel for participant in metadata.participants] == [0, 1]


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": '])
def test_content_that_is_no_json_object_is_not_ready(content: bytes) -> None:
    with pytest.raises(SourceNotReady):
        parse_metadata(content)


@given(st.sampled_from(sorted(json.loads((PAYLOADS / "metadata-unmixed-wav.json").read_bytes()))), json_values)
def test_a_field_of_another_form_is_left_out_not_refused(field: str, value: Any) -> None:
    document = json.loads((PAYLOADS / "metadata-unmixed-wav.json").read_bytes())
    document[field] = value
    untouched = parse_metadata((PAYLOADS / "metadata-unmixed-wav.json").read_bytes())
    read = parse_metadata(json.dumps(document).encode())
    if field not in {"recordingInfo", "chunkDocumentId"}:
        assert (read.format, read.document_id) == (untouched.format, untouched.document_id)
