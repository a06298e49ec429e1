"""The order of a host's last steps, on which it depends what becomes of messages."""

from __future__ import annotations

from typing import Any, cast

import pytest

from local.host import shutdown
from local.host.endings import Drain


class Recorder:
    """Stands for the listeners and the invoker, and notes what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("until_") or name == "hand_back":

            async def waited(*_: object) -> None:
                self.calls.append(name)

            return waited
        return lambda *_: self.calls.append(name)


async def test_a_drain_gives_messages_up_before_it_aborts_so_that_none_counts_as_failed() -> None:
    both = Recorder()
    await shutdown.drain(cast("Any", both), cast("Any", both), Drain(after=1))
    assert both.calls[0] == "stop"
    assert both.calls.index("give_up") < both.calls.index("abort_all")
    assert "hand_back" not in both.calls


async def test_a_failure_settles_messages_and_gives_none_up() -> None:
    both = Recorder()
    await shutdown.fail(cast("Any", both), cast("Any", both), "error")
    assert both.calls[0] == "stop"
    assert both.calls.index("abort_all") < both.calls.index("until_settled")
    assert "give_up" not in both.calls


async def test_a_stop_hands_messages_back() -> None:
    both = Recorder()
    await shutdown.stop(cast("Any", both), cast("Any", both), 0)
    assert both.calls.index("give_up") < both.calls.index("cancel_all") < both.calls.index("hand_back")


@pytest.mark.parametrize(("code", "text"), [(143, "143 (0x8F)"), (3, "3 (0x3)")])
def test_an_exit_code_is_written_as_the_platform_does(code: int, text: str) -> None:
    assert shutdown.exited(code) == f"python exited with code {text}"
