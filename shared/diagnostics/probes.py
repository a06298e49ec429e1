"""The app tries its storage: the archive's container, the queues, the tables.

Every probe leaves the archive and the queue as they were; each says how.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.core.azure_errors import error_code
from shared.diagnostics.findings import Check, CheckStatus, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from azure.data.tables.aio import TableClient
    from azure.storage.blob.aio import ContainerClient
    from azure.storage.queue.aio import QueueClient

    from shared.config.settings import Settings
    from shared.recordings.acs_client import AcsClient

PROBE_BLOB = "diagnostics/probe.json"
"""Outside every recording's prefix, and always the same: a container that refuses deletes keeps only one."""

ONCE: dict[str, Any] = {"retry_total": 0}
"""A diagnosis tells what is, not what is after some tries."""

AGAIN: dict[str, Any] = {**ONCE, "retry_total": 1, "retry_backoff_factor": 0.1}
"""Once more after a failure: an idle connection may have been closed by the other side just now."""

CONTAINER_ROLE = "the role Storage Blob Data Contributor on the archive's container"
_QUEUE_ROLE = "the role Storage Queue Data Contributor on the queue"
_TABLE_ROLE = "the role Storage Table Data Contributor on the archive's account"
_HIDDEN = 3600  # seconds


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the app reaches. Queues and table are made when their turn comes: an address that is wrong is a finding."""

    settings: Settings
    container: ContainerClient
    queue: Callable[[], QueueClient]
    poison_queue: Callable[[], QueueClient]
    table: Callable[[], TableClient]
    control: AcsClient
    session: aiohttp.ClientSession
    now: Callable[[], datetime] = field(default=_utc_now)


async def container_read(around: Surroundings) -> str:
    """List one blob, and ask for the container's properties."""
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
    """Write the probe unless it is there already: Storage asks for the role before it looks whether it is."""
    blob = around.container.get_blob_client(PROBE_BLOB)
    content = json.dumps({"writtenBy": "recordings doctor, to try the app's access", "at": around.now().isoformat()})
    try:
        await blob.upload_blob(content.encode(), overwrite=False, **ONCE)
    except ResourceExistsError:
        return f"it may be written; {PROBE_BLOB} is there from before"
    with suppress(ResourceNotFoundError):  # another diagnosis deleted it just now
        stream = await blob.download_blob(**ONCE)
        await stream.readall()
    return f"{PROBE_BLOB} was written and read back"


async def container_delete(around: Surroundings) -> str:
    """Delete the probe; an immutable container is right to refuse, and then keeps this one blob."""
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
    """Ask for the queue's length, and peek."""
    queue = _made(around.queue)
    properties = await queue.get_queue_properties(**ONCE)
    await queue.peek_messages(max_messages=1, **ONCE)
    return f"queue {queue.queue_name} can be read; messages: {properties.approximate_message_count}"


async def queue_write(around: Surroundings) -> str:
    """Put a message and delete it. It is hidden for as long as it lives, but for a second, so no function sees it."""
    queue = _made(around.queue)
    message = await queue.send_message(
        "recordings doctor", visibility_timeout=_HIDDEN - 1, time_to_live=_HIDDEN, **ONCE
    )
    await queue.delete_message(message, **ONCE)
    return "a hidden message was put and deleted"


async def queue_poison(around: Surroundings) -> str:
    """Ask for the length of the queue of messages that failed for good."""
    queue = _made(around.poison_queue)
    try:
        properties = await queue.get_queue_properties(**ONCE)
    except ResourceNotFoundError:
        return f"there is no {queue.queue_name} yet: no message ever failed for good"
    if count := properties.approximate_message_count or 0:
        raise Trouble(
            f"messages in {queue.queue_name}: {count}; these chunks are not archived",
            "the sweep puts them back within five minutes; see why they failed: docs/operations.md, chunks-poisoned",
            status=CheckStatus.WARNING,
        )
    return f"{queue.queue_name} is empty"


async def tables(around: Surroundings) -> str:
    """Write and delete a row in a table of its own, which stays: a deleted table's name is blocked for a while."""
    table = _made(around.table)
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


def _made[T](make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise Trouble(
            "ARCHIVE_STORAGE names no address for it", "copy the whole connection string from the account's keys"
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
"""What is tried of storage, in the order of the way of the data."""
