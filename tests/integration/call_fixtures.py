"""A second Functions host that records calls by itself, and the ledger behind it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.stack import CALL_FUNCTION
from shared.storage.claims import Claims
from shared.storage.ledger import TABLE, Ledger
from shared.storage.table import Table
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from local.functions_host import FunctionsHost
    from local.stack import Stack

BASIS = "announcement played before the call is answered"

# Only calls of these tests fit, whatever else goes on in the stack.
POLICY: dict[str, Any] = {
    "rules": [
        {"name": "private", "match": {"startedBy": "8:acs:auto-private-*"}, "action": "skip"},
        {
            "name": "support",
            "match": {"startedBy": "8:acs:AUTO-*", "isRoomsCall": False},
            "action": "record",
            "recording": {
                "recordingContentType": "audio",
                "recordingChannelType": "unmixed",
                "recordingFormatType": "wav",
            },
            "consent": {"basis": BASIS, "reference": "announcement v3"},
        },
    ]
}


@pytest.fixture(scope="module")
async def ledger(stack: Stack) -> AsyncIterator[Ledger]:
    """The ledger that the stack's app keeps."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        yield Ledger(Table(tables.get_table_client(TABLE)))


@pytest.fixture(scope="module")
async def claims(stack: Stack) -> AsyncIterator[Claims]:
    """The keys that the app has claimed."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        yield Claims(Table(tables.get_table_client(TABLE)))


@pytest.fixture(scope="module")
async def recording_host(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FunctionsHost]:
    """A host that records by itself what fits `POLICY`, and starts nothing without consent."""
    async with auto_recording(stack, tmp_path_factory.mktemp("policy") / "auto-record.json") as host:
        yield host


@asynccontextmanager
async def auto_recording(stack: Stack, file: Path) -> AsyncIterator[FunctionsHost]:
    file.write_text(json.dumps(POLICY))  # noqa: ASYNC240 - small
    host = await stack.add_host(settings={"AUTO_RECORD": str(file), "REQUIRE_CONSENT": "true"})
    try:
        await stack.subscribe(name="auto-record", function=CALL_FUNCTION, host=host)
        yield host
        await stack.eventgrid.delete_subscription("acs", "auto-record")
    finally:
        await host.stop()


async def new_call(acs_control: aiohttp.ClientSession, caller: str, **wanted: Any) -> dict[str, Any]:
    async with acs_control.post("calls", json={"participants": [caller, "8:acs:bob"], **wanted}) as answer:
        call: dict[str, Any] = await answer.json()
    return call


async def recordings_of(acs_control: aiohttp.ClientSession, call: dict[str, Any]) -> list[dict[str, Any]]:
    """What the service has recorded of a call."""
    async with acs_control.get("recordings") as answer:
        recordings = (await answer.json())["recordings"]
    return [recording for recording in recordings if recording["serverCallId"] == call["serverCallId"]]


async def event_of(acs_control: aiohttp.ClientSession, call: dict[str, Any], kind: str) -> dict[str, Any]:
    """The event that the service has published about a call."""

    async def found() -> dict[str, Any] | None:
        async with acs_control.get("events") as answer:
            events = [posted["event"] for posted in (await answer.json())["events"]]
        of_call = [event for event in events if event["data"].get("serverCallId") == call["serverCallId"]]
        return next((event for event in of_call if event["eventType"] == f"Microsoft.Communication.{kind}"), None)

    return await eventually(found, within=10)
