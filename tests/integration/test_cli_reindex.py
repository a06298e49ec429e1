"""The ledger is lost and made again from the blobs: all that they know is as before, and nothing else is made up."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

from shared.catalogue.listing import Listing
from shared.core.blob_names import safe_name
from shared.core.errors import InvalidRequest
from shared.core.times import iso_time
from shared.incidents.incidents import Incident, Incidents
from shared.incidents.kinds import IncidentKind
from shared.incidents.restoration import Restoration
from shared.recovery.reindex import Reindex, ReindexReport
from shared.storage.ledger import TABLE, Ledger, Operation
from shared.storage.places import RecordingPlaces
from shared.storage.table import Table
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.archive_parts import Parts, archive_parts
from tests.integration.completion_fixtures import MEDIA
from tests.integration.doctor_fixtures import recordings
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from local.azurite import Azurite
    from local.stack import Stack

__all__ = ["acs_control", "app"]

DAY = timedelta(hours=24)
KNOWN_TO_BLOBS = ("recordingId", "prefix", "expiresAt", "consent")
CONSENT = '{"basis":"consent","obtainedFrom":["8:acs:alice"],"obtainedAt":"2026-11-22T09:00:00Z","reference":null}'


@dataclass(slots=True)
class Archive:
    """The app's parts, and the tables beside that of their ledger."""

    parts: Parts
    tables: TableServiceClient
    others: frozenset[str]

    def reindexing(self, ledger: Ledger, attention: Incidents) -> Reindex:
        parts = self.parts
        places = RecordingPlaces(parts.container, ledger)
        return Reindex(
            parts.archive,
            ledger,
            Restoration(parts.archive, ledger, attention),
            listing=Listing(parts.archive, places),
            retention=DAY,
        )

    async def lost(self) -> tuple[Ledger, Incidents]:
        """Drop the table, and return the empty ledger and list that the app then has."""
        [name] = [table.name async for table in self.tables.list_tables() if table.name not in self.others]
        await self.tables.delete_table(name)
        return self.parts.ledger, self.parts.incidents


@pytest.fixture
async def archive(azurite: Azurite) -> AsyncIterator[Archive]:
    async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        others = frozenset([table.name async for table in tables.list_tables()])
        async with archive_parts(azurite, MEDIA) as parts:
            yield Archive(parts, tables, others)


async def rebuilt(archive: Archive, ledger: Ledger, attention: Incidents, **asked: str) -> list[ReindexReport]:
    reindexing, reports, cursor = archive.reindexing(ledger, attention), list[ReindexReport](), None
    while not reports or cursor:
        report = await reindexing.step(cursor=cursor, **asked)
        reports.append(report)
        cursor = report.cursor
    return reports


