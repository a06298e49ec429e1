"""Event Grid delivers that a recording's files are ready."""

from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.app import EVENT_QUEUE, HOST_CONNECTION, services

blueprint = func.Blueprint()


# `event` has no annotation: that is what lets the worker hand over both event schemas.
@blueprint.event_grid_trigger(arg_name="event")
@blueprint.queue_output(arg_name="message", queue_name=EVENT_QUEUE, connection=HOST_CONNECTION)
async def recording_file_status_updated(event, message: func.Out[str]) -> None:  # type: ignore[no-untyped-def]
    """Put the event into the queue."""
    from shared.archiving.webhook import event_message  # noqa: PLC0415 - not needed to index the app

    message.set(await event_message(as_received(event), datetime.now(UTC), lambda: services().large_events))


def as_received(event: func.EventGridEvent | func.CloudEvent) -> dict[str, Any]:
    """Return an event as the JSON object it came as, in its own schema."""
    match event:
        case func.CloudEvent():
            fields = event.to_dict()
            received = {**fields, **fields.pop("extension_attrs")}
        case _:
            received = {_camel(name): value for name, value in event.to_dict().items()}
    return {name: value for name, value in received.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
