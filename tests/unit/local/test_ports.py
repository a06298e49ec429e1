"""Ports: free ones are found, and a taken one is named."""

from __future__ import annotations

import socket

import pytest

from local import ports
from local.problems import LocalProblem


@pytest.fixture
def taken_port() -> object:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.free_port()))


def test_a_wanted_port_that_is_free_is_taken_as_it_is() -> None:
    port = ports.free_port()
    assert ports.claim("127.0.0.1", port, "the Functions host", "--host-port") == port


def test_port_zero_stands_for_any_free_one() -> None:
    assert ports.claim("127.0.0.1", 0, "the Functions host", "--host-port") > 0


def test_a_taken_port_is_named_with_its_service_and_the_option_that_moves_it(taken_port: int) -> None:
    with pytest.raises(LocalProblem) as problem:
        ports.claim("127.0.0.1", taken_port, "the Functions host", "--host-port")
    assert str(problem.value) == (
        f"port {taken_port}, which the Functions host would listen on, is taken by another program: stop what uses it, "
        "or choose another port with --host-port (0 for any free one)"
    )


def test_an_address_that_is_not_this_machine_s_is_named_as_such() -> None:
    with pytest.raises(LocalProblem, match=r"port 7071, .* cannot be used \(.*\)"):
        ports.claim("192.0.2.1", 7071, "the Functions host", "--host-port")
