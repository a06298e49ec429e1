"""The operators' commands against the local stack, as processes: what they write, and how they end."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.incidents.incidents import Incident, Incidents
from shared.incidents.kinds import IncidentKind
from shared.storage.archive import Archive
from shared.storage.claims import Claims
from shared.storage.ledger import TABLE
from shared.storage.table import Table
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.completion_fixtures import event_of
from tests.integration.doctor_fixtures import Run, recordings
from tests.integration.recording_fixtures import call
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp
    from azure.storage.blob.aio import ContainerClient

    from local.stack import Stack

__all__ = ["acs_control", "app", "call"]

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


class Command:
    """Runs `recordings` against the stack."""

    def __init__(self, stack: Stack) -> None:
        self.environment = {"RECORDINGS_URL": stack.url, "RECORDINGS_KEY": stack.function_key}

    async def __call__(self, *arguments: str, **environment: str) -> Run:
        return await recordings(*arguments, environment={**self.environment, **environment})


@pytest.fixture
def command(stack: Stack) -> Command:
    return Command(stack)


@pytest.fixture
async def attention(stack: Stack, archive_container: ContainerClient) -> AsyncIterator[Incidents]:
    """The list that the app shows."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        evidence = EvidenceBlobs(Archive(archive_container).blobs)
        yield Incidents(evidence, Claims(Table(tables.get_table_client(TABLE))))


async def is_state(app: aiohttp.ClientSession, recording: str, state: str) -> bool:
    async with app.get(f"recordings/{quote(recording, safe='')}") as answer:
        return bool((await answer.json()).get("state") == state)


async def test_a_recording_is_started_paused_resumed_stopped_and_watched_until_it_is_archived(
    command: Command, app: aiohttp.ClientSession, call: dict[str, Any], tmp_path: Path
) -> None:
    consent = tmp_path / "consent.json"
    consent.write_text('{"basis": "consent", "obtainedFrom": ["8:acs:alice"], "obtainedAt": "2026-11-22T09:00:00Z"}')
    options = ("--content", "audio", "--channel", "mixed", "--format", "wav", "--pause-on-start")
    start = ("start", "--server-call-id", call["serverCallId"], *options, "--consent", f"@{consent}")
    key = ("--idempotency-key", uuid4().hex)
    first, again = await command(*start, *key, "--json"), await command(*start, *key, "--json")
    assert (first.code, first.errors) == (0, "")
    assert first.report == again.report
    recording = first.report["recordingId"]
    assert first.report["state"] == "paused"

    twice = await command("pause", recording)
    assert (twice.code, twice.output) == (1, "")
    assert twice.errors == (
        "recordings: The recording is in another state: a recording that is paused cannot be asked to pause\n"
    )
    assert (await command("resume", recording)).output.split() == ["starting", recording]
    await eventually(lambda: is_state(app, recording, "active"))
    assert (await command("pause", recording)).output.split() == ["paused", recording]
    shown = (await command("show", recording)).output.splitlines()
    assert shown[0].split() == ["paused", recording]
    assert [line.split()[0] for line in shown[1:]] == ["started", "paused", "paused", "service"]
    assert shown[3].endswith(" to now")
    await command("resume", recording)
    await eventually(lambda: is_state(app, recording, "active"))

    watching = asyncio.create_task(command("watch", recording, "--interval", "0.2", "--timeout", "60"))
    assert (await command("stop", recording, "--json")).report["state"] == "stopping"
    watched = await watching
    assert (watched.code, watched.errors) == (0, "")
    states = [line.split()[1].rstrip(":") for line in watched.output.splitlines()]
    assert states[-1] == "archived"
    assert len(states) == len(set(watched.output.splitlines()))
    done = (await command("show", recording)).output
    assert re.search(r"chunks +(\d+) of \1 archived", done)
    assert "archived  " in done


