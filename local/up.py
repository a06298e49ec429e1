"""`python -m local up`: the stack runs, and the terminal shows commands to use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from local.stack import Stack, StackOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.progress import Progress


async def up(options: StackOptions, progress: Progress) -> int:
    """Start the stack, open a first call, show ready-to-paste commands, and stay until the Functions host ends.

    Returns
    -------
    int
        1, when the host ended by itself; ending the stack from outside is a cancellation.
    """
    with progress.step("start the local stack") as report:
        stack = await Stack(options, progress=report).__aenter__()
    try:
        call = await _first_call(stack)
        progress.console.print(instructions(stack, call), markup=False, highlight=False, soft_wrap=True)
        code = await stack.host.wait()
        progress.line(f"The Functions host ended with exit code {code}; see {stack.logs}.")
        return 1
    finally:
        with progress.step("stop the local stack"):
            await asyncio.shield(stack.__aexit__(None, None, None))


async def _first_call(stack: Stack) -> Mapping[str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stack.acs.endpoint}/control/calls", json={}) as answer,
    ):
        answer.raise_for_status()
        call: Mapping[str, str] = await answer.json()
        return call


def instructions(stack: Stack, call: Mapping[str, str]) -> str:
    """Return where everything is, and commands that record the call with this stack's ports and keys."""
    api = f"{stack.url}/api/recordings"
    key = f"-H 'x-functions-key: {stack.function_key}'"
    blob, queue, table = stack.azurite.ports
    python = ".venv/bin/python -m local"
    acs = "" if stack.acs.endpoint.endswith(":7080") else f" --acs {stack.acs.endpoint}"
    archive = "" if blob == 10000 else f" --blob-port {blob}"
    return f"""
Functions host       {stack.url}
ACS emulator         {stack.acs.endpoint}   second media origin {stack.acs.second_origin}
Event Grid emulator  {stack.eventgrid.endpoint}
Azurite              blob {blob}, queue {queue}, table {table}
Logs                 {stack.logs}

A call is open: {call["callId"]}. Record it, from another terminal in this folder:

  # start, and remember the recording's id
  RECORDING=$(curl -sS {key} -d '{{"serverCallId":"{call["serverCallId"]}"}}' {api} |
    sed -n 's/.*"recordingId": *"\\([^"]*\\)".*/\\1/p'); echo "$RECORDING"

  # how it stands; pause; resume; stop
  curl -sS {key} "{api}/$RECORDING"
  curl -sS {key} -X POST "{api}/$RECORDING/pause"
  curl -sS {key} -X POST "{api}/$RECORDING/resume"
  curl -sS {key} -X POST "{api}/$RECORDING/stop"

  # a few seconds later: what is in the archive
  {python} archive{archive}

More: {python} --help, say `{python} call start{acs}`. Ctrl-C stops everything.
"""
