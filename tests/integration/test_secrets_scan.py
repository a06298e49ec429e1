"""No key in use is in any log, blob, row, message or answer, however the app's surroundings fail."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import pytest
from azure.data.tables.aio import TableServiceClient

from local import archive, ports
from local.archive import manifest_of
from shared.recordings.callbacks import ROUTE
from tests.integration.archive_fixtures import acs_control, app
from tests.integration.security_fixtures import parrot
from tests.integration.test_archive_refusals import forged
from tests.integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from azure.storage.blob.aio import ContainerClient

    from local.functions_host import FunctionsHost
    from local.stack import Stack

__all__ = ["acs_control", "app"]

CREDENTIAL = re.compile(
    r"Signature=[A-Za-z0-9+/%=]{20,}|SharedKey(?:Lite)? [^\s:]+:[A-Za-z0-9+/=]{20,}|\bsig=[A-Za-z0-9+/%=]{20,}"
    r"|(?:access|account)key=[^\s;]{8,}|Bearer [A-Za-z0-9._-]{20,}",
    re.IGNORECASE,
)
TOKEN = re.compile(rf"/api/{ROUTE}/[0-9a-f]{{24}}/([A-Za-z0-9_-]{{43}})")
"""Ends an address that the app made for callbacks; those that other tests give are no secrets."""

ASKED = (
    ("GET", "health"),
    ("GET", "diagnostics"),
    ("GET", "attention"),
    ("DELETE", "attention/event.x"),
    ("GET", "archive"),
    ("POST", "recordings"),
    ("GET", "recordings/abc"),
    ("POST", "recordings/abc/stop"),
    ("POST", "recordings/abc/verify"),
    ("POST", f"callbacks/{'0' * 24}/not-the-token"),
)


def leaks(where: str, text: str, keys: Iterable[str]) -> list[str]:
    """What must not be in `text`, without saying it again."""
    found = [f"{where}: a key that ends in …{key[-4:]}" for key in keys if key in text]
    shapes = {match[0].split("=")[0].split(" ")[0] for match in CREDENTIAL.finditer(text)}
    return found + [f"{where}: something like {shape}" for shape in sorted(shapes)]


def keys_in_use(stack: Stack) -> set[str]:
    account_key = re.search(r"AccountKey=([^;]+)", stack.storage)
    assert account_key is not None
    return {
        stack.acs.options.access_key,
        account_key[1],
        stack.keys.master,
        *stack.keys.host.values(),
        *stack.keys.system.values(),
        stack.eventgrid.topic_key("acs"),
        stack.eventgrid.topic_key("archive-events"),
        *callback_tokens(recording.options.callback_uri for recording in stack.acs.service.recordings),
    }


def callback_tokens(addresses: Iterable[str | None]) -> set[str]:
    """The tokens in addresses that the app made."""
    return {found[1] for address in addresses if address and (found := TOKEN.search(address))}


def a_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()


def storage_at(port: int, key: str) -> str:
    """Connection string of an account whose every service is one server."""
    endpoints = "".join(f"{service}Endpoint=http://127.0.0.1:{port}/acc;" for service in ("Blob", "Queue", "Table"))
    return f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={key};{endpoints}"


@asynccontextmanager
async def host_with(stack: Stack, **settings: str) -> AsyncIterator[FunctionsHost]:
    """A host of its own whose listeners are off: it only answers."""
    off = {f"AzureWebJobs.{name}.Disabled": "true" for name in ("archive_chunk", "sweep")}
    host = await stack.add_host(settings={**off, **settings})
    try:
        yield host
    finally:
        await host.stop()


async def ask_everything(stack: Stack, host: FunctionsHost) -> dict[str, str]:
    """All that a host answers, headers too."""
    answers: dict[str, str] = {}
    key = {"x-functions-key": stack.function_key}
    event = forged(f"{stack.acs.endpoint}/v1/objects/x/content/video")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:

        async def ask(method: str, path: str) -> None:
            body: dict[str, Any] | None = {"serverCallId": uuid4().hex} if path == "recordings" else None
            async with session.request(method, f"{host.url}/api/{path}", json=body, headers=key) as answer:
                answers[f"{method} {path}"] = f"{answer.status} {dict(answer.headers)} {await answer.text()}"

        async def deliver(function: str, event: dict[str, Any]) -> None:
            url = f"{host.url}/runtime/webhooks/EventGrid"
            parameters = {"functionName": function, "code": stack.keys.event_grid_key}
            kind = {"aeg-event-type": "Notification"}
            async with session.post(url, params=parameters, json=[event], headers=kind) as answer:
                answers[function] = f"{answer.status} {await answer.text()}"

        await asyncio.gather(
            *(ask(*asked) for asked in ASKED),
            deliver("recording_file_status_updated", event),
            deliver("call_started_or_ended", call_started()),
        )
    return answers


def call_started() -> dict[str, Any]:
    return {
        **forged(),
        "eventType": "Microsoft.Communication.CallStarted",
        "eventTime": datetime.now(UTC).isoformat(),
        "data": {"serverCallId": uuid4().hex},
    }


def check(stack: Stack, host: FunctionsHost, answers: dict[str, str], keys: set[str]) -> None:
    found = leaks("the log", host.options.log.read_text(), keys)
    for asked, answer in answers.items():
        found += leaks(asked, answer, keys)
    assert found == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_service_that_says_the_signature_back_is_not_repeated(stack: Stack, status: int) -> None:
    key = a_key()
    async with parrot(status) as service:
        connection = f"endpoint=http://127.0.0.1:{service.port}/;accesskey={key}"
        async with host_with(stack, ACS_CONNECTION_STRING=connection, AUTO_RECORD="all") as host:
            answers = await ask_everything(stack, host)
        assert service.signatures
        assert answers["call_started_or_ended"].startswith("500")
        check(stack, host, answers, keys_in_use(stack) | {key} | service.signatures)
    assert answers["POST recordings"].startswith("502")


async def test_storage_that_says_the_signature_back_is_not_repeated(stack: Stack) -> None:
    key = a_key()
    async with parrot(403) as storage:
        connection = storage_at(storage.port, key)
        async with host_with(stack, ARCHIVE_STORAGE=connection) as host:
            answers = await ask_everything(stack, host)
        assert len(storage.signatures) > 5
        check(stack, host, answers, keys_in_use(stack) | {key} | storage.signatures)
    assert answers["GET attention"].startswith("503")
    assert answers["recording_file_status_updated"].startswith("202")  # queued, in the host's account


async def test_a_wrong_key_at_the_real_service_is_in_no_answer(stack: Stack) -> None:
    key = a_key()
    async with host_with(stack, ACS_CONNECTION_STRING=f"endpoint={stack.acs.endpoint}/;accesskey={key}") as host:
        answers = await ask_everything(stack, host)
    check(stack, host, answers, keys_in_use(stack) | {key})
    assert "service-credentials" in answers["POST recordings"]


async def test_settings_that_are_wrong_are_told_without_their_secrets(stack: Stack) -> None:
    service, topic = secrets.token_hex(20), secrets.token_hex(20)
    async with host_with(
        stack,
        ACS_CONNECTION_STRING=f"endpoint=nonsense;accesskey={service}",
        ARCHIVE_TOPIC_ENDPOINT="",
        ARCHIVE_TOPIC_KEY=topic,
    ) as host:
        answers = await ask_everything(stack, host)
    check(stack, host, answers, keys_in_use(stack) | {service, topic})
    assert "ACS_CONNECTION_STRING" in answers["GET recordings/abc"]


async def test_a_service_that_cannot_be_reached_gives_nothing_away(stack: Stack) -> None:
    key = a_key()
    closed = f"endpoint=http://127.0.0.1:{ports.free_port()}/;accesskey={key}"
    async with host_with(stack, ACS_CONNECTION_STRING=closed) as host:
        answers = await ask_everything(stack, host)
    check(stack, host, answers, keys_in_use(stack) | {key})


async def test_a_busy_stack_has_left_no_key_anywhere(
    stack: Stack, app: aiohttp.ClientSession, acs_control: aiohttp.ClientSession, archive_container: ContainerClient
) -> None:
    async with acs_control.post("calls", json={"participants": ["8:acs:alice", "8:acs:bob"]}) as made:
        call = await made.json()
    body = {"serverCallId": call["serverCallId"], "recordingContentType": "audio", "recordingFormatType": "mp3"}
    async with app.post("recordings", json=body) as started:
        assert started.status == 201, await started.text()
        recording_id = (await started.json())["recordingId"]
    stack.acs.order_fault(kind="status", target="content", status=401, times=1)
    async with app.post(f"recordings/{recording_id}/stop"), acs_control.delete(f"calls/{call['callId']}"):
        pass

    async def archived() -> bool:
        found = await manifest_of(archive_container, recording_id)
        return found is not None and found[1]["status"] == "complete"

    await eventually(archived)
    keys = keys_in_use(stack)
    found = await leaks_of(stack, keys)
    async with app.get(f"recordings/{recording_id}") as answer:
        found += leaks("the recording", await answer.text(), keys)
    assert found == []

    own = [made.options.callback_uri for made in stack.acs.service.recordings if made.recording_id == recording_id]
    [token] = callback_tokens(own)
    planted = archive_container.get_blob_client("diagnostics/planted.json")
    await planted.upload_blob(json.dumps({"said": f"…{token}…"}))
    try:
        assert await leaks_of(stack, {token}) == [
            f"recordings/diagnostics/planted.json: a key that ends in …{token[-4:]}"
        ]
    finally:
        await planted.delete_blob()


def test_only_tokens_that_the_app_made_count_as_secrets() -> None:
    token = secrets.token_urlsafe(32)
    addresses = ["https://example.com/states", "https://example.com/", None, f"https://example.com/{token}"]
    assert callback_tokens([*addresses, f"http://127.0.0.1:7071/api/callbacks/{'0f' * 12}/{token}"]) == {token}
    assert callback_tokens(addresses) == set()


async def leaks_of(stack: Stack, keys: set[str]) -> list[str]:
    """What must not be in the hosts' logs and in storage."""
    found = []
    for log in stack.logs.glob("functions-*.log"):
        found += leaks(log.name, log.read_text(), keys)
    async for where, text in everything_kept(stack):
        found += leaks(where, text, keys)
    return found


async def everything_kept(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    """Every text of every blob but media, every row and every message."""
    async with stack.blob_service() as blobs:
        async for container in blobs.list_containers():
            client = blobs.get_container_client(container.name)
            for name in await archive.listing(client):
                stream = await client.download_blob(name, offset=0, length=64 * 1024)
                yield f"{container.name}/{name}", name + (await stream.readall()).decode("latin-1")
    async with TableServiceClient.from_connection_string(stack.storage) as tables:
        async for table in tables.list_tables():
            async for row in tables.get_table_client(table.name).list_entities():
                yield f"table {table.name}", repr(dict(row))
    async with stack.queue_service() as queues:
        async for queue in queues.list_queues():
            for message in await queues.get_queue_client(queue.name).peek_messages(max_messages=32):
                yield f"queue {queue.name}", base64.b64decode(message.content).decode()
