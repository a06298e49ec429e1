"""Commands stop what they started, however they end."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from local.acs.errors import AcsEmulatorError
from local.eventgrid.errors import StartError
from local.problems import LocalProblem
from local.running import INTERRUPTED, run


def test_the_exit_code_is_the_command_s() -> None:
    async def command() -> int:
        return 7

    assert run(command()) == 7


@pytest.mark.parametrize("error", [LocalProblem, AcsEmulatorError, StartError])
def test_a_problem_is_one_sentence_on_standard_error(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    async def command() -> int:
        raise error("port 7071 is taken: move it")

    assert run(command()) == 1
    assert capsys.readouterr() == ("", "port 7071 is taken: move it\n")


def test_a_problem_inside_a_task_group_is_the_same_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise LocalProblem("port 7071 is taken: move it")

    async def command() -> int:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
        return 0

    assert run(command()) == 1
    assert capsys.readouterr().err == "port 7071 is taken: move it\n"


def test_a_programming_error_is_not_reported_as_a_problem() -> None:
    async def command() -> int:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        run(command())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_command_stop_what_it_started(number: signal.Signals) -> None:
    stopped = []

    async def command() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), number)  # an impatient second one must not cut the stopping short
            await asyncio.sleep(0.01)
            stopped.append(True)
        return 0

    before = signal.signal(number, signal.SIG_DFL)  # this process may have been started with nohup
    try:
        assert run(command()) == INTERRUPTED
    finally:
        signal.signal(number, before)
    assert stopped == [True]


def test_a_closed_terminal_does_not_end_what_nohup_started() -> None:
    async def command() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.01)
        return 7

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(command()) == 7
    finally:
        signal.signal(signal.SIGHUP, before)
