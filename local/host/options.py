"""How to run a host; apart from the host, so that the command line does not import the worker library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True, frozen=True)
class HostOptions:
    """How to run a host.

    Parameters
    ----------
    root
        The folder with function_app.py and host.json.
    port
        0 takes any free port; None is local.settings.json's Host.LocalHttpPort, or 7071.
    host
        The address to listen on.
    keys_file
        Where the access keys are kept; made if missing. Timers keep their state beside it.
    auth
        Whether keys are asked for.
    verbose
        Whether the worker library's own log is shown.
    queue_lease
        Seconds a queue message is leased for, renewed at half of it.
    stop_grace
        Seconds that running invocations have to end when the host is stopped.
    timeout_grace
        Seconds that a function's code has to end after its timeout, before the process is replaced.
    """

    root: Path
    port: int | None = None
    host: str = "127.0.0.1"
    keys_file: Path = Path(".local/keys.json")
    auth: bool = True
    verbose: bool = False
    queue_lease: float = 600.0
    stop_grace: float = 5.0
    timeout_grace: float = 2.0
