"""Fixtures around recordings: calls, the ledger behind the app, and a check that an answer is as documented."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.data.tables.aio import TableServiceClient
from openapi_schema_validator import OAS31Validator

from shared.api.openapi import build
from shared.storage.claims import Claims
from shared.storage.ledger import TABLE, Ledger
from shared.storage.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from local.stack import Stack

DOCUMENT = build()
API_PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
QUICK = {"recordingContentType": "audio", "recordingFormatType": "wav"}
"""What is recorded where it does not matter: sound is made faster than pictures."""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the app, which is one that the API's description has."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def problem(self) -> str:
        """The problem's kind."""
        return str(self.body["type"]).rpartition(":")[2]


class Api:
    """The app's HTTP API; every answer is compared with its description."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def start(self, *, key: str | None = None, **body: Any) -> Told:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self._ask("start_recording", "POST", "recordings", json=body, headers=headers)

    async def get(self, recording_id: str) -> Told:
        return await self._ask("get_recording", "GET", f"recordings/{quote(recording_id, safe='')}")

    async def do(self, operation: str, recording_id: str) -> Told:
        path = f"recordings/{quote(recording_id, safe='')}/{operation}"
        return await self._ask(f"{operation}_recording", "POST", path)

    async def state(self, recording_id: str) -> str:
        return str((await self.get(recording_id)).body["state"])

    async def _ask(self, function: str, method: str, path: str, **request: Any) -> Told:
        async with self._session.request(method, path, **request) as answer:
            reply = Told(answer.status, await answer.json(), dict(answer.headers))
            kind = answer.content_type
        check_documented(function, reply, kind)
        return reply


def check_documented(function: str, reply: Told, content_type: str) -> None:
    """Fail unless the API's description has this answer."""
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    operation = next(operation for operation in operations if operation["operationId"] == function)
    response = operation["responses"][str(reply.status)]
    schema = {**response["content"][content_type]["schema"], "components": DOCUMENT["components"]}
    OAS31Validator(schema).validate(reply.body)


def documented_table(title: str) -> list[dict[str, str]]:
    """The rows of the first table under a title of docs/api.md."""
    section = API_PAGE.partition(f"## {title}\n")[2]
    lines = [line for line in section.splitlines() if line.startswith(("|", "## "))]
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([re.sub("`", "", cell).strip() for cell in line.strip("|").split("|")])
    head, _, *rows = table
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
async def ledger(stack: Stack) -> AsyncIterator[Ledger]:
    """The ledger that the app writes."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        yield Ledger(Table(tables.get_table_client(TABLE)))


@pytest.fixture(scope="module")
async def claims(stack: Stack) -> AsyncIterator[Claims]:
    """The keys that the app has claimed."""
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        yield Claims(Table(tables.get_table_client(TABLE)))


@pytest.fixture(scope="module")
async def elsewhere(stack: Stack) -> AsyncIterator[CallAutomationClient]:
    """Somebody else who records with the same resource."""
    credential = AzureKeyCredential(stack.acs.options.access_key)
    async with CallAutomationClient(stack.acs.endpoint, credential) as client:
        yield client


@asynccontextmanager
async def a_call(acs_control: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """A call of two, which ends when it is not needed any more."""
    async with acs_control.post("calls", json={"participants": ["8:acs:alice", "8:acs:bob"]}) as answer:
        call: dict[str, Any] = await answer.json()
    yield call
    async with acs_control.delete(f"calls/{call['callId']}"):
        pass


@pytest.fixture
async def call(acs_control: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """A call of two."""
    async with a_call(acs_control) as made:
        yield made


@pytest.fixture(scope="module")
async def api(app: aiohttp.ClientSession) -> Api:
    """The app's HTTP API."""
    return Api(app)
