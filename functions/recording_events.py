"""The queue hands over one event that says that a recording's files are ready."""

import azure.functions as func

from shared.app import EVENT_QUEUE, HOST_CONNECTION, services

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=EVENT_QUEUE, connection=HOST_CONNECTION)
async def archive_recording_files(message: func.QueueMessage) -> None:
    """Take the event in, and send each of its chunks to the queue of chunks."""
    await services().event_worker.take(message.get_body().decode(errors="replace"))
