"""Consent: refused without, archived with the recording, and never lost without a word."""

from __future__ import annotations

import hashlib
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
from azure.data.tables.aio import TableClient

from local import archive
from local.ports import free_port
from shared.app import Services
from shared.archiving.intake import Intake
from shared.core.blob_names import safe_name
from shared.core.trusted_origins import TrustedOrigins
from shared.incidents.evidence_blobs import EvidenceBlobs
from shared.incidents.incidents import Incidents
from shared.recordings.acs_client import AcsClient, Repeatability
from shared.recordings.callbacks import Callbacks
from shared.recordings.service import Recordings
from shared.recordings.start_request import parse_start
from shared.storage.archive import Archive
from shared.storage.claims import Claims
from shared.storage.ledger import TABLE, Ledger
from shared.storage.places import RecordingPlaces
from shared.storage.table import Table
from tests.integration.archive_fixtures import acs_control, app, finished_recording
from tests.integration.call_fixtures import BASIS, ledger, new_call, recording_host, recordings_of
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from local.functions_host import FunctionsHost
    from local.stack import Stack

__all__ = ["acs_control", "app", "ledger", "recording_host"]

DAY = timedelta(hours=24)
CONSENT = {
    "basis": "asked at the beginning of the call",
    "obtainedFrom": ["8:acs:alice", {"rawId": "8:acs:bob"}],
    "obtainedAt": "2026-11-22T09:30:00+01:00",
    "reference": "ticket 4711, «я»: ja",
}


@pytest.fixture(scope="module")
async def strict_app(stack: Stack, recording_host: FunctionsHost) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP API of a host that requires consent."""
    headers = {"x-functions-key": stack.function_key}
    async with aiohttp.ClientSession(f"{recording_host.url}/api/", headers=headers) as session:
        yield session


@pytest.fixture
async def lost_ledger() -> AsyncIterator[Ledger]:
    """A ledger that cannot be reached."""
    address = f"http://127.0.0.1:{free_port()}/devstoreaccount1"
    connection = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;TableEndpoint={address};"
    async with TableClient.from_connection_string(connection, TABLE, retry_total=0) as table:
        yield Ledger(Table(table))


@asynccontextmanager
async def parts_of(stack: Stack) -> AsyncIterator[Services]:
    """The app's parts, in this process, against the stack."""
    settings = {
        "ACS_CONNECTION_STRING": stack.acs.connection_string,
        "ARCHIVE_STORAGE": stack.storage,
        "AzureWebJobsStorage": stack.storage,
    }
    parts = Services.from_environment(settings)
    try:
        yield parts
    finally:
        await parts.close()


async def archived(container: ContainerClient, recording: str) -> tuple[str, dict[str, Any]]:
    """The recording's prefix and manifest, once it is complete."""

    async def complete() -> tuple[str, dict[str, Any]] | None:
        for name, manifest in (await archive.manifests(container)).items():
            if manifest["recordingId"] == recording and manifest["status"] == "complete":
                return name.removesuffix("/manifest.json"), manifest
        return None

    return await eventually(complete, within=40)


async def read(container: ContainerClient, name: str) -> bytes:
    return bytes(await (await container.download_blob(name)).readall())


