"""What a process of the model can ask of the world: one operation is one request, and happens at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple


class Operation(NamedTuple):
    """One request to storage, a queue or the service."""

    kind: str
    key: str = ""
    value: Any = None


class Then(NamedTuple):
    """A process goes on as another one: what it has read so far is forgotten, its ETags included."""

    process: str
    arguments: tuple[Any, ...]


type Program = Generator[Operation, Any, Then | None]
type Requests = Generator[Operation, Any]


class StorageError(Exception):
    """A request failed, or its answer did not come: it may have been carried out."""


def read(key: str) -> Operation:
    """Read a value, None where there is none."""
    return Operation("read", key)


def read_for_write(key: str) -> Operation:
    """Read a value with its ETag, for a later `replace` or `delete`."""
    return Operation("read-etag", key)


def create(key: str, value: Any) -> Operation:
    """Write under If-None-Match: True, or False where there is a value already."""
    return Operation("create", key, value)


def replace(key: str, value: Any) -> Operation:
    """Write under If-Match, the ETag as last read by this process: True, or False where it has changed since."""
    return Operation("replace", key, value)


def delete(key: str) -> Operation:
    """Delete under If-Match: True, or False where the value has changed since it was read."""
    return Operation("replace", key, None)


def put(key: str, value: Any) -> Operation:
    """Write unconditionally."""
    return Operation("put", key, value)


def merge(key: str, change: str, argument: Any) -> Operation:
    """Change a value in one request, by the named function of `state.CHANGES`."""
    return Operation("merge", key, (change, argument))


def batch(*operations: Operation) -> Operation:
    """Send several operations of one partition as one transaction."""
    return Operation("batch", operations[0].key, operations)


def send(queue: str, *message: Any) -> Operation:
    """Put a message into a queue."""
    return Operation("send", queue, message)


def drop(queue: str, *message: Any) -> Operation:
    """Delete a message from a queue, if it is still there."""
    return Operation("drop", queue, message)


def ask(action: str) -> Operation:
    """Ask the service: the scenario's action of this name happens, once; the answer is its `result`."""
    return Operation("ask", action)


def incident(text: str) -> Operation:
    """Write an incident; the same one again changes nothing."""
    return merge("incidents", "add", text)
