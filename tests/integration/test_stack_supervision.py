"""No process is left behind, however the supervisor ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from local.problems import LocalProblem
from local.supervision import Supervisor
from tests.integration.processes import no_process_of, processes_of

if TYPE_CHECKING:
    from pathlib import Path

# A supervisor whose child ignores every polite request, and has a child of its own.
_STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(600)"
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from local import reaper
from local.supervision import Supervisor

async def main():
    async with Supervisor(sys.argv[1]) as supervisor:
        child = await supervisor.spawn("child", [sys.executable, "-c", sys.argv[2], sys.argv[1]], log=Path(sys.argv[1]))
        print(child.pid, flush=True)
        await child.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_children_and_their_children_end_with_a_supervisor_that_is_killed(
    tmp_path: Path, number: signal.Signals
) -> None:
    label = str(tmp_path / "child.log")
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, label, _STUBBORN),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert supervisor.stdout is not None
    await supervisor.stdout.readline()
    running = len(await processes_of(label))
    os.kill(supervisor.pid, number)
    await supervisor.communicate()
    await no_process_of(label)
    assert running >= 3, "the supervisor, its reaper, and the child were there before"


async def test_a_child_that_ends_before_it_is_ready_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
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