async def test_consent_that_came_with_the_start_is_archived_and_named_in_the_manifest(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    call = await new_call(acs_control, "8:acs:alice")
    body = {"serverCallId": call["serverCallId"], "recordingContentType": "audio", "consent": CONSENT}
    async with app.post("recordings", json=body) as answer:
        recording = (await answer.json())["recordingId"]
    await is_active(acs_control, recording)
    await acs_control.delete(f"calls/{call['callId']}")

    prefix, manifest = await archived(archive_container, recording)
    content = await read(archive_container, f"{prefix}/consent.json")
    assert json.loads(content) == {
        "basis": CONSENT["basis"],
        "obtainedFrom": ["8:acs:alice", "8:acs:bob"],
        "obtainedAt": "2026-11-22T08:30:00Z",
        "reference": CONSENT["reference"],
    }
    assert manifest["consent"] == {"blob": f"{prefix}/consent.json", "sha256": hashlib.sha256(content).hexdigest()}


async def is_active(acs_control: aiohttp.ClientSession, recording: str) -> None:
    async def active() -> bool:
        async with acs_control.get(f"recordings/{quote(recording, safe='')}") as answer:
            return float((await answer.json())["recordedMs"]) > 1000

    await eventually(active, within=20)


async def test_where_consent_is_required_a_start_without_is_refused_before_the_service_is_asked(
    strict_app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession
) -> None:
    call = await new_call(acs_control, "8:acs:alice")
    key = {"Idempotency-Key": str(uuid4())}
    async with strict_app.post("recordings", json={"serverCallId": call["serverCallId"]}, headers=key) as answer:
        problem = await answer.json()
    assert (answer.status, answer.content_type) == (403, "application/problem+json")
    assert (problem["type"], problem["field"]) == ("urn:recording-archiver:problem:consent-required", "consent")
    assert await recordings_of(acs_control, call) == []

    # The refusal is not what the key stands for: the same request with consent goes through.
    body = {"serverCallId": call["serverCallId"], "consent": CONSENT}
    async with strict_app.post("recordings", json=body, headers=key) as answer:
        assert answer.status == 201
    assert len(await recordings_of(acs_control, call)) == 1
    await acs_control.delete(f"calls/{call['callId']}")


@pytest.mark.parametrize("missing", ["basis", "obtainedFrom", "obtainedAt"])
async def test_a_consent_that_says_too_little_is_refused(app: aiohttp.ClientSession, missing: str) -> None:
    consent = {name: value for name, value in CONSENT.items() if name != missing}
    async with app.post("recordings", json={"serverCallId": "call", "consent": consent}) as answer:
        assert answer.status == 400
        assert f"consent/{missing}" in json.dumps(await answer.json())


async def test_an_automatic_recording_is_archived_with_the_basis_that_its_rule_states(
    recording_host: FunctionsHost, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    assert recording_host.running
    call = await new_call(acs_control, f"8:acs:auto-{uuid4()}")

    async def started() -> str | None:
        return next((found["recordingId"] for found in await recordings_of(acs_control, call)), None)

    recording = await eventually(started, within=20)
    await is_active(acs_control, recording)
    await acs_control.delete(f"calls/{call['callId']}")

    prefix, manifest = await archived(archive_container, recording)
    content = await read(archive_container, f"{prefix}/consent.json")
    consent = json.loads(content)
    # Nobody was asked by the app, and the archive does not pretend so.
    assert (consent["basis"], consent["obtainedFrom"], consent["policyRule"]) == (BASIS, [], "support")
    assert consent["obtainedAt"][:19] == call["startTime"][:19]
    assert manifest["consent"]["sha256"] == hashlib.sha256(content).hexdigest()


def announcement(truth: dict[str, Any], **data: Any) -> dict[str, Any]:
    """The event about a finished recording's files."""
    said = {
        "recordingStorageInfo": {"recordingChunks": truth["chunks"]},
        "recordingStartTime": truth["startTime"],
        "recordingId": truth["recordingId"],
    }
    return {
        "id": str(uuid4()),
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "subject": f"/recording/call/{truth['callId']}",
        "eventTime": truth["endTime"],
        "data": said | data,
    }


def intake_of(container: ContainerClient, ledger: Ledger) -> Intake:
    archived = Archive(container)
    origins = TrustedOrigins(("http://127.0.0.1:*",))
    incidents = Incidents(EvidenceBlobs(archived.blobs), Claims(ledger.table))
    return Intake(archived, ledger, incidents, origins=origins, retention=DAY)


async def consent_in_manifest(container: ContainerClient, recording: str) -> str:
    """The basis in the consent that a recording's manifest names."""
    manifests = (await archive.manifests(container)).values()
    [manifest] = [found for found in manifests if found["recordingId"] == recording]
    content = await read(container, manifest["consent"]["blob"])
    assert manifest["consent"]["sha256"] == hashlib.sha256(content).hexdigest()
    return str(json.loads(content)["basis"])


async def test_files_that_overtake_the_noting_of_the_start_get_their_consent_from_the_start(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient, ledger: Ledger
) -> None:
    truth = await finished_recording(acs_control, announce=False)
    call = await new_call(acs_control, "8:acs:alice")
    request = parse_start(json.dumps({"serverCallId": call["serverCallId"], "consent": CONSENT}).encode())
    repeatability = Repeatability(uuid4(), datetime.now(UTC))
    async with parts_of(stack) as parts:
        recording = (await parts.acs.start(request, repeatability)).recording_id
        assert len(await intake_of(archive_container, ledger).announce(announcement(truth, recordingId=recording))) == 1
        # The service answers a repeated start with the same recording, so this notes what was started above.
        assert (await parts.recordings.begin(request, repeatability=repeatability)).body["recordingId"] == recording
    assert await consent_in_manifest(archive_container, recording) == CONSENT["basis"]
    await acs_control.delete(f"calls/{call['callId']}")


class OvertakenLedger(Ledger):
    """A ledger in which a start is noted just before the place of its files is."""

    async def learn(self, name: str, /, **facts: Any) -> None:
        if "prefix" in facts:
            await super().learn(name, startedAt=facts["expiresAt"], consent=json.dumps({"basis": "late"}))
        await super().learn(name, **facts)


async def test_a_start_that_is_noted_while_its_files_are_taken_in_gives_them_its_consent(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    truth = await finished_recording(acs_control, announce=False)
    async with TableClient.from_connection_string(stack.storage, TABLE) as table:
        await intake_of(archive_container, OvertakenLedger(Table(table))).announce(announcement(truth))
    assert await consent_in_manifest(archive_container, truth["recordingId"]) == "late"


async def test_a_consent_that_cannot_be_read_is_reported_and_the_media_goes_on(
    acs_control: aiohttp.ClientSession, archive_container: ContainerClient, lost_ledger: Ledger
) -> None:
    truth = await finished_recording(acs_control, announce=False)
    assert len(await intake_of(archive_container, lost_ledger).announce(announcement(truth))) == 1
    finding = json.loads(await read(archive_container, f"attention/consent.{safe_name(truth['recordingId'])}.json"))
    assert "retry this incident" in finding["reason"]


async def test_without_the_ledger_a_recording_starts_and_its_consent_is_kept_for_an_operator(
    stack: Stack, acs_control: aiohttp.ClientSession, archive_container: ContainerClient, lost_ledger: Ledger
) -> None:
    call = await new_call(acs_control, "8:acs:alice")
    request = parse_start(json.dumps({"serverCallId": call["serverCallId"], "consent": CONSENT}).encode())
    async with parts_of(stack) as parts:
        control = AcsClient(
            parts.control_client, Callbacks(lost_ledger, Claims(lost_ledger.table), "https://archiver.example.net")
        )
        places = RecordingPlaces(archive_container, lost_ledger)
        claims = Claims(lost_ledger.table)
        recordings = Recordings(control, lost_ledger, claims, Archive(archive_container), places, retention=DAY)
        repeatability = Repeatability(uuid4(), datetime.now(UTC))
        recording = (await recordings.begin(request, by="test", repeatability=repeatability)).body["recordingId"]
    [started] = await recordings_of(acs_control, call)
    assert started["options"]["recordingStateCallbackUri"] is None
    kept = json.loads(await read(archive_container, f"attention/consent.{safe_name(recording)}.json"))
    assert kept["consent"]["basis"] == CONSENT["basis"]
    assert kept["recordingId"] == recording
    await acs_control.delete(f"calls/{call['callId']}")