async def test_what_the_app_refuses_is_one_sentence_with_the_field(command: Command) -> None:
    wrong = await command("start", "--server-call-id", "x", "--format", "ogg", "--channel", "both")
    assert (wrong.code, wrong.output, len(wrong.errors.splitlines())) == (2, "", 1)
    assert "recordingFormatType" in wrong.errors or "recordingChannelType" in wrong.errors
    nobody = await command("stop", "nobody")
    assert (nobody.code, len(nobody.errors.splitlines())) == (1, 1)
    assert "8522" in nobody.errors
    without = await command("show", "nobody", RECORDINGS_KEY="wrong")
    assert (without.code, "--key" in without.errors) == (1, True)
    silent = await command("attention", "--url", "http://127.0.0.1:1")
    assert (silent.code, "cannot be reached" in silent.errors) == (1, True)


async def test_every_field_of_the_api_can_be_given(
    command: Command, app: aiohttp.ClientSession, call: dict[str, Any], tmp_path: Path
) -> None:
    fields = tmp_path / "fields.json"
    fields.write_text('{"channelAffinity": [{"channel": 1, "participant": "8:acs:bob"}]}')
    start = ("start", "--server-call-id", call["serverCallId"], "--channel", "unmixed", "--pause-on-start", "--json")
    twice = await command(*start, "--more", '{"pauseOnStart": false}')
    assert (twice.code, "pauseOnStart, which an option gives too" in twice.errors) == (2, True)
    misspelt = await command(*start, "--more", '{"chanelAffinity": []}')
    assert (misspelt.code, "did you mean channelAffinity?" in misspelt.errors) == (2, True)
    started = (await command(*start, "--more", f"@{fields}")).report
    async with app.get(f"recordings/{quote(started['recordingId'], safe='')}") as answer:
        options = (await answer.json())["options"]
    await command("stop", started["recordingId"])
    assert options["channelAffinity"] == [{"channel": 1, "participant": "8:acs:bob"}]


async def test_watching_what_cannot_be_archived_in_time_ends_with_1(
    command: Command, acs_control: aiohttp.ClientSession, app: aiohttp.ClientSession
) -> None:
    truth = await finished_recording(acs_control, announce=False, contentType="audio")
    document = truth["chunks"][0]["documentId"]
    order = {"kind": "503", "target": "content", "documentId": document, "times": None}
    async with acs_control.post("faults", json=order) as answer:
        fault = (await answer.json())["id"]
    async with AsyncExitStack() as exits:
        exits.push_async_callback(_cleared, acs_control, fault)
        async with acs_control.post(f"recordings/{truth['recordingId']}/announce", json={}):
            pass

        await eventually(lambda: is_state(app, truth["recordingId"], "archiving"))
        waiting = await command("watch", truth["recordingId"], "--interval", "0.2", "--timeout", "2", "--json")
    assert waiting.code == 1
    assert "after 2 s" in waiting.errors
    assert json.loads(waiting.output.splitlines()[-1])["state"] == "archiving"


async def _cleared(acs_control: aiohttp.ClientSession, fault: str) -> None:
    async with acs_control.delete(f"faults/{fault}"):
        pass


