"""Event Grid delivers that a call has begun or ended."""

import azure.functions as func

from functions.recording_files import as_received
from shared.app import services

blueprint = func.Blueprint()


# `event` has no annotation: that is what lets the worker hand over both event schemas.
@blueprint.event_grid_trigger(arg_name="event")
async def call_started_or_ended(event) -> None:  # type: ignore[no-untyped-def]
    """Record a call that begins, if the policy says so; note the end of one that has ended."""
    await services().auto_record.take(as_received(event))
