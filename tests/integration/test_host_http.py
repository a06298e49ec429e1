"""The Functions host over HTTP: routes, keys, answers, the admin routes, on the sample app in a process."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.host_fixtures import HostProcess, SampleQueues

pytest_plugins = ["tests.integration.host_fixtures"]


async def test_a_request_reaches_the_function_as_it_was_sent(sample_host: HostProcess) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    status, body = await sample_host.request(
        "POST",
        "/api/echo/a%3D%20b%2Fc%C3%A9/7?x=1&x=2&empty=",
        data=bytes(range(256)),
        headers={"X-Mixed-Case": "Yes", "traceparent": trace},
    )
    echoed = json.loads(body)
    assert status == 200
    assert echoed["method"] == "POST"
    assert echoed["route"] == {"id": "a= b%2Fcé", "number": "7"}
    assert echoed["query"] == {"x": "1,2"}
    assert echoed["headers"]["x-mixed-case"] == "Yes"
    assert bytes.fromhex(echoed["body"]) == bytes(range(256))
    assert echoed["url"].endswith("/api/echo/a%3D%20b%2Fc%C3%A9/7?x=1&x=2&empty=")
    assert echoed["function"] == "echo"
    assert echoed["traceparent"] == trace


async def test_an_optional_parameter_may_be_left_away_and_a_constraint_has_to_hold(sample_host: HostProcess) -> None:
    status, body = await sample_host.get("/API/Echo/some")
    assert (status, json.loads(body)["route"]) == (200, {"id": "some"})
    assert (await sample_host.get("/api/echo/some/text"))[0] == 404


async def test_a_literal_route_wins_over_a_parameter(sample_host: HostProcess) -> None:
    assert await sample_host.get("/api/echo/fixed") == (200, b"fixed")


async def test_a_catch_all_takes_the_rest_of_the_path_and_a_plain_function_runs_in_a_thread(
    sample_host: HostProcess,
) -> None:
    assert await sample_host.get("/api/files/a/b%20c/d") == (200, b"a/b c/d")
    assert await sample_host.get("/api/files") == (200, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/echo/1"), ("GET", "/api/nothing"), ("GET", "/echo/1"), ("GET", "/api/off"), ("GET", "/api")],
)
async def test_what_no_function_answers_is_404_wrong_methods_and_disabled_functions_too(
    sample_host: HostProcess, method: str, path: str
) -> None:
    assert await sample_host.request(method, path) == (404, b"")


async def test_status_headers_and_binary_body_come_back(sample_host: HostProcess) -> None:
    async with sample_host.session.get(f"{sample_host.url}/api/answer/binary") as response:
        assert response.status == 201
        assert response.headers["X-Sample"] == "yes"
        assert response.headers["Location"] == "/x"
        assert await response.read() == bytes(range(256))
    assert await sample_host.get("/api/answer/empty") == (204, b"")


async def test_each_cookie_becomes_a_header_of_its_own(sample_host: HostProcess) -> None:
    async with sample_host.session.get(f"{sample_host.url}/api/answer/cookies") as response:
        assert response.headers.getall("Set-Cookie") == [
            "a=1; max-age=60; path=/; httponly",
            "b=2; secure; samesite=Strict",
        ]


async def test_an_exception_is_an_empty_500_and_a_traceback_in_the_log(sample_host: HostProcess) -> None:
    assert await sample_host.get("/api/answer/failure") == (500, b"")
    await sample_host.says('raise ValueError("sample failure")')


async def test_a_function_key_opens_level_function_and_the_master_key_everything(sample_host: HostProcess) -> None:
    keys = sample_host.keys

    async def status(path: str, **options: Any) -> int:
        return (await sample_host.get(path, **options))[0]

    assert await sample_host.get("/api/locked") == (401, b"")
    assert await status("/api/locked?code=wrong") == 401
    assert await status(f"/api/locked?code={keys.function_key}") == 200
    assert await status("/api/locked", headers={"x-functions-key": keys.function_key}) == 200
    assert await status("/api/locked", headers={"x-functions-key": keys.master}) == 200
    assert await status("/api/locked", headers={"x-functions-key": keys.event_grid_key}) == 401
    assert await status("/api/vault", headers={"x-functions-key": keys.function_key}) == 401
    assert await status("/api/vault", headers={"x-functions-key": keys.master}) == 200


async def test_the_log_has_the_lines_that_func_start_has(sample_host: HostProcess) -> None:
    await sample_host.get("/api/echo/logged")
    output = await sample_host.says("Executed 'Functions.echo' (Succeeded")
    moment = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]"
    uuid = r"[0-9a-f-]{36}"
    assert re.search(
        rf"{moment} Executing 'Functions.echo' "
        rf"\(Reason='This function was programmatically called via the host APIs.', Id={uuid}\)",
        output,
    )
    assert re.search(rf"{moment} Executed 'Functions.echo' \(Succeeded, Id={uuid}, Duration=\d+ms\)", output)
    assert re.search(r"\n\techo: \[GET,POST\] http://localhost:\d+/api/echo/\{id\}/\{number:int\?\}\n", output)
    assert "\n\twork: queueTrigger\n" in output
    assert "\n\tswitched_off: disabled\n" in output


async def test_status_and_ping_need_no_key(sample_host: HostProcess) -> None:
    status, body = await sample_host.get("/admin/host/status")
    assert (status, json.loads(body)["state"]) == (200, "Running")
    assert await sample_host.get("/admin/host/ping") == (200, b"")
    assert (await sample_host.get("/"))[0] == 200


async def test_functions_are_listed_for_the_master_key_only(sample_host: HostProcess) -> None:
    master = {"x-functions-key": sample_host.keys.master}
    assert (await sample_host.get("/admin/functions"))[0] == 401
    function_key = {"x-functions-key": sample_host.keys.function_key}
    assert (await sample_host.get("/admin/functions", headers=function_key))[0] == 401
    listed = {f["name"]: f for f in json.loads((await sample_host.get("/admin/functions", headers=master))[1])}
    assert listed["echo"]["invoke_url_template"].endswith("/api/echo/{id}/{number:int?}")
    assert listed["switched_off"]["isDisabled"] is True
    one = json.loads((await sample_host.get("/admin/functions/work", headers=master))[1])
    queues = {binding["type"]: binding["queueName"] for binding in one["config"]["bindings"]}
    assert queues == {"queueTrigger": "%WORK_QUEUE%", "queue": "%DONE_QUEUE%"}
    assert (await sample_host.get("/admin/functions/missing", headers=master))[0] == 404


async def test_a_function_that_is_not_http_runs_on_demand(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    master = {"x-functions-key": sample_host.keys.master}
    order = {"input": json.dumps({"id": "on-demand"})}
    assert await sample_host.request("POST", "/admin/functions/work", json=order, headers=master) == (202, b"")
    assert (await sample_queues.noted("worked", "on-demand"))[0]["order"] == {"id": "on-demand"}
    assert (await sample_host.request("POST", "/admin/functions/echo", json=order, headers=master))[0] == 400
    assert (await sample_host.request("POST", "/admin/functions/work", data=b"no json", headers=master))[0] == 400
