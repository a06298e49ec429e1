from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.archiving.webhook import event_message
from shared.core.limits import LARGEST_EVENT_IN_MESSAGE
from shared.events.event_message import EventMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.large_events import LargeEvents

NOW = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)


class Kept:
    """Keeps large events in memory."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    async def put(self, event: Mapping[str, Any]) -> str:
        self.events.append(event)
        return "events/x.json"


def not_asked() -> LargeEvents:
    raise AssertionError("a usual event needs neither settings nor storage")


async def test_a_usual_event_is_a_message_and_needs_nothing_else() -> None:
    event = {"id": "1", "eventType": "x", "data": {"text": "\ud800"}}
    message = EventMessage.from_json(await event_message(event, NOW, not_asked))
    assert (message.event, message.received_at, message.blob, message.cut) == (event, NOW, None, None)


@pytest.mark.parametrize("over", [0, 1])
async def test_an_event_too_large_for_a_message_goes_into_a_blob(over: int) -> None:
    kept = Kept()
    frame = len('{"id": "1", "data": ""}')
    event = {"id": "1", "data": "x" * (LARGEST_EVENT_IN_MESSAGE - frame + over)}
    body = await event_message(event, NOW, lambda: cast("LargeEvents", kept))
    message = EventMessage.from_json(body)
    assert kept.events == [event] * over
    assert message.blob == ("events/x.json" if over else None)
    assert len(body) * 4 / 3 < 64 * 1024


@pytest.mark.parametrize(
    "data", ["x" * 2_000_000, [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
)
async def test_of_an_event_beyond_any_limit_only_the_head_is_sent(data: Any) -> None:
    event = {"id": "1", "subject": "s" * 5000, "data": data}
    message = EventMessage.from_json(await event_message(event, NOW, not_asked))
    assert message.cut
    assert message.event is not None
    assert set(message.event) == {"id", "subject"}
