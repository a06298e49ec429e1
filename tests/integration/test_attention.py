"""The operator's list: it is complete, settled incidents stay off it, and severity grows with time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.storage.blob.aio import BlobClient

from shared.core.errors import TopicUnavailable
from shared.incidents.incidents import Incident, Incidents
from shared.incidents.kinds import IncidentKind
from tests.integration.archive_parts import Parts, archive_parts
from tests.integration.completion_fixtures import MEDIA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, MEDIA) as made:
        yield made


async def away(*_: object, **__: object) -> None:
    raise ServiceRequestError("away")


def away_from(monkeypatch: pytest.MonkeyPatch, parts: Parts) -> None:
    for name in ("create_entity", "upsert_entity", "update_entity", "get_entity", "delete_entity"):
        monkeypatch.setattr(parts.table, name, away)


async def lose_the_ledger(parts: Parts) -> None:
    """Leave nothing in the table: a table of that name could not be made again at once."""
    table = parts.table
    async for row in table.list_entities():
        await table.delete_entity(row)


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The severities in which findings were raised."""
    return [vars(record)["severity"] for record in caplog.records if vars(record).get("event") == "attention.raised"]


async def refused(parts: Parts) -> dict[str, Any]:
    """An event that was refused."""
    event = parts.lost(parts.event(await parts.recording()))
    await parts.deliver(event)
    return event


