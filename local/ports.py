"""TCP ports for the parts of the local stack: free ones for tests, and a clear error when a fixed one is taken."""

from __future__ import annotations

import errno
import random
import socket

from local.problems import LocalProblem

# Below what Linux (32768) and macOS (49152) hand out for outgoing connections, so that a port stays free between a
# service's stop and its restart.
_LOWEST, _HIGHEST = 18000, 31999


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on `host` on which nothing listens, outside the range the system gives to outgoing connections."""
    # Not the module's own generator: test tools seed that, and processes side by side would pick the same ports.
    for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST + 1), 200):
        if _bind_error(host, port) is None:
            return port
    raise LocalProblem(f"no free port was found on {host} between {_LOWEST} and {_HIGHEST}; close what listens there")


def claim(host: str, port: int, service: str, option: str) -> int:
    """Return `port` if `service` can listen on it, or any free port for 0.

    Parameters
    ----------
    host
        The address to listen on.
    port
        The wanted port; 0 for any.
    service
        What wants it, for the message.
    option
        The option that moves it, for the message.

    Raises
    ------
    LocalProblem
        Something else listens there, or the port may not be used.
    """
    if port == 0:
        return free_port(host)
    error = _bind_error(host, port)
    if error is None:
        return port
    reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    raise LocalProblem(
        f"port {port}, which {service} would listen on, {reason}: stop what uses it, or choose another port "
        f"with {option} (0 for any free one)"
    )


def _bind_error(host: str, port: int) -> OSError | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the services do themselves: a port whose last connections are still in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None
