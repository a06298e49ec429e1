"""What is done with an event before Event Grid gets its answer: it is put into a message, and nothing else.

Event Grid waits 30 seconds and retries on its own terms; a queue of our own retries as long as it takes. So neither a
table nor a blob is asked before the answer, and nothing that hangs can turn an event into a dead letter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.core import limits, telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.storage.large_events import LargeEvents


async def event_message(event: Mapping[str, Any], now: datetime, large: Callable[[], LargeEvents]) -> str:
    """Return the queue message for an event that is received `now`; `large` keeps one too large for a message.

    Raises
    ------
    AzureError
        An event too large for a message could not be kept: it should be delivered again.
    """
    from shared.events.event_message import EventMessage  # noqa: PLC0415 - brings pydantic, and a new instance waits

    message = EventMessage(received_at=now, event=dict(event), traceparent=telemetry.traceparent())
    if (excess := limits.excess(event)) is not None:
        message = message.model_copy(update={"event": dict(limits.evidence_of(event)), "cut": excess})
    elif len(json.dumps(event)) > limits.LARGEST_EVENT_IN_MESSAGE:
        message = message.model_copy(update={"event": None, "blob": await large().put(event)})
    return message.to_json()
