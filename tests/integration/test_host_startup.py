"""What keeps the Functions host from starting is said in one clear block, and the process ends with 1."""

from __future__ import annotations

import asyncio
import json
import socket
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.integration.host_fixtures import host_process

if TYPE_CHECKING:
    from pathlib import Path

START = """
import typing
import azure.functions as func
app = func.FunctionApp()
"""
HTTP = """
@app.route(route="same", methods=["GET"])
def {name}(req: func.HttpRequest) -> str:
    return ""
"""

BROKEN = {
    "a list of events": (
        """
        @app.event_grid_trigger(arg_name="event")
        def listed(event: typing.List[func.EventGridEvent]) -> None: ...
        """,
        ["FunctionLoadError", "cannot load the listed function"],
    ),
    "a union of events": (
        """
        @app.event_grid_trigger(arg_name="event")
        def united(event: func.EventGridEvent | func.CloudEvent) -> None: ...
        """,
        ["FunctionLoadError", "cannot load the united function"],
    ),
    "the built-in list in Out": (
        """
        @app.queue_trigger(arg_name="msg", queue_name="q", connection="S")
        @app.queue_output(arg_name="out", queue_name="o", connection="S")
        def outgoing(msg: func.QueueMessage, out: func.Out[list[str]]) -> None: ...
        """,
        ["FunctionLoadError", "cannot load the outgoing function"],
    ),
    "a parameter without a binding": (
        """
        @app.queue_trigger(arg_name="msg", queue_name="q", connection="S")
        def extra(msg: func.QueueMessage, more: str) -> None: ...
        """,
        ["FunctionLoadError", "cannot load the extra function", "more"],
    ),
    "two functions of one name": (
        HTTP.format(name="twice") + HTTP.format(name="twice").replace("same", "other"),
        ["Function twice does not have a unique function name"],
    ),
    "two functions on one route": (
        HTTP.format(name="one") + HTTP.format(name="two").replace('["GET"]', '["POST", "GET"]'),
        ["Function 'two': the route 'api/same' is already that of function 'one'"],
    ),
    "a malformed route": (
        HTTP.format(name="one").replace("same", "a/{b"),
        ["Function 'one': the route 'api/a/{b' cannot be used: a brace is opened and not closed"],
    ),
    "a syntax error": ("def broken(:\n", ["SyntaxError", "function_app.py, line 5"]),
    "an exception at import": (
        'raise ValueError("no settings")',
        ["ValueError: no settings", "function_app.py, line 5"],
    ),
    "a missing module": ("import not_installed_anywhere", ["ModuleNotFoundError", "not_installed_anywhere"]),
    "no function": ("", ["function_app.py defines no function"]),
    "a binding the host does not have": (
        """
        @app.blob_trigger(arg_name="blob", path="c/{name}", connection="S")
        def blobs(blob: func.InputStream) -> None: ...
        """,
        ["Function 'blobs': the binding 'blob' of type 'blobTrigger' is not available in the local host"],
    ),
    "a connection that is not set": (
        """
        @app.queue_trigger(arg_name="msg", queue_name="q", connection="NOT_SET")
        def queued(msg: func.QueueMessage) -> None: ...
        """,
        ["Function 'queued', binding 'msg': the app setting 'NOT_SET' is missing"],
    ),
    "a connection by identity": (
        """
        @app.queue_trigger(arg_name="msg", queue_name="q", connection="IDENTITY")
        def queued(msg: func.QueueMessage) -> None: ...
        """,
        ["'IDENTITY' is an identity-based connection", "give the local host a connection string in 'IDENTITY'"],
    ),
    "a setting in a binding that is not there": (
        """
        @app.timer_trigger(arg_name="timer", schedule="%NO_SUCH%")
        def timed(timer: func.TimerRequest) -> None: ...
        """,
        ["Function 'timed', binding 'timer': %NO_SUCH% does not resolve, because there is no app setting 'NO_SUCH'"],
    ),
    "a schedule that is none": (
        """
        @app.timer_trigger(arg_name="timer", schedule="every day")
        def timed(timer: func.TimerRequest) -> None: ...
        """,
        ["Function 'timed': the schedule 'every day' cannot be read"],
    ),
}


def app(folder: Path, source: str, host_json: object = None, local_settings: object = None) -> Path:
    root = folder / "app"
    root.mkdir()
    (root / "function_app.py").write_text(START + dedent(source))
    (root / "host.json").write_text(json.dumps({"version": "2.0"} if host_json is None else host_json))
    if local_settings is not None:
        (root / "local.settings.json").write_text(json.dumps(local_settings))
    return root


async def refusal(folder: Path, root: Path, *arguments: str) -> str:
    """The output of a host that did not start."""
    environment = {"IDENTITY__queueServiceUri": "https://x.queue.core.windows.net", "S": "UseDevelopmentStorage=true"}
    async with host_process(folder, root, *arguments, environment=environment) as host:
        assert await host.ended() == 1, host.output
        assert "Traceback" not in host.output
        assert "Functions:" not in host.output
        return host.output


@pytest.fixture(scope="module")
async def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the host says to each broken app; they are tried side by side."""
    few = asyncio.Semaphore(3)

    async def said(source: str) -> str:
        async with few:
            folder = tmp_path_factory.mktemp("broken")
            return await refusal(folder, app(folder, source))

    async with asyncio.TaskGroup() as group:
        tasks = {case: group.create_task(said(source)) for case, (source, _) in BROKEN.items()}
    return {case: task.result() for case, task in tasks.items()}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_app_is_refused_by_name(refusals: dict[str, str], case: str) -> None:
    for text in BROKEN[case][1]:
        assert text in refusals[case]


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = await refusal(tmp_path, app(tmp_path, HTTP.format(name="one")), "--port", str(port))
    assert output.strip() == (
        f"Port {port} is in use by another process: stop that, or choose another port with --port."
    )


async def test_encrypted_local_settings_are_refused_with_the_way_out(tmp_path: Path) -> None:
    output = await refusal(tmp_path, app(tmp_path, "", local_settings={"IsEncrypted": True, "Values": {}}))
    assert "func settings decrypt" in output


async def test_a_folder_without_host_json_is_refused(tmp_path: Path) -> None:
    output = await refusal(tmp_path, tmp_path)
    assert "host.json is missing" in output


async def test_local_settings_reach_the_app_and_the_environment_wins(tmp_path: Path) -> None:
    source = """
    import os
    @app.route(route="settings", auth_level=func.AuthLevel.ANONYMOUS)
    def settings(req: func.HttpRequest) -> str:
        return os.environ["FROM_FILE"] + " " + os.environ["FROM_BOTH"]
    """
    values = {"IsEncrypted": False, "Values": {"FROM_FILE": "file", "FROM_BOTH": "file"}}
    root = app(tmp_path, source, local_settings=values)
    async with host_process(tmp_path, root, environment={"FROM_BOTH": "environment"}) as host:
        await host.says("Host started")
        assert await host.get("/api/settings") == (200, b"file environment")


async def test_a_queue_service_that_is_not_there_is_said_once_and_tried_again(tmp_path: Path) -> None:
    source = """
    @app.queue_trigger(arg_name="msg", queue_name="q", connection="NOWHERE")
    def queued(msg: func.QueueMessage) -> None: ...
    """
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"
    async with host_process(tmp_path, app(tmp_path, source), environment={"NOWHERE": nowhere}) as host:
        await host.says("The listener for function 'Functions.queued' cannot read queue 'q' and keeps trying: ")
        assert (await host.get("/admin/host/ping"))[0] == 200
        assert "Traceback" not in host.output
