"""What was given up for good is left alone by the app, and tried again on an operator's word."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.core.errors import IncidentNotFound, NothingToRetry
from shared.core.trusted_origins import TrustedOrigins
from shared.incidents.incidents import Incident
from shared.incidents.kinds import IncidentKind
from tests.integration.archive_parts import Parts, archive_parts
from tests.integration.completion_fixtures import MEDIA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.azurite import Azurite

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
FOREIGN = {
    "kind": "redirect",
    "target": "content",
    "location": "http://localhost:9/x",
    "times": None,
    "for_seconds": 60,
}
"""For a minute the service leads where credentials must not go."""


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[Parts]:
    async with archive_parts(azurite, MEDIA) as made:
        yield made


def only(findings: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [finding] = [finding for finding in findings if finding["kind"] == kind]
    return finding


async def is_whole(parts: Parts, truth: dict[str, Any]) -> bool:
    manifest = await parts.manifest(truth)
    return manifest is not None and manifest["status"] == "complete"


async def test_a_chunk_given_up_for_good_is_not_tried_again_until_an_operator_says_so(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(
        kind="redirect", target="content", location="http://localhost:9/x", times=None, for_seconds=60
    )
    await parts.deliver(parts.event(truth))
    await parts.live(10 * MINUTE)
    parts.acs.log.clear()
    await parts.live(3 * HOUR)
    assert parts.acs.log.all() == []
    finding = only(await parts.findings(), "chunk")

    retried = await parts.recovery.manual_retry.retry(finding["id"])
    assert (retried.chunks, retried.settled) == (1, False)
    assert (await parts.progress(truth))[0].given_up_at is None
    await parts.live(10 * MINUTE)
    assert await is_whole(parts, truth)
    assert await parts.findings() == []


async def test_a_chunk_that_is_retried_and_fails_in_passing_is_looked_after_again(parts: Parts) -> None:
    truth = await parts.recording()
    parts.acs.order_fault(
        kind="redirect", target="content", location="http://localhost:9/x", times=None, for_seconds=60
    )
    await parts.deliver(parts.event(truth))
    await parts.live(2 * MINUTE)
    parts.acs.order_fault(kind="503", target="any", times=None, for_seconds=3600)
    await parts.recovery.manual_retry.retry(only(await parts.findings(), "chunk")["id"])
    await parts.live(MINUTE)
    parts.queue.messages.clear()  # and the message is lost
    await parts.live(2 * HOUR)
    assert await is_whole(parts, truth)


async def test_a_refused_event_is_taken_in_once_its_origin_is_trusted(parts: Parts) -> None:
    truth = await parts.recording()
    parts.intake._origins = TrustedOrigins(["https://*.asm.skype.com"])
    await parts.deliver(parts.event(truth))
    [finding] = await parts.findings()
    with pytest.raises(NothingToRetry, match="refused again"):
        await parts.recovery.manual_retry.retry(finding["id"])
    await parts.live(30 * MINUTE)
    assert [found["id"] for found in await parts.findings()] == [finding["id"]]

    parts.intake._origins = TrustedOrigins(["http://127.0.0.1:*"])
    assert (await parts.recovery.manual_retry.retry(finding["id"])).chunks == 1
    await parts.live(6 * MINUTE)
    assert await is_whole(parts, truth)
    assert await parts.findings() == []
    assert (await parts.recovery.manual_retry.retry(finding["id"])).chunks == 0


async def test_an_event_that_was_too_large_cannot_be_retried(parts: Parts) -> None:
    event = parts.event(await parts.recording())
    event["data"]["padding"] = ["x" * 1000] * 1100
    await parts.deliver(event)
    [finding] = await parts.findings()
    with pytest.raises(NothingToRetry, match="only its beginning"):
        await parts.recovery.manual_retry.retry(finding["id"])


async def test_a_recording_that_waits_is_announced_anew_and_works_without_the_ledger_knowing_it(parts: Parts) -> None:
    truth = await parts.recording(chunks=2, durationSeconds=4)
    parts.acs.order_fault(kind="503", target="any", times=None, for_seconds=3600)
    await parts.deliver(parts.event(truth))
    await parts.live(HOUR)
    finding = only(await parts.findings(), "waiting")
    parts.queue.messages.clear()
    async for row in parts.table.list_entities():
        if not row["PartitionKey"].startswith(".attention"):
            await parts.table.delete_entity(row)
    assert (await parts.recovery.manual_retry.retry(finding["id"])).chunks == 2
    await parts.live(6 * MINUTE)
    assert await is_whole(parts, truth)
    assert await parts.findings() == []


async def test_an_incident_without_work_says_why(parts: Parts) -> None:
    truth = await parts.recording(chunks=3, durationSeconds=6)
    await parts.deliver(parts.event(truth, 0, 2))
    await parts.live(2 * HOUR)
    retry = parts.recovery.manual_retry.retry
    with pytest.raises(NothingToRetry, match="no event announced"):
        await retry(only(await parts.findings(), "gap")["id"])
    for kind, reason in ((IncidentKind.SILENCE, "no event has come"), (IncidentKind.DEAD_LETTER, "every sweep")):
        finding = Incident(kind=kind, identifier="x", reason="as a test wants")
        await parts.incidents.report(finding)
        with pytest.raises(NothingToRetry, match=reason):
            await retry(finding.key)
    await parts.poison.send("nonsense", timedelta())
    await parts.live(6 * MINUTE)
    with pytest.raises(NothingToRetry, match="still cannot be read"):
        await retry(only(await parts.findings(), "message")["id"])
    with pytest.raises(IncidentNotFound):
        await retry("chunk.unknown")


async def test_a_consent_that_the_ledger_did_not_take_is_put_where_it_belongs(parts: Parts) -> None:
    truth = await parts.recording()
    await parts.deliver(parts.event(truth))
    given = {"basis": "consent", "obtainedFrom": ["8:acs:alice"], "obtainedAt": "2026-11-22T09:00:00Z"}
    evidence = {"reason": "as a test wants", "recordingId": truth["recordingId"], "consent": given}
    await parts.incidents.evidence.raise_("consent.x", evidence)
    await parts.live(11 * MINUTE)
    [finding] = await parts.findings()
    assert (await parts.recovery.manual_retry.retry(finding["id"])).settled
    manifest = await parts.manifest(truth)
    assert manifest is not None
    content = await parts.archive.blobs.read(manifest["consent"]["blob"])
    assert content is not None
    assert json.loads(content) == given
    assert await parts.findings() == []
