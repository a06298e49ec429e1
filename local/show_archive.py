"""`python -m local archive`: what is in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.core.exceptions import ServiceRequestError
from azure.storage.blob.aio import BlobServiceClient

from local import archive
from local.azurite import ACCOUNT, KEY
from local.problems import LocalProblem
from local.report import show_manifest, show_tree

if TYPE_CHECKING:
    from local.progress import Progress


async def show(connection_string: str | None, blob_port: int, container: str, progress: Progress) -> int:
    """Show the tree of an archive and the essentials of each manifest.

    Parameters
    ----------
    connection_string
        The storage account; None for the local one.
    blob_port
        Where the local blob service listens.
    container
        The archive container.

    Raises
    ------
    LocalProblem
        The storage account does not answer.
    """
    local = (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint=http://127.0.0.1:{blob_port}/{ACCOUNT};"
    )
    async with BlobServiceClient.from_connection_string(
        connection_string or local, use_env_settings=connection_string is not None, retry_total=0
    ) as service:
        client = service.get_container_client(container)
        try:
            blobs = await archive.listing(client)
            manifests = await archive.manifests(client)
        except ServiceRequestError as error:
            where = "the storage account" if connection_string else f"Azurite at port {blob_port}"
            raise LocalProblem(
                f"{where} does not answer ({error.message}): start the stack with `make run`, or give --blob-port or "
                "--connection-string"
            ) from None
    if not blobs:
        progress.line(f"The container {container} is empty.")
        return 0
    show_tree(progress, blobs, container)
    for name, manifest in manifests.items():
        progress.line(f"\n[bold]{name}[/bold]")
        show_manifest(progress, manifest)
    return 0
