"""From the command line to a running host: one clear sentence when it cannot start, a fresh process when it must."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from local.host.endings import DRAINED_EXIT_CODE, Ending
from local.host.errors import HostError

if TYPE_CHECKING:
    from local.host.options import HostOptions


def launch(options: HostOptions) -> NoReturn:
    """Run a host until it is stopped, and end the process.

    The process ends at once, with 0 after a stop, 143 after a drain without replacement, and 1 where the host cannot
    start: a function that is stuck in a thread could keep it alive otherwise. Where it is replaced, the fresh process
    has its id and its port.
    """
    if sys.version_info[:2] != (3, 13):
        _fail(
            f"The Functions host needs Python 3.13, which Azure runs the app on, and this is "
            f"{sys.version_info.major}.{sys.version_info.minor}: make the virtual environment with python3.13."
        )
    try:
        from local.host.server import FunctionsHost  # noqa: PLC0415 - imports the worker library, which needs 3.13
    except KeyboardInterrupt:
        os._exit(130)

    environment = dict(os.environ)
    folder = os.getcwd()  # noqa: PTH109 - os.chdir below takes it back as it was
    port = 0

    async def serve() -> Ending:
        nonlocal port
        functions_host = FunctionsHost(options)
        try:
            return await functions_host.run()
        finally:
            port = functions_host.port

    try:
        ending = asyncio.run(serve())
    except HostError as exc:
        _fail(str(exc))
    logging.shutdown()
    sys.stdout.flush()
    if ending is Ending.REPLACED:
        os.chdir(folder)
        arguments = [sys.executable, *sys.orig_argv[1:], "--port", str(port)]
        os.execve(sys.executable, arguments, environment)  # noqa: S606 - itself, with what it was started with
    os._exit(DRAINED_EXIT_CODE if ending is Ending.DRAINED else 0)


def _fail(message: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.write(f"\n{message}\n\n")
    sys.stderr.flush()
    os._exit(1)
