"""Whatever an event says, it is archived in its own place or kept for the operator, and nothing else is written."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.archiving.intake import Intake
from shared.core import limits
from shared.core.errors import InvalidEvent, InvalidRequest
from shared.core.trusted_origins import TrustedOrigins
from shared.events.chunk_message import ChunkMessage
from shared.events.recording_files import check_event
from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.incidents.incidents import Incidents
from shared.recordings.callbacks import parse_callbacks
from shared.recordings.start_request import parse_start
from shared.storage.archive import Archive
from shared.storage.ledger import Facts

PAYLOADS = Path(__file__).parents[2] / "payloads"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/communicationServices/mine"
NAME = r"[A-Za-z0-9_~-]{1,300}"
RECORDING = rf"\d{{4}}/\d\d/\d\d/(?:{NAME}|call\.{NAME}\.\d{{1,4}}\d{{4}}T\d{{12}})"
ALLOWED = re.compile(
    rf"attention/[a-z-]+\.{NAME}\.json|calls/call\.{NAME}\.\d{{1,4}}\d{{4}}T\d{{12}}\.json"
    rf"|{RECORDING}/(?:manifest\.json|events/{NAME}\.json)"
)


@dataclass
class _Stream:
    content: bytes
    properties: Any = field(default_factory=lambda: type("Properties", (), {"etag": "1"}))

    async def readall(self) -> bytes:
        return self.content


@dataclass
class MemoryContainer:
    """A container that keeps its blobs here, with names checked as the service does."""

    blobs: dict[str, bytes] = field(default_factory=dict)

    async def upload_blob(self, name: str, content: bytes, *, overwrite: bool, **_: Any) -> None:
        if not overwrite and name in self.blobs:
            raise ResourceExistsError
        assert len(name) <= 1024
        json.loads(content.decode())
        self.blobs[name] = content

    async def download_blob(self, name: str) -> _Stream:
        if name not in self.blobs:
            raise ResourceNotFoundError
        return _Stream(self.blobs[name])


class MemoryLedger:
    """A ledger whose rows are held to what a table takes of a text."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def read(self, name: str) -> Facts:
        return Facts(name)

    async def learn(self, *keys: str, **facts: Any) -> None:
        self._check(keys, facts)

    async def claim(self, *keys: str, **facts: Any) -> None:
        self._check(keys, facts)

    async def amend(self, *keys: str, **facts: Any) -> None:
        self._check(keys, facts)

    def _check(self, keys: tuple[str, ...], facts: dict[str, Any]) -> None:
        for text in (*keys, *(value for value in facts.values() if isinstance(value, str))):
            assert len(text.encode("utf-16-le")) <= 64 * 1024
        self.rows.append(facts)


async def taken_in(event: dict[str, Any], resource_id: str | None = None) -> tuple[MemoryContainer, list[str]]:
    container, ledger = MemoryContainer(), MemoryLedger()
    kept: Any = container
    noted: Any = ledger
    catalog = Archive(kept)
    intake = Intake(
        catalog,
        noted,
        Incidents(EvidenceBlobs(catalog.blobs), noted, now=lambda: NOW),
        origins=TrustedOrigins(["https://*.asm.skype.com"]),
        retention=timedelta(hours=24),
        resource_id=resource_id,
        now=lambda: NOW,
    )
    messages = await intake.announce(event)
    wrong = [name for name in container.blobs if not ALLOWED.fullmatch(name)]
    assert not wrong
    assert container.blobs, "the event was dropped silently"
    for message in messages:
        assert len(message.encode()) * 4 / 3 < 64 * 1024
        ChunkMessage.from_json(message)
    return container, messages


def real() -> dict[str, Any]:
    event: dict[str, Any] = json.loads((PAYLOADS / "eventgrid-current.json").read_text())
    return event


