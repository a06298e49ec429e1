"""Event Grid delivers that a recording's files are ready."""

from typing import Any, List

import azure.functions as func

from shared.app import QUEUE, STORAGE_CONNECTION, services

blueprint = func.Blueprint()


# `event` has no annotation: that is what lets the worker hand over both event schemas.
@blueprint.event_grid_trigger(arg_name="event")
@blueprint.queue_output(arg_name="messages", queue_name=QUEUE, connection=STORAGE_CONNECTION)
async def recording_file_status_updated(event, messages: func.Out[List[str]]) -> None:  # type: ignore[no-untyped-def]
    """Take the event in, and send a message for each chunk to the queue."""
    messages.set(await services().intake.announce(as_received(event)))


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
