"""What is made in an account before the app runs, in Azurite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.azurite import Azurite, AzuriteOptions
from local.provisioning import provision
from local.supervision import Supervisor

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_new_account_gets_the_containers_and_queues_of_azure_and_keeps_them(tmp_path: Path) -> None:
    options = AzuriteOptions(folder=tmp_path / "data", log=tmp_path / "log")
    async with Supervisor(str(tmp_path)) as supervisor, Azurite(options, supervisor) as azurite:
        await provision(azurite.connection_string)
        async with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
            await queues.get_queue_client("recording-events").send_message("waiting")
            await provision(azurite.connection_string)

            # The poison queues are the host's to make: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages
            assert {queue.name async for queue in queues.list_queues()} == {"recording-events", "recording-chunks"}
            assert (
                await queues.get_queue_client("recording-events").get_queue_properties()
            ).approximate_message_count == 1
        async with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
            found = {container.name async for container in blobs.list_containers()}
        assert found == {"recordings", "dead-letters", "operations"}
