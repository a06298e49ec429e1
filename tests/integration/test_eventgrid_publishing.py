"""Publishing over HTTP: the official client, keys, validation, sizes; and the control routes and commands."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import typer
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
from azure.eventgrid.aio import EventGridPublisherClient as AsyncEventGridPublisherClient
from typer.testing import CliRunner

from local.eventgrid.cli import register
from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.errors import StartError
from local.eventgrid.options import EventGridOptions
from local.eventgrid.schemas import EventSchema, TopicKind
from tests.integration.eventgrid_fixtures import emulator, event, settings, subscriber

if TYPE_CHECKING:
    from pathlib import Path

GRID_EVENT = EventGridEvent(subject="/s", event_type="Recording.Archived", data={"a": 1}, data_version="1.0")
CLOUD_EVENT = CloudEvent(
    source="/archive", type="Recording.Archived", data={"a": 1}, subject="/s", extensions={"traceparent": "00-1"}
)


async def post(grid: EventGridEmulator, body: Any, topic: str = "acs", **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "aeg-sas-key": grid.topic_key("acs")} | headers
    url = f"{grid.endpoint}/topics/{topic}/api/events?api-version=2018-01-01"
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(data), headers=sent) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


@pytest.mark.parametrize("schema", list(EventSchema))
async def test_the_official_clients_publish_over_plain_http(schema: EventSchema) -> None:
    sent = GRID_EVENT if schema is EventSchema.EVENT_GRID else CLOUD_EVENT
    async with emulator() as grid, subscriber() as hook:
        topic = await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=schema)
        await grid.create_subscription("own", settings(hook.url, event_delivery_schema=schema))
        url, key = grid.topic_endpoint("own"), AzureKeyCredential(topic.key)
        async with AsyncEventGridPublisherClient(url, key) as client:
            await client.send(sent)
            await client.send([sent, sent])

        def send() -> None:
            with EventGridPublisherClient(url, key) as blocking:
                blocking.send([sent])

        await asyncio.to_thread(send)
        assert await grid.wait_until_idle(5)
        assert len(hook.events()) == 4
        got = hook.events()[0]
        assert got["data"] == {"a": 1}
        if schema is EventSchema.CLOUD_EVENTS:
            assert (got["source"], got["traceparent"]) == ("/archive", "00-1")
            assert datetime.fromisoformat(got["time"]) <= datetime.now(UTC)
        else:
            assert got["topic"] == topic.resource_id


async def test_the_official_client_raises_what_it_raises_in_azure() -> None:
    async with emulator() as grid:
        async with AsyncEventGridPublisherClient(grid.topic_endpoint("acs"), AzureKeyCredential("wrong")) as client:
            with pytest.raises(ClientAuthenticationError):
                await client.send(GRID_EVENT)
        key = AzureKeyCredential(grid.topic_key("acs"))
        async with AsyncEventGridPublisherClient(grid.topic_endpoint("acs"), key) as client:
            with pytest.raises(HttpResponseError, match="'traceparent'") as refused:
                await client.send(CLOUD_EVENT)
            assert refused.value.status_code == 400
        assert grid.metrics("acs")["PublishFailCount"] == 2


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"aeg-sas-key": "wrong"}, "is not the key"),
        ({"aeg-sas-token": "r=x&e=y&s=z"}, "is not signed with the topic's key"),
        ({"Authorization": "SharedAccessSignature r=x&e=y"}, "has no field 's'"),
        ({"Authorization": "Bearer x"}, "does not check 'Bearer'"),
        ({}, "no 'aeg-sas-key' header"),
    ],
)
async def test_only_the_key_opens_a_topic(headers: dict[str, str], said: str) -> None:
    async with (
        emulator() as grid,
        aiohttp.ClientSession() as session,
        session.post(grid.topic_endpoint("acs"), json=[event()], headers=headers) as response,
    ):
        assert response.status == 401
        error = (await response.json())["error"]
        assert error["code"] == "Unauthorized"
        assert said in error["message"]


async def test_the_official_clients_publish_with_a_shared_access_signature() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url))
        url, until = grid.topic_endpoint("acs"), datetime.now(UTC) + timedelta(minutes=5)
        token = AzureSasCredential(generate_sas(url, grid.topic_key("acs"), until))
        async with AsyncEventGridPublisherClient(url, token) as client:
            await client.send(GRID_EVENT)

        def send() -> None:
            with EventGridPublisherClient(url, token) as blocking:
                blocking.send([GRID_EVENT])

        await asyncio.to_thread(send)
        authorization = {"Authorization": f"SharedAccessSignature {token.signature}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=[event()], headers=authorization) as response,
        ):
            assert response.status == 200
        assert await grid.wait_until_idle(5)
        assert len(hook.events()) == 3


async def test_the_official_client_is_refused_once_its_signature_has_expired() -> None:
    async with emulator() as grid:
        url, past = grid.topic_endpoint("acs"), datetime.now(UTC) - timedelta(seconds=1)
        token = AzureSasCredential(generate_sas(url, grid.topic_key("acs"), past))
        async with AsyncEventGridPublisherClient(url, token) as client:
            with pytest.raises(ClientAuthenticationError, match="has expired"):
                await client.send(GRID_EVENT)


async def test_the_key_may_stand_in_the_query() -> None:
    async with emulator() as grid, aiohttp.ClientSession() as session:
        for key, status in ((grid.topic_key("acs"), 200), ("wrong", 401)):
            query = {"aeg-sas-key": key}
            async with session.post(grid.topic_endpoint("acs"), json=[event()], params=query) as response:
                assert response.status == status


async def test_an_invalid_event_refuses_the_whole_request_and_names_the_field() -> None:
    async with emulator() as grid, subscriber() as hook:
        await grid.create_subscription("acs", settings(hook.url))
        wrong = event("2")
        del wrong["eventType"]
        status, answer = await post(grid, [event("1"), wrong])
        assert status == 400
        assert "'eventType'" in answer["error"]["message"]
        assert grid.idle
        assert not hook.deliveries


async def test_a_request_over_one_megabyte_is_refused() -> None:
    async with emulator() as grid:
        fits = event(data="x" * (1024 * 1024 - 1000))
        assert (await post(grid, [fits]))[0] == 200
        status, answer = await post(grid, [event(data="x" * 1024 * 1024)])
        assert (status, answer["error"]["code"]) == (413, "PayloadTooLarge")


async def test_an_unknown_topic_is_not_found() -> None:
    async with emulator() as grid:
        status, answer = await post(grid, [event()], topic="none")
        assert (status, answer["error"]["message"]) == (404, "There is no topic 'none'.")


async def test_single_cloudevents_are_taken() -> None:
    async with emulator() as grid:
        await grid.create_topic("own", kind=TopicKind.CUSTOM, input_schema=EventSchema.CLOUD_EVENTS)
        cloud = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0"}
        headers = {"Content-Type": "application/cloudevents+json", "aeg-sas-key": grid.topic_key("own")}
        assert (await post(grid, cloud, "own", **headers))[0] == 200


async def test_a_taken_port_is_named() -> None:
    async with emulator() as grid:
        port = int(grid.endpoint.rpartition(":")[2])
        with pytest.raises(StartError, match=f"Port {port} on 127.0.0.1 is taken"):
            await EventGridEmulator(EventGridOptions(port=port)).__aenter__()


async def test_the_control_routes_do_what_the_api_does() -> None:
    async with (
        emulator() as grid,
        subscriber(statuses=[500, 200]) as hook,
        aiohttp.ClientSession(grid.endpoint) as http,
    ):

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with http.request(method, path, json=body) as response:
                return response.status, json.loads(await response.text() or "null")

        status, topic = await ask("POST", "/control/topics", {"name": "own", "kind": "custom"})
        assert (status, topic["endpoint"]) == (201, grid.topic_endpoint("own"))
        assert await ask("GET", "/control/topics/own/key") == (200, {"key": grid.topic_key("own")})
        path = "/control/topics/own/subscriptions/archive"
        body = {"endpoint": hook.url + "?code=SECRET", "retryPolicy": {"maxDeliveryAttempts": 5}}
        status, made = await ask("PUT", path + "?wait=1", body)
        assert (status, made["provisioningState"], made["endpointBaseUrl"]) == (201, "Succeeded", hook.url)
        assert "SECRET" not in str(made)
        status, answer = await ask("PUT", path, {**body, "retryPolicy": {"maxDeliveryAttempts": 99}})
        assert status == 400
        assert "'retryPolicy.maxDeliveryAttempts'" in answer["error"]["message"]
        await post(grid, [event()], "own", **{"aeg-sas-key": grid.topic_key("own")})
        await hook.until(1)
        assert (await ask("GET", "/control/idle?timeout=0.05"))[1]["idle"] is False
        (waiting,) = (await ask("GET", "/control/pending"))[1]["pending"]
        assert (waiting["topic"], waiting["subscription"], waiting["state"]) == ("own", "archive", "waiting")
        status, clock = await ask("POST", "/control/clock", {"advanceSeconds": 10, "rate": 2})
        assert (status, clock["rate"], clock["now"] >= waiting["nextAttemptTime"]) == (200, 2, True)
        assert (await ask("GET", "/control/idle?timeout=5"))[1]["idle"] is True
        metrics = (await ask("GET", "/control/metrics"))[1]["own"]["subscriptions"]["archive"]
        assert (metrics["DeliverySuccessCount"], metrics["DeliveryAttemptFailCount"]) == (1, 1)
        assert (await ask("GET", path))[1]["lastFailures"][0]["outcome"] == "GenericError"
        assert (await ask("POST", "/control/clock", {"rate": 0}))[0] == 400
        assert (await ask("DELETE", path))[0] == 204
        assert (await ask("GET", path))[0] == 404
        assert (await ask("DELETE", "/control/topics/own"))[0] == 204
        assert (await ask("GET", "/control/nothing"))[0] == 404


async def test_the_commands_drive_a_running_emulator(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)

    async def command(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return result.exit_code, result.output

    async with emulator() as grid, subscriber() as hook:
        at = ("--eventgrid", grid.endpoint)
        file = tmp_path / "event.json"
        file.write_text(json.dumps(event()))
        assert await command("subscription", "create", "archive", "--endpoint", hook.url, *at) == (
            0,
            "archive: Succeeded\n",
        )
        assert await command("events", "publish", str(file), *at) == (0, "published 1 event to acs\n")
        await hook.until(1)
        assert await grid.wait_until_idle(5)
        assert json.loads((await command("events", "pending", "--json", *at))[1]) == []
        assert json.loads((await command("subscription", "list", "--json", *at))[1])[0]["name"] == "archive"
        assert await command("subscription", "delete", "archive", *at) == (0, "")
        assert await command("subscription", "show", "archive", *at) == (
            1,
            "The topic 'acs' has no subscription 'archive'.\n",
        )
    code, said = await command("topic", "list", *at)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("No Event Grid emulator answers at")
