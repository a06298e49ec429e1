"""The Event Grid webhook of the Functions host: both handshakes, both schemas, batches, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.integration.host_fixtures import HostProcess, SampleQueues

pytest_plugins = ["tests.integration.host_fixtures"]


def event(**data: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "topic": "/subscriptions/x/topic",
        "subject": "recording/1",
        "eventType": "Sample.Happened",
        "eventTime": "2026-11-22T10:00:00.1234567Z",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "data": data,
    }


def cloud_event(**data: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "source": "/subscriptions/x/topic",
        "subject": "recording/1",
        "type": "Sample.Happened",
        "time": "2026-11-22T10:00:00.1234567Z",
        "specversion": "1.0",
        "data": data,
    }


async def post(
    host: HostProcess,
    body: object,
    *,
    kind: str | None = "Notification",
    function: str = "event_taken",
    code: str | None = None,
    content_type: str = "application/json",
) -> tuple[int, bytes]:
    headers = {"Content-Type": content_type} | ({"aeg-event-type": kind} if kind else {})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = host.keys.event_grid_key if code is None else code
    path = f"/runtime/webhooks/EventGrid?functionName={function}&code={key}"
    return await host.request("POST", path, data=data, headers=headers)


async def taken(queues: SampleQueues, sent: dict[str, Any]) -> dict[str, Any]:
    text = await queues.take(queues.events, lambda text: json.loads(text)["id"] == sent["id"])
    found: dict[str, Any] = json.loads(text)
    return found


async def test_a_subscription_is_validated_by_giving_its_code_back(sample_host: HostProcess) -> None:
    wanted = {"validationCode": "512d38b6", "validationUrl": "https://example/"}
    validation = [event(**wanted) | {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent"}]
    status, body = await post(sample_host, validation, kind="SubscriptionValidation")
    assert (status, json.loads(body)) == (200, {"validationResponse": "512d38b6"})


async def test_a_validation_in_cloud_events_form_has_its_data_in_a_text(sample_host: HostProcess) -> None:
    validation = cloud_event() | {"data": json.dumps({"validationCode": "abc"})}
    status, body = await post(sample_host, validation, kind="SubscriptionValidation")
    assert (status, json.loads(body)) == (200, {"validationResponse": "abc"})


async def test_options_is_the_handshake_of_cloud_events(sample_host: HostProcess) -> None:
    url = f"{sample_host.url}/runtime/webhooks/EventGrid"
    query = {"functionName": "event_taken", "code": sample_host.keys.event_grid_key}
    asked = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
    async with sample_host.session.options(url, params=query, headers=asked) as response:
        assert response.status == 200
        assert response.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
        assert response.headers["WebHook-Allowed-Rate"] == "120"
    async with sample_host.session.options(url, params=query) as response:
        assert response.status == 400


async def test_a_batch_in_the_event_grid_schema_runs_the_function_once_for_each_event(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    batch = [event(number=number) for number in range(3)]
    assert await post(sample_host, batch) == (202, b"")
    for sent in batch:
        assert await taken(sample_queues, sent) == {
            "form": "eventgrid",
            "id": sent["id"],
            "type": "Sample.Happened",
            "source": "/subscriptions/x/topic",
            "data": sent["data"],
        }


async def test_cloud_events_arrive_one_by_one_and_in_batches(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    lone, first, second = cloud_event(n=0), cloud_event(n=1), cloud_event(n=2)
    assert (await post(sample_host, lone, content_type="application/cloudevents+json; charset=utf-8"))[0] == 202
    assert (await post(sample_host, [first, second], content_type="application/cloudevents-batch+json"))[0] == 202
    for sent in (lone, first, second):
        found = await taken(sample_queues, sent)
        assert (found["form"], found["data"]) == ("cloud", sent["data"])


async def test_one_failure_fails_the_batch_with_the_exceptions_message_and_the_rest_has_run(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    good = event(number=1)
    status, body = await post(sample_host, [event(fail=True), good])
    assert status == 500
    assert body.decode() == "ValueError: sample event failure"
    assert (await taken(sample_queues, good))["id"] == good["id"]


@pytest.mark.parametrize("code", ["", "wrong"])
async def test_a_wrong_system_key_is_401(sample_host: HostProcess, code: str) -> None:
    assert (await post(sample_host, [event()], code=code))[0] == 401
    assert (await post(sample_host, [event()], code=sample_host.keys.function_key))[0] == 401
    assert (await post(sample_host, [event()], kind="Unsubscribe", code=sample_host.keys.master))[0] == 202


@pytest.mark.parametrize("function", ["missing", "echo", ""])
async def test_a_function_without_this_trigger_is_404(sample_host: HostProcess, function: str) -> None:
    assert (await post(sample_host, [event()], function=function))[0] == 404


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (None, [event()]),
        ("Strange", [event()]),
        ("Notification", b"no json"),
        ("Notification", [1]),
        ("SubscriptionValidation", []),
        ("SubscriptionValidation", [event()]),
    ],
)
async def test_what_is_neither_handshake_nor_delivery_is_400(
    sample_host: HostProcess, kind: str | None, body: object
) -> None:
    assert (await post(sample_host, body, kind=kind))[0] == 400


async def test_unsubscribing_is_accepted(sample_host: HostProcess) -> None:
    assert await post(sample_host, [], kind="Unsubscribe") == (202, b"")
