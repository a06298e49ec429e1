"""Azurite under the runner: real services, on free ports, that come back with their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local import ports
from local.azurite import Azurite, AzuriteOptions
from local.problems import LocalProblem
from local.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def own_azurite(tmp_path: Path) -> AsyncIterator[Azurite]:
    options = AzuriteOptions(folder=tmp_path / "data", log=tmp_path / "log")
    async with Supervisor(str(tmp_path)) as supervisor, Azurite(options, supervisor) as azurite:
        yield azurite


async def test_blobs_and_queues_answer_under_the_connection_string(azurite: Azurite) -> None:
    async with (
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
        QueueServiceClient.from_connection_string(azurite.connection_string) as queues,
    ):
        container = await blobs.create_container("runner")
        await container.upload_blob("a", b"bytes")
        assert await (await container.download_blob("a")).readall() == b"bytes"
        queue = await queues.create_queue("runner")
        await queue.send_message("text")
        message = await queue.receive_message()
        assert message is not None
        assert message["content"] == "text"


async def test_a_restart_keeps_address_and_data(own_azurite: Azurite) -> None:
    before = own_azurite.connection_string
    async with BlobServiceClient.from_connection_string(before, retry_total=0) as blobs:
        container = await blobs.create_container("runner")
        await container.upload_blob("a", b"bytes")
        await own_azurite.stop()
        with pytest.raises(ServiceRequestError):
            await container.upload_blob("b", b"bytes")
        await own_azurite.start()
        assert own_azurite.connection_string == before
        assert await (await container.download_blob("a")).readall() == b"bytes"


async def test_a_taken_port_is_reported_before_anything_is_started(azurite: Azurite, tmp_path: Path) -> None:
    blob_port = azurite.ports[0]
    async with Supervisor(str(tmp_path)) as supervisor:
        second = Azurite(
            AzuriteOptions(folder=tmp_path / "data", log=tmp_path / "log", blob_port=blob_port), supervisor
        )
        with pytest.raises(LocalProblem, match=f"port {blob_port}, which Azurite's blob service .* --blob-port"):
            await second.start()
    assert not (tmp_path / "log").exists()
    assert ports.free_port() != blob_port