async def rows(ledger: Ledger, truths: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the ledger has of the recordings, of what blobs can know."""
    found = {}
    for truth in truths:
        known = (await ledger.read(safe_name(truth["recordingId"]))).known
        found[truth["recordingId"]] = {name: known[name] for name in KNOWN_TO_BLOBS if name in known}
    return found


async def test_a_ledger_that_was_dropped_and_rebuilt_equals_the_old_one_in_all_that_blobs_can_know(
    archive: Archive,
) -> None:
    parts = archive.parts
    whole, partial = await parts.recording(chunks=2, durationSeconds=4), await parts.recording(chunks=2)
    lost = await parts.recording()
    name = safe_name(whole["recordingId"])
    await parts.ledger.learn(name, recordingId=whole["recordingId"], startedBy="alice", consent=CONSENT)
    await parts.ledger.record(name, Operation.START, by="alice")
    for event in (parts.event(whole, 0), parts.event(whole, 1), parts.event(partial, 0)):
        await parts.deliver(event)
        await parts.live(timedelta(minutes=1))
    parts.acs.order_fault(kind="redirect", target="content", times=None, location="http://203.0.113.1/x")
    await parts.deliver(parts.event(lost))
    foreign = parts.event(await parts.recording())
    foreign["data"]["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"] = "https://example.com/x"
    await parts.deliver(foreign)
    await parts.live(timedelta(minutes=1))
    truths = [whole, partial, lost]
    rows_before, findings_before = await rows(parts.ledger, truths), await parts.findings()
    chunks_before = (await parts.ledger.read(safe_name(lost["recordingId"]))).chunks
    assert {finding["kind"] for finding in findings_before} == {"chunk", "event"}
    assert set(rows_before[whole["recordingId"]]) == set(KNOWN_TO_BLOBS)

    ledger, attention = await archive.lost()
    assert not await ledger.read(name)
    reports = await rebuilt(archive, ledger, attention, limit="2")

    assert await rows(ledger, truths) == rows_before
    findings = await attention.by_severity()
    as_before = [{**finding, "hoursLeft": None} for finding in findings_before]
    assert [{**finding, "hoursLeft": None} for finding in findings] == as_before
    chunks = (await ledger.read(safe_name(lost["recordingId"]))).chunks
    assert chunks[0].given_up_at is not None
    assert [_of_blobs(chunk) for chunk in chunks.values()] == [_of_blobs(chunk) for chunk in chunks_before.values()]
    # What blobs cannot know is not made up.
    facts = await ledger.read(name)
    assert (facts.transitions, facts.text("startedBy")) == ((), None)
    assert sum(report.recordings for report in reports) == sum(report.learnt for report in reports) == 3
    assert (sum(report.findings for report in reports), reports[-1].cursor) == (2, None)


def _of_blobs(chunk: Any) -> tuple[int, str | None]:
    return chunk.index, chunk.last_error


async def test_reindexing_what_is_whole_changes_nothing_and_moves_no_deadline_forward(archive: Archive) -> None:
    parts = archive.parts
    truth = await parts.recording()
    await parts.deliver(parts.event(truth))
    name = safe_name(truth["recordingId"])
    later = iso_time(parts.now() + timedelta(hours=30))
    await parts.ledger.learn(name, startedBy="alice", expiresAt=later)
    before = await parts.ledger.read(name)
    [report, _] = await rebuilt(archive, parts.ledger, parts.incidents)
    assert (report.recordings, report.learnt) == (1, 0)
    assert dataclasses.asdict(await parts.ledger.read(name)) == dataclasses.asdict(before)


async def test_an_incident_that_the_archive_shows_to_be_resolved_does_not_come_back(archive: Archive) -> None:
    parts = archive.parts
    truth = await parts.recording()
    refused = parts.event(truth)
    refused["data"]["recordingStorageInfo"]["recordingChunks"][0]["metadataLocation"] = "https://example.com/x"
    [message] = await parts.intake.announce(parts.event(truth))
    await parts.deliver(refused)
    prefix, document = json.loads(message)["prefix"], truth["chunks"][0]["documentId"]
    about = {"recording_id": truth["recordingId"], "document_id": document, "prefix": prefix}
    for kind, evidence in (
        (IncidentKind.CHUNK, json.loads(message)),
        (IncidentKind.MESSAGE, {"message": message}),
        (IncidentKind.CONSENT, {}),
    ):
        await parts.incidents.report(
            Incident(kind=kind, identifier=document, reason="as a test wants", evidence=evidence, **about)
        )
    await parts.incidents.evidence.raise_("nonsense", {"reason": "of no kind"})
    assert len(await parts.findings()) == 4
    ledger, attention = await archive.lost()
    reports = await rebuilt(archive, ledger, attention)
    assert {row["kind"] for row in await attention.by_severity()} == {"chunk", "message", "consent", "event"}
    assert [name for report in reports for name in report.unreadable] == ["attention/nonsense.json"]

    # Now it is archived; nothing shows when a missing consent came, so that one stays.
    await parts.chunk_archiver.take(message)
    ledger, attention = await archive.lost()
    await rebuilt(archive, ledger, attention)
    assert [row["kind"] for row in await attention.by_severity()] == ["consent"]


async def test_since_leaves_out_what_is_older(archive: Archive) -> None:
    parts = archive.parts
    truth = await parts.recording()
    await parts.deliver(parts.event(truth))
    await parts.incidents.report(
        Incident(kind=IncidentKind.EVENT, identifier="refused", reason="as a test wants", evidence={"event": {}})
    )
    started = datetime.fromisoformat(truth["startTime"])
    for since, count in ((started - DAY, 1), (started + 2 * DAY, 0)):
        ledger, attention = await archive.lost()
        reports = await rebuilt(archive, ledger, attention, since=f"{since:%Y-%m-%d}")
        assert sum(report.recordings for report in reports) == count
        assert sum(report.findings for report in reports) == count


@pytest.mark.parametrize(
    "asked", [{"cursor": "x"}, {"cursor": "r.x"}, {"cursor": "a.!"}, {"cursor": "a.", "since": "x"}, {"limit": "0"}]
)
async def test_what_was_not_given_out_is_refused(archive: Archive, asked: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await archive.reindexing(archive.parts.ledger, archive.parts.incidents).step(**asked)


async def test_the_command_makes_the_ledger_of_a_deployment_again(
    stack: Stack, acs_control: aiohttp.ClientSession
) -> None:
    truth = await finished_recording(acs_control, contentType="audio", format="wav")
    name = safe_name(truth["recordingId"])
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        table = tables.get_table_client(TABLE)
        ledger = Ledger(Table(table))

        async def announced() -> str | None:
            return (await ledger.read(name)).text("expiresAt")

        await eventually(announced)
        before = (await ledger.read(name)).known
        await table.delete_entity(name, "recording")
        with pytest.raises(ResourceNotFoundError):
            await table.get_entity(name, "recording")
        environment = {"RECORDINGS_URL": stack.url, "RECORDINGS_KEY": stack.function_key}
        since = truth["startTime"][:10]
        run = await recordings("reindex", "--since", since, "--json", environment=environment)
        after = (await ledger.read(name)).known
    assert run.code == 0, run.errors
    assert run.report["learnt"] >= 1
    assert {key: after.get(key) for key in ("recordingId", "prefix", "expiresAt")} == {
        key: before.get(key) for key in ("recordingId", "prefix", "expiresAt")
    }
