"""The checks of storage: the archive's container, the queues, the tables. None changes the archive or the queue."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.core.azure_errors import error_code
from shared.core.times import utc_now
from shared.diagnostics.results import Check, CheckStatus, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from azure.data.tables.aio import TableClient
    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue.aio import QueueClient

    from shared.config.settings import Settings
    from shared.core.times import Now
    from shared.recordings.acs_client import AcsClient

PROBE_BLOB = "diagnostics/probe.json"
"""Outside every recording's prefix, and always the same name: an immutable container keeps only one."""

ONCE: dict[str, Any] = {"retry_total": 0}
"""A diagnosis reports the present state, without retries."""

AGAIN: dict[str, Any] = {**ONCE, "retry_total": 1, "retry_backoff_factor": 0.1}
"""One retry: the other side may just have closed an idle connection."""

CONTAINER_ROLE = "the role Storage Blob Data Contributor on the archive's container"
_QUEUE_ROLE = "the role Storage Queue Data Contributor on the queue"
_TABLE_ROLE = "the role Storage Table Data Contributor on the archive's account"
_HIDDEN = 3600  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The app's dependencies. Clients of queues and table are made by their checks, which report a wrong address."""

    settings: Settings
    container: ContainerClient
    queue: Callable[[], QueueClient]
    poison_queue: Callable[[], QueueClient]
    table: Callable[[], TableClient]
    control: AcsClient
    session: aiohttp.ClientSession
    now: Now = field(default=utc_now)


async def container_read(around: Surroundings) -> str:
    """List one blob, and get the container's properties."""
    container = around.container
    async for page in container.list_blobs(results_per_page=1, **ONCE).by_page():
        async for _ in page:
            pass
        break
    properties = await container.get_container_properties(**ONCE)
    immutable = (
        properties.has_immutability_policy
        or properties.has_legal_hold
        or properties.immutable_storage_with_versioning_enabled
    )
    return f"container {container.container_name} can be read{' and is immutable' if immutable else ''}"


async def container_write(around: Surroundings) -> str:
    """Write the probe unless it exists: Storage checks the role first, so a conflict proves it, too."""
    blob = around.container.get_blob_client(PROBE_BLOB)
    content = json.dumps({"writtenBy": "recordings doctor, to try the app's access", "at": around.now().isoformat()})
    try:
        await blob.upload_blob(content.encode(), overwrite=False, **ONCE)
    except ResourceExistsError:
        return f"the container can be written; {PROBE_BLOB} exists from an earlier diagnosis"
    with suppress(ResourceNotFoundError):  # another diagnosis deleted it just now
        stream = await blob.download_blob(**ONCE)
        await stream.readall()
    return f"{PROBE_BLOB} was written and read back"


async def container_delete(around: Surroundings) -> str:
    """Delete the probe; an immutable container refuses that, and keeps this one blob."""
    try:
        await around.container.delete_blob(PROBE_BLOB, **ONCE)
    except ResourceNotFoundError:  # another diagnosis deleted it just now
        pass
    except HttpResponseError as error:
        if "Immutable" not in (error_code(error) or ""):
            raise
        return f"refused, as an immutable container should; {PROBE_BLOB} stays"
    return "the probe was deleted again"


async def queue_read(around: Surroundings) -> str:
    """Get the queue's length, and peek."""
    queue = _client(around.queue)
    properties = await queue.get_queue_properties(**ONCE)
    await queue.peek_messages(max_messages=1, **ONCE)
    return f"queue {queue.queue_name} can be read; messages: {properties.approximate_message_count}"


async def queue_write(around: Surroundings) -> str:
    """Put a message and delete it. It is hidden until a second before it expires, so no function gets it."""
    queue = _client(around.queue)
    message = await queue.send_message(
        "recordings doctor", visibility_timeout=_HIDDEN - 1, time_to_live=_HIDDEN, **ONCE
    )
    await queue.delete_message(message, **ONCE)
    return "a hidden message was put and deleted"


async def queue_poison(around: Surroundings) -> str:
    """Get the length of the poison queue."""
    queue = _client(around.poison_queue)
    try:
        properties = await queue.get_queue_properties(**ONCE)
    except ResourceNotFoundError:
        return f"there is no {queue.queue_name} yet: no message has become poison"
    if count := properties.approximate_message_count or 0:
        raise Trouble(
            f"messages in {queue.queue_name}: {count}; these chunks are not archived",
            "the sweep queues them again within five minutes; for the cause see docs/operations.md, chunks-poisoned",
            status=CheckStatus.WARNING,
        )
    return f"{queue.queue_name} is empty"


async def tables(around: Surroundings) -> str:
    """Write and delete a row in a table of its own. The table stays: a deleted table's name is blocked for a while."""
    table = _client(around.table)
    row = {"PartitionKey": "probe", "RowKey": uuid.uuid4().hex}
    try:
        await table.upsert_entity(row, **AGAIN)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # another diagnosis made it just now
            await table.create_table(**ONCE)
        await table.upsert_entity(row, **AGAIN)
    await table.get_entity(row["PartitionKey"], row["RowKey"], **AGAIN)
    await table.delete_entity(row["PartitionKey"], row["RowKey"], **AGAIN)
    return f"a row of table {table.table_name} was written, read and deleted"


def _client[T](make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise Trouble(
            "ARCHIVE_STORAGE has no address for it", "copy the whole connection string from the account's keys"
        ) from error


STORAGE_CHECKS = (
    Check("storage.container.read", container_read, CONTAINER_ROLE),
    Check("storage.container.write", container_write, CONTAINER_ROLE, ("storage.container.read",)),
    Check("storage.container.delete", container_delete, CONTAINER_ROLE, ("storage.container.write",)),
    Check("storage.queue.read", queue_read, _QUEUE_ROLE),
    Check("storage.queue.write", queue_write, _QUEUE_ROLE, ("storage.queue.read",)),
    Check("storage.queue.poison", queue_poison, _QUEUE_ROLE, ("storage.queue.read",)),
    Check("storage.tables", tables, _TABLE_ROLE),
)
"""The checks of storage, in the order of the report."""
