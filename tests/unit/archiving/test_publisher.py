from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from azure.core.exceptions import HttpResponseError

from shared.archiving.publisher import Publisher
from shared.core.errors import TopicUnavailable
from shared.incidents.incidents import Incident, _row
from shared.incidents.kinds import IncidentKind
from shared.storage.manifest import ArchivedChunk, ArchivedMedia, Manifest

if TYPE_CHECKING:
    from azure.core.messaging import CloudEvent
    from azure.eventgrid.aio import EventGridPublisherClient

SOURCE = "https://archive.blob.core.windows.net/recordings"
PREFIX = "2026/11/22/r"
DOCUMENT = Path(__file__).parents[3] / "docs" / "events.md"


class Topic:
    """Keeps what is sent to it, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[CloudEvent[Any]] = []
        self._error = error

    async def send(self, event: CloudEvent[Any]) -> None:
        if self._error is not None:
            raise self._error
        self.events.append(event)

    def announcer(self, source: str = SOURCE) -> Publisher:
        return Publisher(cast("EventGridPublisherClient", self), source)


def manifest(*digests: str, **facts: Any) -> Manifest:
    chunks = tuple(
        ArchivedChunk(
            index=index,
            document_id=f"d{index}",
            archived_at=f"2026-11-22T00:00:0{index}.000000Z",
            content=ArchivedMedia(blob=f"{PREFIX}/{index:04}.mp4", size=10, md5="0", sha256=digest),
        )
        for index, digest in enumerate(digests)
    )
    return Manifest(recording_id="r", chunks=chunks, **facts)


async def test_the_same_archive_is_the_same_event_and_another_is_another() -> None:
    topic = Topic()
    for archive in (manifest("a", "b"), manifest("a", "b", call_id="learnt since"), manifest("a", "c"), manifest("a")):
        await topic.announcer().archived(PREFIX, archive)
    await topic.announcer("https://other.blob.core.windows.net/recordings").archived(PREFIX, manifest("a", "b"))
    first, again, *others = [event.id for event in topic.events]
    assert first == again
    assert len({first, *others}) == 4
    assert topic.events[0].time == topic.events[1].time


async def test_participants_are_in_no_event() -> None:
    topic = Topic()
    archive = Manifest.model_validate(
        {**manifest("a").model_dump(by_alias=True), "participants": [{"participantId": "8:acs:alice"}]}
    )
    await topic.announcer().archived(PREFIX, archive)
    assert "alice" not in str(topic.events[0].data)


async def test_an_incident_is_another_event_only_when_its_severity_grows() -> None:
    topic = Topic()
    for severity in ("warning", "warning", "urgent"):
        await topic.announcer().attention({"id": "chunk.x", "kind": "chunk", "severity": severity, "reason": "late"})
    first, again, severe = [event.id for event in topic.events]
    assert first == again != severe
    assert topic.events[0].subject == "attention/chunk.x"


async def test_a_topic_that_fails_makes_it_come_again_and_keeps_its_words_to_itself() -> None:
    error = HttpResponseError("refused: aeg-sas-key=secret")
    error.status_code = 401
    with pytest.raises(TopicUnavailable, match="401") as raised:
        await Topic(error).announcer().archived(PREFIX, manifest("a"))
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


async def test_what_is_published_has_the_documented_fields() -> None:
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]
    by_type = {example["type"]: example for example in examples}
    topic = Topic()
    await topic.announcer().archived(PREFIX, manifest("a"))
    (event,) = topic.events
    archived = by_type["Recording.Archived"]
    assert set(archived["data"]) == set(event.data or ())
    finding = Incident(
        kind=IncidentKind.CHUNK, identifier="x", reason="r", error="E", recording_id="r", document_id="d", prefix="p",
        expires_at=datetime(2026, 11, 22, tzinfo=UTC),
    )  # fmt: skip
    table = DOCUMENT.read_text().partition("## Recording.Attention")[2]
    for name in [*_row(finding), "severity"]:
        assert f"`{name}`" in table, name
    assert set(by_type["Recording.Attention"]["data"]) <= {*_row(finding), "severity"}


def test_without_a_topic_not_even_the_client_is_imported() -> None:
    program = """
import os, sys
from shared.app import Services
services = Services.from_environment({
    "ACS_CONNECTION_STRING": "endpoint=https://x.communication.azure.com/;accesskey=c2VjcmV0",
    "ARCHIVE_STORAGE": "UseDevelopmentStorage=true",
    "ARCHIVE_TOPIC_ENDPOINT": "",
})
assert services.publisher is None
print(sorted(name for name in sys.modules if name.startswith(("azure.eventgrid", "shared.archiving.publisher"))))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"