async def test_a_finding_raised_while_the_ledger_is_away_reaches_the_list(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        away_from(patch, parts)
        await refused(parts)
    assert await parts.findings() == []
    await parts.live(11 * MINUTE)
    [finding] = await parts.findings()
    assert finding["kind"] == "event"
    assert "recordingStorageInfo" in finding["reason"]


async def test_what_an_operator_settled_does_not_come_back_with_a_sweep_nor_when_the_ledger_is_lost(
    parts: Parts,
) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(kind="redirect", target="content", location="http://localhost:9/x", times=None)
    await refused(parts)
    await parts.deliver(parts.event(truth))
    await parts.live(20 * MINUTE)
    listed = await parts.findings()
    assert {finding["kind"] for finding in listed} == {"event", "chunk", "waiting"}
    for finding in listed:
        assert await parts.incidents.settle(finding["id"])
    assert not await parts.incidents.settle(listed[0]["id"])
    await parts.live(HOUR)
    assert await parts.findings() == []
    await lose_the_ledger(parts)
    await parts.live(HOUR)
    assert await parts.findings() == []


async def test_a_settled_incident_that_happens_again_is_on_the_list_again_and_reported(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    event = await refused(parts)
    [finding] = await parts.findings()
    await parts.incidents.settle(finding["id"])
    caplog.clear()
    await parts.deliver(event)
    assert [found["id"] for found in await parts.findings()] == [finding["id"]]
    assert reported(caplog) == ["notice"]


async def test_what_happens_once_more_while_the_ledger_is_away_is_on_the_list_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await refused(parts)
    [finding] = await parts.findings()
    await parts.incidents.settle(finding["id"])
    with monkeypatch.context() as patch:
        away_from(patch, parts)
        await parts.deliver(event)
    await parts.live(11 * MINUTE)
    assert [found["id"] for found in await parts.findings()] == [finding["id"]]


async def test_a_lasting_finding_that_was_settled_comes_back_when_its_reason_is_another(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(kind="503", target="content", times=None)
    await parts.deliver(parts.event(truth))
    await parts.live(HOUR)
    [finding] = await parts.findings()
    await parts.incidents.settle(finding["id"])
    await parts.live(20 * HOUR)
    assert await parts.findings() == []
    await parts.live(4 * HOUR)
    assert {(found["kind"], found["error"]) for found in await parts.findings()} == {
        ("waiting", "Expired"),
        ("chunk", "Expired"),
    }


async def test_an_immutable_container_that_takes_no_mark_keeps_what_is_settled_off_the_list_all_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def immutable(*_: object, **__: object) -> None:
        error = HttpResponseError("immutable")
        error.status_code = 409
        raise error

    monkeypatch.setattr(BlobClient, "set_blob_metadata", immutable)
    await refused(parts)
    [finding] = await parts.findings()
    assert await parts.incidents.settle(finding["id"])
    assert any(record.getMessage().startswith("attention.not_marked") for record in caplog.records)
    await parts.live(30 * MINUTE)
    assert await parts.findings() == []


async def test_the_severity_of_an_incident_grows_and_many_sweeps_report_each_once(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    await refused(parts)
    for hours in (1, 12, 8, 3):
        parts.acs.clock.advance(hours * 3600)
        await asyncio.gather(*(parts.recovery.sweep() for _ in range(4)))
    assert reported(caplog) == ["notice", "warning", "urgent", "critical"]
    [finding] = await parts.findings()
    assert finding["severity"] == "critical"


async def test_a_lost_answer_to_the_claim_does_not_silence_a_finding(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = parts.table.create_entity

    async def carried_out_twice(*arguments: Any, **options: Any) -> object:
        await real(*arguments, **options)
        return await real(*arguments, **options)  # the SDK's retry after a lost answer

    await parts.ledger.learn("recording", made="the table")
    with monkeypatch.context() as patch:
        patch.setattr(parts.table, "create_entity", carried_out_twice)
        await refused(parts)
    assert reported(caplog) == ["notice"]
    assert len(await parts.findings()) == 1


async def test_what_a_topic_did_not_take_is_announced_by_a_sweep_and_logged_once(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[dict[str, Any]] = []
    is_open = False

    async def topic(finding: dict[str, Any]) -> None:
        if not is_open:
            raise TopicUnavailable("closed")
        heard.append(finding)

    attention = Incidents(parts.incidents.evidence, parts.claims, announce=topic, now=parts.now)
    await attention.report(
        Incident(kind=IncidentKind.EVENT, identifier="x", reason="as a test wants", evidence={"event": {}})
    )
    assert heard == []
    is_open = True
    for row in (await attention.rows()).values():
        await attention.report_growth(row)
    for row in (await attention.rows()).values():
        await attention.report_growth(row)
    assert [finding["id"] for finding in heard] == ["event.x"]
    assert reported(caplog) == ["warning"]


async def test_a_dead_letter_that_was_fixed_by_hand_leaves_the_list(parts: Parts) -> None:
    await parts.dead_letters.upload_blob("X/2026/11/22/8/0b.json", "nonsense")
    await parts.live(6 * MINUTE)
    [finding] = await parts.findings()
    assert "X/2026/11/22/8/0b.json" in finding["reason"]
    await parts.dead_letters.upload_blob("X/2026/11/22/8/0b.json", "[]", overwrite=True)
    await parts.live(6 * MINUTE)
    assert await parts.findings() == []


async def test_what_is_found_after_a_chunk_was_archived_stays_until_it_ceases_to_matter(parts: Parts) -> None:
    truth = await parts.recording()
    about = {
        "recording_id": truth["recordingId"],
        "document_id": truth["chunks"][0]["documentId"],
        "expires_at": parts.now() + timedelta(hours=2),
    }

    async def raised(identifier: str, error: str) -> None:
        finding = Incident(
            kind=IncidentKind.CHUNK, identifier=identifier, reason="-", error=error, evidence={}, **about
        )
        await parts.incidents.report(finding)

    await parts.deliver(parts.event(truth))
    about["prefix"] = await parts.prefix(truth)
    await raised("before", "ArchiveConflict")
    await parts.live(MINUTE)
    await raised("page", "UntrustedOrigin")
    await raised("damage", "ArchiveConflict")
    await parts.live(6 * MINUTE)
    assert {finding["id"] for finding in await parts.findings()} == {"chunk.page", "chunk.damage"}
    await parts.live(timedelta(hours=2))
    assert {finding["id"] for finding in await parts.findings()} == {"chunk.damage"}
