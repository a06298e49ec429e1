"""Makes in a storage account what Bicep makes in Azure: the archive's containers and the queues."""

from __future__ import annotations

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

ARCHIVE_CONTAINER = "recordings"
DEAD_LETTER_CONTAINER = "dead-letters"
CHUNK_QUEUE = "recording-chunks"
EVENT_QUEUE = "recording-events"
OPERATIONS_CONTAINER = "operations"


async def provision(connection_string: str) -> None:
    """Make what is missing; what is there stays as it is."""
    async with BlobServiceClient.from_connection_string(connection_string, use_env_settings=False) as blobs:
        for container in (ARCHIVE_CONTAINER, DEAD_LETTER_CONTAINER, OPERATIONS_CONTAINER):
            try:
                await blobs.create_container(container)
            except ResourceExistsError:
                continue
    async with QueueServiceClient.from_connection_string(connection_string, use_env_settings=False) as queues:
        for queue in (CHUNK_QUEUE, EVENT_QUEUE):
            try:
                await queues.create_queue(queue)
            except ResourceExistsError:
                continue
