"""Runs the emulator by itself and shows how to use it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from local.acs.clock import EmulatedClock
from local.acs.server import AcsEmulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.acs.options import AcsOptions


async def run(options: AcsOptions, clock_rate: float, say: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters
    ----------
    options
        The emulator's options.
    clock_rate
        Emulated seconds in a real second.
    say
        Shows text to the person at the terminal.

    Raises
    ------
    AcsEmulatorError
        When a port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AcsEmulator(options, clock=EmulatedClock(clock_rate)) as emulator:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        say(greeting(emulator))
        emulator.log.on_answered = lambda record: say(record.line())
        await stop.wait()


def greeting(emulator: AcsEmulator) -> str:
    """Return what is shown when the emulator is ready."""
    url = emulator.endpoint
    own = "" if url.endswith(":7080") else f" --acs {url}"
    topic = emulator.topic or f"none; they are kept at {url}/control/events (--topic URL posts them)"
    return f"""\
ACS call recording emulator, ready

  connection string   {emulator.connection_string}
  second media origin {emulator.second_origin}
  events go to        {topic}
  control             {url}/control

Record a call from Python (CallAutomationClient.from_connection_string would insist on https, so pass both parts):

  from azure.communication.callautomation import CallAutomationClient
  from azure.core.credentials import AzureKeyCredential

  client = CallAutomationClient("{url}", AzureKeyCredential("{emulator.options.access_key}"))
  recording = client.start_recording(server_call_id="<serverCallId of `python -m local call start{own}`>")

Or make a finished recording, without a call:

  curl -s -X POST {url}/control/recordings -d '{{"durationSeconds": 10, "chunks": 2}}'

Ctrl-C stops it."""
