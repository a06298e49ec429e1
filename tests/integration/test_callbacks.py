"""State callbacks: what the service reports ends in the ledger, in whatever order and however often it comes."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp
import pytest

from shared.core.blob_names import safe_name
from shared.core.errors import UnknownCallback
from shared.core.limits import LARGEST_CALLBACK
from shared.recordings.callbacks import NOT_BEGUN, Callbacks
from shared.storage.ledger import Facts, Operation, Report
from tests.integration.archive_fixtures import acs_control, app
from tests.integration.call_fixtures import claims, ledger, new_call
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.stack import Stack
    from shared.storage.claims import Claims
    from shared.storage.ledger import Ledger

__all__ = ["acs_control", "app", "claims", "ledger"]

BASE = "https://archiver.example.net"
ORDERS = ["normal", "reversed", "doubled"]


@pytest.fixture
async def started(app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession) -> AsyncIterator[str]:
    """The id of a recording whose states are reported."""
    recording = await start(app, acs_control)
    yield recording
    await app.post(f"recordings/{quote(recording, safe='')}/stop")


async def start(app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, **options: Any) -> str:
    call = await new_call(acs_control, "8:acs:alice")
    async with app.post("recordings", json={"serverCallId": call["serverCallId"], **options}) as answer:
        body = await answer.json()
        assert answer.status == 201, body
    return str(body["recordingId"])


async def address_of(acs_control: aiohttp.ClientSession, recording: str) -> str:
    """The callback address that the service was given."""
    async with acs_control.get(f"recordings/{quote(recording, safe='')}") as answer:
        options = (await answer.json())["options"]
    return str(options["recordingStateCallbackUri"])


async def reported(ledger: Ledger, recording: str, *operations: Operation | Report) -> Facts:
    """What the ledger knows, once all these were reported."""

    async def all_there() -> Facts | None:
        facts = await ledger.read(safe_name(recording))
        return facts if set(operations) <= {entry.operation for entry in facts.transitions} else None

    return await eventually(all_there, within=20)


def event(
    recording: str, state: str, at: str, *, began: str = "2026-11-22T08:00:00Z", number: int = 0
) -> dict[str, Any]:
    return {
        "id": f"00000000-0000-0000-0000-{number:012}",
        "source": f"calling/recordings/{recording}",
        "type": "Microsoft.Communication.RecordingStateChanged",
        "time": at,
        "specversion": "1.0",
        "data": {"recordingId": recording, "state": state, "startDateTime": began, "serverCallId": "call"},
    }


def life(recording: str) -> list[dict[str, Any]]:
    return [
        event(recording, "inactive", "2026-11-22T08:00:00.0000000Z", began="0001-01-01T00:00:00+00:00", number=1),
        event(recording, "active", "2026-11-22T08:00:00.1000000Z", number=2),
        event(recording, "inactive", "2026-11-22T08:00:07Z", number=3),
    ]


def shown(facts: Facts) -> list[tuple[Any, ...]]:
    return [(entry.operation, entry.at, entry.by, entry.detail) for entry in facts.transitions]


@pytest.mark.parametrize("order", ORDERS)
async def test_what_the_service_reports_is_noted_once_in_the_order_it_happened(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, ledger: Ledger, order: str
) -> None:
    await acs_control.put("callbacks", json={"order": order})
    try:
        recording = await start(app, acs_control)
        await reported(ledger, recording, Report.ACTIVE, Report.INACTIVE)
        await app.post(f"recordings/{quote(recording, safe='')}/pause")

        async def paused() -> Facts | None:
            facts = await ledger.read(safe_name(recording))
            inactive = [entry for entry in facts.transitions if entry.operation is Report.INACTIVE]
            return facts if len(inactive) == 2 else None

        facts = await eventually(paused, within=20)
    finally:
        await acs_control.put("callbacks", json={"order": "normal"})
    assert [
        (entry.operation, entry.detail) for entry in facts.transitions if entry.operation.startswith("reported")
    ] == [
        (Report.INACTIVE, NOT_BEGUN),
        (Report.ACTIVE, None),
        (Report.INACTIVE, None),
    ]


async def test_every_order_repetition_and_grouping_leaves_the_same_ledger(ledger: Ledger, claims: Claims) -> None:
    expected = None
    callbacks = Callbacks(ledger, claims, BASE)
    for order in itertools.permutations(range(3)):
        recording = f"recording-{uuid4()}"
        reference, token = await given(callbacks)
        events = [life(recording)[index] for index in order]
        await callbacks.take(reference, token, json.dumps(events[0]).encode())
        await asyncio.gather(*(callbacks.take(reference, token, json.dumps([one]).encode()) for one in events * 2))
        await callbacks.take(reference, token, json.dumps(events).encode())
        facts = await ledger.read(safe_name(recording))
        expected = expected or shown(facts)
        assert shown(facts) == expected
        assert facts.text("serverCallId") == "call"
    assert expected is not None
    assert [operation for operation, *_ in expected] == ["reportedInactive", "reportedActive", "reportedInactive"]


async def given(callbacks: Callbacks) -> tuple[str, str]:
    address = await callbacks.address()
    assert address is not None
    assert address.url.startswith(f"{BASE}/api/callbacks/{address.reference}/")
    return address.reference, address.url.rpartition("/")[2]


async def test_a_callback_that_is_faster_than_the_start_is_taken(ledger: Ledger, claims: Claims) -> None:
    callbacks, recording = Callbacks(ledger, claims, BASE), f"recording-{uuid4()}"
    reference, token = await given(callbacks)
    await callbacks.take(reference, token, json.dumps(life(recording)).encode())
    assert await callbacks.bind(reference, recording)
    assert len((await ledger.read(safe_name(recording))).transitions) == 3


async def test_an_address_is_good_for_one_recording(ledger: Ledger, claims: Claims) -> None:
    callbacks, own, other = Callbacks(ledger, claims, BASE), f"recording-{uuid4()}", f"recording-{uuid4()}"
    reference, token = await given(callbacks)
    assert await callbacks.bind(reference, own)
    await callbacks.take(reference, token, json.dumps(life(other)).encode())
    assert not await ledger.read(safe_name(other))
    assert not await callbacks.bind(reference, other)


async def test_of_the_token_only_a_hash_is_kept(ledger: Ledger, claims: Claims) -> None:
    callbacks = Callbacks(ledger, claims, BASE)
    reference, token = await given(callbacks)
    row = await claims.get("callback", reference)
    assert row is not None
    assert token not in json.dumps(row, default=str)
    assert len(token) * 6 >= 128
    with pytest.raises(UnknownCallback):
        await callbacks.take(reference, str(row["tokenHash"]), b"[]")


async def test_a_wrong_token_gets_404_and_changes_nothing(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, ledger: Ledger, started: str
) -> None:
    address = await address_of(acs_control, started)
    await reported(ledger, started, Report.ACTIVE, Report.INACTIVE)
    before = await ledger.read(safe_name(started))
    right = address.rpartition("/")[2]
    wrong = ["x", right[:-1], right[:-1] + ("A" if right[-1] != "A" else "B"), right.swapcase(), "%00", "%F0%9F%8E%A7"]
    bodies = [json.dumps([event(started, "inactive", "2026-11-22T09:00:00Z")]).encode(), b"nonsense"]
    addresses = [f"{address.rpartition('/')[0]}/{token}" for token in wrong]
    addresses.append(address.replace(urlsplit(address).path.split("/")[3], "0" * 24))
    async with aiohttp.ClientSession() as session:
        for url, body in itertools.product(addresses, bodies):
            async with session.post(url, data=body) as answer:
                problem = await answer.json()
                assert (answer.status, answer.content_type) == (404, "application/problem+json"), url
                assert problem["type"] == "urn:recording-archiver:problem:callback-not-found"
    assert await ledger.read(safe_name(started)) == before


async def test_a_body_that_cannot_be_read_is_refused_and_a_huge_one_too(
    acs_control: aiohttp.ClientSession, started: str
) -> None:
    address = await address_of(acs_control, started)
    no_id = [{**event(started, "active", "2026-11-22T09:00:00Z"), "id": ""}]
    async with aiohttp.ClientSession() as session:
        for body, status, kind in (
            (b"", 400, "invalid-request"),
            (b"nonsense", 400, "invalid-request"),
            (json.dumps(no_id).encode(), 400, "invalid-request"),
            (b"[" * 100_000, 400, "invalid-request"),
            (b" " * (LARGEST_CALLBACK + 1), 413, "body-too-large"),
            (b"[]", 200, None),
        ):
            async with session.post(address, data=body) as answer:
                assert answer.status == status, body[:80]
                if kind:
                    assert (await answer.json())["type"].endswith(f":{kind}")


async def test_a_start_that_fails_afterwards_is_failed_with_the_services_reason(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, ledger: Ledger, stack: Stack
) -> None:
    stack.acs.order_fault(kind="start-failed", target="start")
    recording = await start(app, acs_control)
    facts = await reported(ledger, recording, Report.FAILED)
    failed = facts.last(Report.FAILED)
    assert failed is not None
    assert failed.detail == "500/9999: The recording could not be started."
    async with app.get(f"recordings/{quote(recording, safe='')}") as answer:
        body = await answer.json()
    assert body["state"] == "failed"
    assert failed.detail in json.dumps(body)


async def test_callers_see_nothing_of_the_address_and_may_give_their_own(
    app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, stack: Stack, started: str
) -> None:
    address = await address_of(acs_control, started)
    async with app.get(f"recordings/{quote(started, safe='')}") as answer:
        assert "callback" not in (await answer.text()).lower()
    assert address.rpartition("/")[2] not in stack.host.options.log.read_text()

    own = "https://caller.example.net/states"
    other = await start(app, acs_control, recordingStateCallbackUri=own)
    assert await address_of(acs_control, other) == own
    await app.post(f"recordings/{quote(other, safe='')}/stop")
