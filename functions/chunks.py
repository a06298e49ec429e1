"""The queue delivers one chunk to archive."""

import azure.functions as func

from shared.app import QUEUE, STORAGE_CONNECTION, services

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=QUEUE, connection=STORAGE_CONNECTION)
async def archive_chunk(message: func.QueueMessage) -> None:
    """Archive the chunk; after an error the queue delivers the message again."""
    await services().chunk_archiver.take(message.get_body().decode())
