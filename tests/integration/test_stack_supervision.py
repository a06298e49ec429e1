"""No process is left behind, however the supervisor ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from local.problems import LocalProblem
from local.running import INTERRUPTED
from local.supervision import Supervisor
from tests.integration.processes import no_process_of, some_processes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A supervisor whose child ignores every polite request, and has a child of its own.
_STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(600)"
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from local import reaper
from local.running import run
from local.supervision import Supervisor

async def main():
    async with Supervisor(sys.argv[1], grace=1) as supervisor:
        child = await supervisor.spawn("child", [sys.executable, "-c", sys.argv[2], sys.argv[1]], log=Path(sys.argv[1]))
        print(child.pid, flush=True)
        await child.wait()
    return 0

"""
# A program that stops its children when it is asked to end, as every command of `python -m local` does, and one that
# ends without a word to them.
_ORDERLY, _CARELESS = _PROGRAM + "sys.exit(run(main()))", _PROGRAM + "asyncio.run(main())"


@pytest.mark.parametrize("ignored", [False, True], ids=["", "SIGINT-ignored"])
@pytest.mark.parametrize(
    ("program", "number"),
    [
        (_ORDERLY, signal.SIGINT),
        (_ORDERLY, signal.SIGTERM),
        (_ORDERLY, signal.SIGHUP),
        (_ORDERLY, signal.SIGKILL),
        (_CARELESS, signal.SIGTERM),
    ],
    ids=["run-SIGINT", "run-SIGTERM", "run-SIGHUP", "run-SIGKILL", "asyncio-SIGTERM"],
)
async def test_children_and_their_children_end_with_a_supervisor_that_is_killed(
    tmp_path: Path, program: str, number: signal.Signals, *, ignored: bool
) -> None:
    label = str(tmp_path / "child.log")
    # A shell without job control starts `command &` with SIGINT ignored, and this suite may run so too.
    with (
        _inherited(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL),
        _inherited(signal.SIGHUP, signal.SIG_DFL),
    ):
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, label, _STUBBORN),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    assert supervisor.stdout is not None
    await supervisor.stdout.readline()
    await some_processes_of(label, 4)  # the supervisor, its reaper, the child, and the child's child
    os.kill(supervisor.pid, number)
    await supervisor.communicate()
    await no_process_of(label)


async def test_a_signal_ends_a_command_that_does_not_stop_in_its_time_and_its_children(tmp_path: Path) -> None:
    label = str(tmp_path / "child.log")
    program = _PROGRAM.replace("await child.wait()", "await deaf()") + (
        "async def deaf():\n"
        "    while True:\n"
        "        try:\n"
        "            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n"
        "            print('cancelled', flush=True)\n"
        "run(main(), stop_seconds=0.2)"
    )
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, label, "import time; time.sleep(600)"), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    await supervisor.stdout.readline()
    os.kill(supervisor.pid, signal.SIGTERM)
    assert await supervisor.stdout.readline() == b"cancelled\n"
    await asyncio.sleep(0.2)
    os.kill(supervisor.pid, signal.SIGTERM)
    await supervisor.communicate()
    assert supervisor.returncode == INTERRUPTED
    await no_process_of(label)


async def test_a_child_that_ends_before_it_is_ready_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(str(tmp_path)) as supervisor:
        child = await supervisor.spawn(
            "the child", [sys.executable, "-c", "print('no such file'); raise SystemExit(3)"], log=tmp_path / "log"
        )
        with pytest.raises(LocalProblem, match=r"(?s)the child ended with exit code 3 .*log:\n    no such file"):
            await child.ready(never, within=30)


async def test_a_child_s_output_goes_to_the_log_and_is_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    async with Supervisor(str(tmp_path)) as supervisor:
        child = await supervisor.spawn(
            "the child",
            [sys.executable, "-c", "import sys; print('out', flush=True); print('x' * 200_000, file=sys.stderr)"],
            log=tmp_path / "log",
            show=shown.append,
        )
        assert await child.wait() == 0
    assert "".join(shown) == "out" + "x" * 200_000
    assert (tmp_path / "log").read_text() == "out\n" + "x" * 200_000 + "\n"


@contextmanager
def _inherited(number: signal.Signals, action: signal.Handlers) -> Iterator[None]:
    """Start processes that ignore a signal, or do not, whatever this one was started with."""
    before = signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, before)
