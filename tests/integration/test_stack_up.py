"""`python -m local up`: it comes up, its printed commands work, and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.processes import Command, no_process_of, processes_of, some_processes_of

if TYPE_CHECKING:
    from pathlib import Path

_PORTS = ("host", "blob", "queue", "table", "acs", "acs-second", "eventgrid")
_ANY_PORTS = [text for name in _PORTS for text in (f"--{name}-port", "0")]
_UP = "Ctrl-C stops everything."


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -9)]
)
async def test_however_the_stack_is_ended_no_process_is_left(tmp_path: Path, number: signal.Signals, code: int) -> None:
    async with await Command.start("up", "--folder", str(tmp_path), *_ANY_PORTS) as command:
        await command.read_until(_UP)
        running = await processes_of(str(tmp_path))
        command.signal(number)
        assert await command.end() == code, command.output
    assert len(running) >= 4, "supervisor, reaper, Azurite and Functions host were there before"
    assert "Traceback" not in command.output
    await no_process_of(str(tmp_path))


async def test_ctrl_c_while_the_stack_starts_leaves_no_process(tmp_path: Path) -> None:
    async with await Command.start("up", "--folder", str(tmp_path), *_ANY_PORTS) as command:
        await some_processes_of(str(tmp_path), 3)
        command.signal(signal.SIGINT)
        assert await command.end() == 0, command.output
    assert "Traceback" not in command.output
    await no_process_of(str(tmp_path))


@pytest.mark.parametrize("name", _PORTS)
async def test_a_taken_port_is_one_sentence_with_the_option_that_moves_it(tmp_path: Path, name: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        command = await Command.start("up", "--folder", str(tmp_path), *_ANY_PORTS, f"--{name}-port", str(port))
        assert await command.end() == 1
    assert command.lines[-1].startswith(f"port {port}, which ")
    assert f"--{name}-port" in command.lines[-1]
    assert "Traceback" not in command.output
    await no_process_of(str(tmp_path))


async def test_func_that_is_not_installed_is_reported_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    command = await Command.start("up", "--folder", str(tmp_path), "--functions-host", "func", *_ANY_PORTS)
    assert await command.end() == 1
    assert command.lines[-1].startswith("HOST=func asks for Azure Functions Core Tools and there is no `func` on PATH")
    assert len(command.lines) <= 2, command.output


async def test_the_printed_commands_record_and_archive_a_call_when_pasted(tmp_path: Path) -> None:
    async with await Command.start("up", "--folder", str(tmp_path), "--clock-rate", "20", *_ANY_PORTS) as command:
        await command.read_until(_UP)
        shown = command.lines[next(n for n, line in enumerate(command.lines) if line.startswith("A call is open")) :]
        pasted = [line for line in shown if line.startswith("  ")]
        archive = pasted.pop().strip().replace(".venv/bin/python", sys.executable)
        assert " -m local archive --blob-port " in archive
        shell = await asyncio.create_subprocess_exec(
            "bash", "-e", "-c", "\n".join(pasted), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await shell.communicate()
        assert shell.returncode == 0, output.decode()
        recording = output.decode().split("\n", 1)[0]
        assert len(recording) > 20, output.decode()
        listed = ""
        async with asyncio.timeout(90):
            while "complete" not in listed:
                listing = await asyncio.create_subprocess_exec(*archive.split(), stdout=asyncio.subprocess.PIPE)
                listed = (await listing.communicate())[0].decode()
        assert recording in listed
        command.signal(signal.SIGINT)
        assert await command.end() == 0
    await no_process_of(str(tmp_path))