TEXT = st.one_of(
    st.text(st.characters(), max_size=30),  # half surrogate pairs too
    st.sampled_from(
        ["../../x", "..", "\x00", "\u202e", "a/b\\c", "%2e%2e", "__proto__", "~" * 300, "\ud800", "é" * 2000]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PATHS = (
    ("id",),
    ("subject",),
    ("eventType",),
    ("eventTime",),
    ("topic",),
    ("data",),
    ("data", "recordingId"),
    ("data", "recordingStartTime"),
    ("data", "recordingDurationMs"),
    ("data", "recordingFormatType"),
    ("data", "recordingStorageInfo", "recordingChunks"),
    ("data", "recordingStorageInfo", "recordingChunks", 0, "documentId"),
    ("data", "recordingStorageInfo", "recordingChunks", 0, "index"),
    ("data", "recordingStorageInfo", "recordingChunks", 0, "contentLocation"),
    ("data", "recordingStorageInfo", "recordingChunks", 0, "endReason"),
    ("data", "anything"),
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.one_of(TEXT, JSON)), min_size=1, max_size=4))
@settings(max_examples=200)
async def test_an_event_with_anything_in_its_fields_stays_in_its_place(
    changes: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    event = real()
    for path, value in changes:
        target: Any = event
        try:
            for part in path[:-1]:
                target = target[part]
            target[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    await taken_in(event)


@given(st.dictionaries(TEXT | st.sampled_from(["id", "data", "eventType", "specversion", "type"]), JSON, max_size=6))
async def test_any_json_object_is_kept_for_the_operator(event: dict[str, Any]) -> None:
    container, messages = await taken_in(event)
    assert messages == []
    assert all(name.startswith("attention/") for name in container.blobs)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("addition", "reason"),
    [
        ("A" * limits.LARGEST_EVENT, "larger than"),
        ([0] * (limits.LARGEST_EVENT // 8), "larger than"),
        (nested(limits.DEEPEST_EVENT), "levels deep"),
        (nested(100_000), "levels deep"),
    ],
    ids=["a text", "a list", "levels", "a great many levels"],
)
async def test_an_event_that_is_too_large_is_kept_as_its_head(addition: Any, reason: str) -> None:
    event = real()
    event["data"]["addition"] = addition
    container, messages = await taken_in(event)
    assert messages == []
    [content] = container.blobs.values()
    kept = json.loads(content)
    assert reason in kept["reason"]
    assert set(kept["event"]) == {"id", "topic", "subject", "eventType", "eventTime"}
    assert len(content) < 4096
    while isinstance(addition, list):  # so that Python need not unwind them at once
        addition = addition.pop() if addition else None


async def test_an_event_with_a_thousand_chunks_is_taken_in_and_one_with_more_is_not() -> None:
    event = real()
    [chunk] = event["data"]["recordingStorageInfo"]["recordingChunks"]
    chunks = [{**chunk, "index": index, "documentId": f"d{index}"} for index in range(limits.MOST_CHUNKS + 1)]
    event["data"]["recordingStorageInfo"]["recordingChunks"] = chunks[:-1]
    assert len((await taken_in(copy.deepcopy(event)))[1]) == limits.MOST_CHUNKS
    event["data"]["recordingStorageInfo"]["recordingChunks"] = chunks
    container, messages = await taken_in(event)
    assert messages == []
    assert all(name.startswith("attention/") for name in container.blobs)


@pytest.mark.parametrize("topic", [RESOURCE, RESOURCE.upper(), RESOURCE.lower() + "/"])
@pytest.mark.parametrize("schema", ["eventgrid", "cloudevents"])
def test_the_configured_resources_topic_is_taken_in_any_case(topic: str, schema: str) -> None:
    check_event({"topic": topic} if schema == "eventgrid" else {"source": topic, "specversion": "1.0"}, RESOURCE)


@pytest.mark.parametrize(
    "event",
    [
        {"topic": RESOURCE + "2"},
        {"topic": "x" + RESOURCE},
        {"topic": None},
        {},
        {"topic": [RESOURCE]},
        {"topic": RESOURCE, "source": RESOURCE + "2", "specversion": "1.0"},
        {"topic": RESOURCE, "specversion": "1.0"},
        {"source": RESOURCE},
    ],
)
def test_any_other_topic_is_refused_by_its_name(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent, match="ACS_RESOURCE_ID"):
        check_event(event, RESOURCE)
    check_event(event, None)


async def test_a_foreign_event_is_kept_whole() -> None:
    container, messages = await taken_in(real(), RESOURCE)
    assert messages == []
    [content] = container.blobs.values()
    assert json.loads(content)["event"] == real()


@pytest.mark.parametrize("prefix", ["../x", "2026/11/20/../../x", "2026/11/20/a/b", "attention", "", "2026/11/20/a\n"])
def test_a_message_that_leads_elsewhere_is_refused(prefix: str) -> None:
    body = {
        "prefix": prefix,
        "chunk": {"documentId": "d", "index": 0, "contentLocation": "https://x/c", "metadataLocation": "https://x/m"},
        "expiresAt": "2026-11-21T00:00:00Z",
    }
    with pytest.raises(InvalidEvent, match="prefix"):
        ChunkMessage.from_json(json.dumps(body))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"serverCallId":'])
def test_a_request_that_is_nested_deep_is_refused(opening: bytes) -> None:
    for levels in (300, 20_000):
        with pytest.raises(InvalidRequest):
            parse_start(opening * levels)
        with pytest.raises(InvalidRequest):
            parse_callbacks(opening * levels, NOW)
