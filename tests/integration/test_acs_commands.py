"""The emulator's commands, against an emulator that runs."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import typer
from typer.testing import CliRunner, Result

from local.acs.cli import register
from local.ports import free_port
from tests.integration.acs_fixtures import Bench, bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("media")) as made:
        yield made


async def command(*arguments: str) -> Result:
    """Run a command in a thread, since it runs an event loop of its own."""
    app = typer.Typer()
    register(app)
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def asked(running: Bench, *arguments: str) -> Any:
    done = await command(*arguments, "--acs", running.acs.endpoint, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def test_a_call_is_made_joined_left_and_ended(running: Bench) -> None:
    call = await asked(running, "call", "start", "--participant", "8:acs:a", "--group", "g")
    assert (call["participants"], call["groupCallId"]) == (["8:acs:a"], "g")
    await asked(running, "call", "join", call["callId"], "8:acs:b")
    left = await asked(running, "call", "leave", call["callId"], "8:acs:a")
    assert left["participants"] == ["8:acs:b"]
    await asked(running, "call", "end", call["callId"])
    assert (await asked(running, "call", "show", call["callId"]))["state"] == "ended"


async def test_a_recording_is_made_shown_and_announced(running: Bench) -> None:
    made = await asked(
        running, "record", "make", "--duration", "1500ms", "--chunks", "2", "--content", "audio", "--no-announce"
    )
    assert [chunk["durationMs"] for chunk in made["chunks"]] == [750, 750]
    assert (await asked(running, "record", "show", made["recordingId"]))["recordingId"] == made["recordingId"]
    form = await asked(running, "record", "announce", made["recordingId"], "--payload", "2021", "--omit", "endReason")
    assert (form["payload"], form["omit"]) == ("2021", ["endReason"])
    assert len((await asked(running, "record", "list"))["recordings"]) >= 1


async def test_faults_are_ordered_listed_and_taken_back(running: Bench) -> None:
    fault = await asked(running, "fault", "add", "503", "--target", "content", "--retry-after", "5", "--times", "0")
    assert (fault["status"], fault["retryAfter"], fault["times"]) == (503, 5, None)
    assert len((await asked(running, "fault", "list"))["faults"]) == 1
    assert (await asked(running, "fault", "clear"))["removed"] == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("503", "--burst", "2", "--gap", "3"), {"status": 503, "burst": 2, "gap": 3, "times": None}),
        (("429", "--retry-after", "soon"), {"retryAfter": "soon"}),
        (("429", "--retry-after", "90", "--retry-after-as-date"), {"retryAfter": 90, "retryAfterAsDate": True}),
        (("400", "--locator", "roomCallLocator", "--code", "8501"), {"target": "start", "code": "8501"}),
        (("html", "--encoding", "utf-16", "--content-type", "video/mp4"), {"encoding": "utf-16", "target": "content"}),
        (("short", "--after-bytes", "9", "--framing", "close"), {"afterBytes": 9, "framing": "close"}),
        (("grow", "--after-bytes", "9", "--delta", "5", "--times", "3"), {"delta": 5, "times": 3}),
        (("json-error",), {"target": "metadata"}),
        (("hang", "--target", "start", "--carried-out"), {"carriedOut": True}),
        (("close", "--target", "start", "--carried-out"), {"carriedOut": True}),
    ],
)
async def test_each_fault_is_ordered_by_command(
    running: Bench, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    fault = await asked(running, "acs", "fault", "add", *arguments)
    await asked(running, "fault", "clear")
    assert expected.items() <= fault.items()


async def test_the_form_of_events_to_come_is_set_by_command(running: Bench) -> None:
    form = await asked(running, "fault", "events", "--lost", "1", "--duplicates", "2", "--new-ids", "--delay", "1h")
    assert (form["lost"], form["duplicates"], form["newIds"], form["delaySeconds"]) == (1, 2, True, 3600)
    assert (await asked(running, "fault", "events"))["lost"] == 0


async def test_the_order_of_callbacks_is_set_by_command(running: Bench) -> None:
    assert (await asked(running, "fault", "callbacks", "lost"))["order"] == "lost"
    assert (await asked(running, "fault", "callbacks", "normal"))["order"] == "normal"


async def test_a_chunk_is_reissued_by_command(running: Bench) -> None:
    made = await asked(running, "record", "make", "--duration", "1s", "--content", "audio", "--no-announce")
    again = await asked(running, "record", "reissue", made["recordingId"], "--size", "50000", "--no-announce")
    assert [chunk["contentLength"] for chunk in again["reissued"]] == [50_000]


async def test_the_clock_is_shown_sped_up_and_moved(running: Bench) -> None:
    before = await asked(running, "clock")
    after = await asked(running, "clock", "--rate", "2", "--advance", "24h")
    await asked(running, "clock", "--rate", "1")
    assert after["rate"] == 2
    assert after["now"][:10] > before["now"][:10]


async def test_answers_are_readable_without_json(running: Bench) -> None:
    done = await command("record", "make", "--duration", "1s", "--content", "audio", "--acs", running.acs.endpoint)
    assert "audio/mixed/mp3  1 s  files ready" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fault", "add", "cut"), "The emulator refused: body: a fault of kind cut needs afterBytes"),
        (("call", "end", "unknown"), "The emulator refused: There is no call with callId unknown."),
        (("record", "make", "--format", "ogg"), "'wav', 'mp3' or 'mp4'"),
    ],
)
async def test_a_refusal_is_one_sentence(running: Bench, arguments: tuple[str, ...], words: str) -> None:
    done = await command(*arguments, "--acs", running.acs.endpoint)
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.output


async def test_an_emulator_that_is_not_there_is_one_sentence() -> None:
    done = await command("clock", "--acs", f"http://127.0.0.1:{free_port()}")
    assert done.exit_code == 1
    assert done.stderr.startswith("No ACS emulator answers at http://127.0.0.1:")


async def test_a_port_that_is_taken_is_one_sentence(running: Bench) -> None:
    done = await command("acs", "--port", running.acs.endpoint.rpartition(":")[2], "--second-port", "0")
    assert done.exit_code == 1
    assert "free that port or choose another with --port" in done.stderr


async def test_run_alone_it_says_how_to_use_it_and_ends_with_a_signal(tmp_path: Path) -> None:
    port = free_port()
    arguments = ["acs", "--port", str(port), "--second-port", "0", "--media-dir", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        shown = await process.stdout.readuntil(b"Ctrl-C")
        assert f"endpoint=http://127.0.0.1:{port}/;accesskey=".encode() in shown
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/control") as answer:
            assert (await answer.json())["endpoint"] == f"http://127.0.0.1:{port}"
            async with session.get(f"http://127.0.0.1:{port}/v1/objects/x/content/video") as refused:
                assert refused.status == 401
        line = await process.stdout.readuntil(b"Authorization header.")
        assert b" 401 GET /v1/objects/x/content/video  The request has no" in line
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