async def test_verification_names_what_differs_and_can_be_gone_on_with(
    command: Command,
    acs_control: aiohttp.ClientSession,
    app: aiohttp.ClientSession,
    archive_container: ContainerClient,
    tmp_path: Path,
) -> None:
    truth = await finished_recording(acs_control, contentType="audio", format="wav", chunks=2, durationSeconds=4)
    await eventually(lambda: is_state(app, truth["recordingId"], "archived"))
    well = await command("verify", truth["recordingId"])
    assert (well.code, well.errors) == (0, "")
    assert well.output.rstrip().endswith("2 chunks read back, as the manifest says")
    report = (await command("verify", truth["recordingId"], "--json")).report
    prefix = report["prefix"]

    blob = archive_container.get_blob_client(f"{prefix}/0001.metadata.json")
    content = await (await blob.download_blob()).readall()
    await blob.upload_blob(content + b" ", overwrite=True)
    progress = tmp_path / "audit.json"
    try:
        damaged = await command("verify", truth["recordingId"])
        every = await command("verify", "--all", "--since", TODAY, "--json")
        # An audit that was cut off after its first recordings, of which this one was one.
        entry = {"recordingId": truth["recordingId"], "prefix": prefix, "differences": ["found before"]}
        kept = {
            "version": 1,
            "url": command.environment["RECORDINGS_URL"],
            "since": TODAY,
            "cursor": None,
            "done": [prefix],
        }
        progress.write_text(json.dumps({**kept, "recordings": 1, "differing": [entry]}))
        resumed = await command("verify", "--all", "--since", TODAY, "--resume-file", str(progress), "--json")
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**kept, "since": "2026-01-01", "recordings": 1, "differing": []}))
        refused = await command("verify", "--all", "--since", TODAY, "--resume-file", str(other))
    finally:
        await blob.upload_blob(content, overwrite=True)
    assert damaged.code == 1
    assert "chunk 1: 0001.metadata.json has" in damaged.output
    found = {each["prefix"]: each["differences"] for each in every.report["differing"]}
    assert every.code == 1
    assert any("0001.metadata.json has" in difference for difference in found[prefix])
    assert resumed.code == 1
    assert resumed.report["recordings"] == every.report["recordings"]
    assert next(each for each in resumed.report["differing"] if each["prefix"] == prefix) == entry
    assert not progress.exists()
    assert (refused.code, "give another file" in refused.errors) == (2, True)


async def test_what_needs_a_person_is_listed_and_settled(command: Command, attention: Incidents) -> None:
    finding = Incident(kind=IncidentKind.GAP, identifier=f"test/{uuid4().hex}", reason="as a test\nwants")
    await attention.report(finding)
    listed = await command("attention")
    assert listed.code == 0
    lines = listed.output.splitlines()
    at = next(index for index, line in enumerate(lines) if line.split()[-1] == finding.key)
    assert lines[at - 1].split() == ["warning", "unknown", "left", "as", "a", "test", "wants"]
    assert finding.key in [each["id"] for each in (await command("attention", "--json")).report["findings"]]
    settled, again = (
        await command("attention", "settle", finding.key),
        await command("attention", "settle", finding.key),
    )
    assert (settled.code, again.code) == (0, 1)
    assert finding.key in again.errors
    assert finding.key not in (await command("attention")).output


async def test_what_was_refused_is_retried_when_an_operator_asks(
    command: Command,
    attention: Incidents,
    acs_control: aiohttp.ClientSession,
    app: aiohttp.ClientSession,
    stack: Stack,
) -> None:
    truth = await finished_recording(acs_control, announce=False, contentType="audio")
    event = {**event_of(truth), "topic": stack.acs.options.azure_id}
    finding = Incident(
        kind=IncidentKind.EVENT, identifier=event["id"], reason="as a test wants", evidence={"event": event}
    )
    await attention.report(finding)
    silent = Incident(kind=IncidentKind.SILENCE, identifier=f"test/{uuid4().hex}", reason="as a test wants")
    await attention.report(silent)
    retried = await command("attention", "retry", finding.key)
    assert (retried.code, retried.errors) == (0, "")
    assert retried.output.split() == ["retried", f"{finding.key}:", "1", "chunk", "sent", "to", "be", "archived"]
    await eventually(lambda: is_state(app, truth["recordingId"], "archived"))
    refused, nobody = await command("attention", "retry", silent.key), await command("attention", "retry", "nobody")
    assert (refused.code, nobody.code) == (1, 1)
    assert "no event has come" in refused.errors
    assert "GET /api/attention lists" in nobody.errors
    everything = await command("attention", "retry", "--all")
    assert everything.code == 0
    assert f"not retried  {silent.key}: There is nothing to retry: no event has come" in everything.output
    await attention.settle(silent.key)
    await attention.settle(finding.key)
