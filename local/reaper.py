"""Ends the local stack's processes when the process that started them is gone, however it went.

Runs as a script, in a session of its own, and reads its standard input: `+123` to watch process group 123, `-123` to
forget it. The input ends when the other side does, even by SIGKILL; whatever is still watched then is ended. Imports
next to nothing, so that it is there at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def main() -> None:
    """Watch until the input ends, then end what is left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


def end(groups: set[int]) -> None:
    """Ask the process groups to end, and make them after `GRACE_SECONDS`."""
    deadline = time.monotonic() + GRACE_SECONDS
    left = {group for group in groups if _signalled(group, signal.SIGTERM)}
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if _signalled(group, 0)}
    for group in left:
        _signalled(group, signal.SIGKILL)


def _signalled(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main()
