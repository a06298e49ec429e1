"""Failures are found and fixed automatically; what cannot be fixed is reported in time."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from local.eventgrid.schemas import cloud_event_from
from shared.core.blob_names import safe_name
from shared.storage.ledger import Operation
from tests.integration.archive_parts import Parts, archive_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite

MEDIA = Path(__file__).resolve().parents[2] / ".local" / "media"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, MEDIA) as made:
        yield made


def is_whole(manifest: dict[str, Any] | None, truth: dict[str, Any]) -> bool:
    assert manifest is not None
    digests = [chunk["content"]["sha256"] for chunk in manifest["chunks"]]
    return manifest["status"] == "complete" and digests == [chunk["sha256"] for chunk in truth["chunks"]]


async def test_a_source_that_fails_for_six_hours_is_archived_automatically(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(kind="503", target="any", times=None, for_seconds=6 * 3600)
    await parts.deliver(parts.event(truth))
    await parts.live(5 * HOUR)
    manifest = await parts.manifest(truth)
    assert manifest is not None
    assert manifest["status"] == "partial"
    [finding] = await parts.findings()
    assert finding["kind"] == "waiting"
    assert "503" in finding["reason"]
    await parts.live(2 * HOUR)
    assert is_whole(await parts.manifest(truth), truth)
    assert await parts.findings() == []


async def test_the_severity_of_a_source_that_never_recovers_grows_until_it_has_expired(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(kind="empty", target="content", times=None)
    await parts.deliver(parts.event(truth))
    severities = []
    for time in (2 * HOUR, 11 * HOUR, 8 * HOUR, 2.5 * HOUR):
        await parts.live(time)
        [finding] = [finding for finding in await parts.findings() if finding["kind"] == "waiting"]
        severities.append(finding["severity"])
    assert severities == ["notice", "warning", "urgent", "critical"]
    await parts.live(2 * HOUR)
    findings = {finding["kind"]: finding for finding in await parts.findings()}
    assert findings["chunk"]["error"] == findings["waiting"]["error"] == "Expired"
    assert findings["chunk"]["documentId"] == truth["chunks"][0]["documentId"]
    assert parts.queue.messages == []


async def test_a_chunk_whose_message_was_lost_is_sent_again(parts: Parts) -> None:
    truth = await parts.recording(chunks=2, durationSeconds=4)
    await parts.intake.announce(parts.event(truth))
    await parts.live(30 * MINUTE)
    assert is_whole(await parts.manifest(truth), truth)


async def test_a_chunk_that_is_being_tried_is_not_sent_again(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(kind="503", target="any", times=None)
    await parts.deliver(parts.event(truth))
    await parts.live(3 * HOUR)
    assert len(parts.queue.messages) == 1


async def test_a_poison_message_goes_back_to_work(parts: Parts) -> None:
    truth = await parts.recording()
    [body] = await parts.intake.announce(parts.event(truth))
    await parts.poison.send(body, timedelta())
    await parts.live(6 * MINUTE)
    assert is_whole(await parts.manifest(truth), truth)
    assert await _count(parts) == 0


async def test_a_poison_message_that_is_no_chunk_is_kept_for_the_operator(parts: Parts) -> None:
    await parts.poison.send("nonsense", timedelta())
    await parts.live(6 * MINUTE)
    [finding] = await parts.findings()
    assert finding["kind"] == "message"
    assert await _count(parts) == 0


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
async def test_a_dead_letter_is_replayed_and_moved(parts: Parts, schema: str) -> None:
    truth = await parts.recording()
    event = parts.event(truth)
    letter = event if schema == "EventGridSchema" else cloud_event_from(event)
    name = "RECORDING-FILES/2026/11/22/8/0a.json"
    additions = {"deadLetterReason": "MaxDeliveryAttemptsExceeded", "deliveryAttempts": 30}
    await parts.dead_letters.upload_blob(name, json.dumps([{**letter, **additions}]))
    await parts.live(6 * MINUTE)
    assert is_whole(await parts.manifest(truth), truth)
    assert [blob.name async for blob in parts.dead_letters.list_blobs()] == [f"replayed/{name}"]


async def test_a_dead_letter_that_cannot_be_read_stays_and_is_shown(parts: Parts) -> None:
    await parts.dead_letters.upload_blob("X/2026/11/22/8/0b.json", "nonsense")
    await parts.live(6 * MINUTE)
    [finding] = await parts.findings()
    assert finding["kind"] == "dead-letter"
    assert [blob.name async for blob in parts.dead_letters.list_blobs()] == ["X/2026/11/22/8/0b.json"]


async def test_a_recording_that_ended_and_was_never_announced_is_shown_until_it_is(parts: Parts) -> None:
    truth = await parts.recording()
    name = safe_name(truth["recordingId"])
    await parts.ledger.learn(name, recordingId=truth["recordingId"])
    await parts.ledger.record(name, Operation.START)
    await parts.ledger.open(name)
    await parts.live(30 * MINUTE)
    assert await parts.findings() == []
    await parts.live(2 * HOUR)
    [finding] = await parts.findings()
    assert (finding["kind"], finding["recordingId"]) == ("silence", truth["recordingId"])
    await parts.deliver(parts.event(truth))
    await parts.live(10 * MINUTE)
    assert await parts.findings() == []
    assert [opened async for opened in parts.ledger.opened()] == []


async def test_a_gap_between_the_chunks_is_shown_until_it_is_closed(parts: Parts) -> None:
    truth = await parts.recording(chunks=3, durationSeconds=6)
    await parts.deliver(parts.event(truth, 0, 2))
    await parts.live(2 * HOUR)
    [finding] = await parts.findings()
    assert finding["kind"] == "gap"
    await parts.deliver(parts.event(truth, 1))
    await parts.live(10 * MINUTE)
    assert is_whole(await parts.manifest(truth), truth)
    assert await parts.findings() == []


async def test_a_manifest_that_cannot_be_read_is_shown_and_stops_nothing(parts: Parts) -> None:
    broken, lost = await parts.recording(), await parts.recording()
    await parts.deliver(parts.event(broken))
    await parts.intake.announce(parts.event(lost))
    async for blob in parts.container.list_blobs():
        if blob.name.endswith(f"{safe_name(broken['recordingId'])}/manifest.json"):
            await parts.container.upload_blob(blob.name, b"{}x", overwrite=True)
            prefix = blob.name.removesuffix("/manifest.json")
    parts.queue.messages.clear()
    await parts.live(30 * MINUTE)
    assert is_whole(await parts.manifest(lost), lost)
    [finding] = await parts.findings()
    assert (finding["kind"], finding["error"], finding["prefix"]) == ("gap", "ManifestUnreadable", prefix)


async def test_what_fails_for_one_recording_keeps_no_other_from_its_turn(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    truths = [await parts.recording() for _ in range(3)]
    for truth in truths:
        await parts.intake.announce(parts.event(truth))
    silent = [safe_name((await parts.recording())["recordingId"]) for _ in range(3)]
    for name in silent:
        await parts.ledger.learn(name, recordingId=name, prefix="2026/11/22/x")
        await parts.ledger.open(name)
    broken, quiet = min(safe_name(truth["recordingId"]) for truth in truths), min(silent)
    letters = [f"X/2026/11/22/8/{number}.json" for number in range(3)]
    well = next(truth for truth in truths if safe_name(truth["recordingId"]) != broken)
    for letter in letters:
        await parts.dead_letters.upload_blob(letter, json.dumps([parts.event(well)]))
    read, download = parts.ledger.read, parts.letters.read

    async def failing(name: str) -> Any:
        if name in {broken, quiet}:
            raise RuntimeError("this one is broken")
        return await read(name)

    async def unread(name: str) -> Any:
        if name == letters[0]:
            raise ResourceNotFoundError("this one is gone")
        return await download(name)

    monkeypatch.setattr(parts.ledger, "read", failing)
    monkeypatch.setattr(parts.letters, "read", unread)
    parts.acs.clock.advance(1800)
    with pytest.raises(ExceptionGroup) as caught:
        await parts.recovery.sweep()
    assert len(caught.value.exceptions) == 3
    left = [blob.name async for blob in parts.dead_letters.list_blobs() if not blob.name.startswith("replayed/")]
    assert left == [letters[0]]
    sent = {json.loads(body)["recordingId"] for _, _, body in parts.queue.messages}
    assert {safe_name(recording) for recording in sent} >= {safe_name(truth["recordingId"]) for truth in truths} - {
        broken
    }
    assert [name async for name in parts.ledger.opened()] == [quiet]


async def test_claims_that_are_not_needed_any_more_are_deleted(parts: Parts) -> None:
    ledger, claims = parts.ledger, parts.claims
    await claims.claim("idempotency", "key", request="x")
    for reference in ("over", "running", "unbound"):
        await claims.claim("callback", reference, tokenHash="x")
    await claims.claim("callback-recording", "over", recordingId="over")
    await claims.claim("callback-recording", "running", recordingId="running")
    await ledger.learn("running", recordingId="running", pauseOnStart="yes")
    await ledger.open("running")

    async def left() -> set[str]:
        kinds = ("idempotency", "callback", "callback-recording")
        return {f"{kind} {key}" for kind in kinds for key in [key async for key, _ in claims.all(kind)]}

    before = await left()
    assert len(before) == 6
    await parts.recovery.upkeep.drop_what_is_old()
    assert await left() == before
    parts.acs.clock.advance(49 * 3600)
    await parts.recovery.upkeep.drop_what_is_old()
    assert await left() == before - {"idempotency key"}
    parts.acs.clock.advance(7 * 24 * 3600)
    await parts.recovery.upkeep.drop_what_is_old()
    assert await left() == {"callback running", "callback-recording running"}


async def test_many_sweeps_at_once_find_each_thing_once(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    truth = await parts.recording(chunks=3, durationSeconds=6)
    await parts.deliver(parts.event(truth, 0, 2))
    await parts.live(50 * MINUTE)
    parts.acs.clock.advance(3600)
    caplog.clear()
    await asyncio.gather(*(parts.recovery.sweep() for _ in range(5)))
    assert len(await parts.findings()) == 1
    assert sum(record.getMessage().startswith("attention.raised") for record in caplog.records) == 1


async def test_a_day_without_trouble_leaves_nothing_to_look_at(parts: Parts) -> None:
    truth = await parts.recording(chunks=2, durationSeconds=4)
    await parts.deliver(parts.event(truth))
    await parts.live(30 * MINUTE)
    assert is_whole(await parts.manifest(truth), truth)
    assert await parts.findings() == []
    assert parts.queue.messages == []


async def _count(parts: Parts) -> int:
    left: list[str] = []

    async def keep(body: str) -> None:
        left.append(body)

    await parts.poison.take_all(keep)
    return len(left)
