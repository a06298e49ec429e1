from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.errors import InvalidEvent
from shared.events.event_message import EventMessage

NOW = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values, max_size=6), st.integers(0, 10_000))
@example({"id": "\ud800", "data": {"text": "\u2028 \U0001f600"}}, 0)
def test_an_event_comes_out_of_its_message_as_it_was_put_in(event: dict[str, Any], tries: int) -> None:
    message = EventMessage(received_at=NOW, event=event, tries=tries)
    again = EventMessage.from_json(message.to_json())
    assert (again.event, again.tries, again.received_at) == (event, tries, NOW)
    assert message.to_json().isascii()


@given(st.text())
@example("{}")
@example('{"receivedAt": "2026-11-22T09:15:00Z"}')
@example('{"receivedAt": "yesterday", "event": {}}')
@example('{"receivedAt": "2026-11-22T09:15:00Z", "event": []}')
@example("[" * 100_000)
def test_what_is_no_message_is_refused(body: str) -> None:
    with pytest.raises(InvalidEvent, match="holds no event"):
        EventMessage.from_json(body)


def test_fields_of_a_later_version_are_tolerated() -> None:
    body = '{"schemaVersion": 1, "receivedAt": "2026-11-22T09:15:00Z", "event": {"id": "1"}, "new": 1}'
    assert EventMessage.from_json(body).event == {"id": "1"}
