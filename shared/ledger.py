"""The ledger: what was asked for a recording, and what became of it.

An index in Azure Table Storage for what the blobs cannot tell quickly, or not at all: what we started, who asked, when
it was paused. Of what is archived the blobs stay the truth, and from them the ledger can be made again.

One table. A recording is a partition, named by its safe name:

- row `recording`: each fact is a property of its own, and writers merge only what they know: two at once lose nothing;
- rows `transition.…`: something that was done, or that the service reported; written once, never changed;
- rows `chunk.…`: how far the copy of a chunk is, and what its tries ended with.

Partition `.open` has a row for each recording that we started and that is not archived yet: a sweep looks there.
Other partitions that begin with a dot, which no safe name does, hold claimed keys: who asks first wins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from shared import log
from shared.events import wire_time
from shared.names import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from azure.data.tables.aio import TableClient

TABLE = "recordings"
"""The table's name, in the archive's account."""

_OPEN = ".open"
_RECORDING = "recording"
_TRANSITION = "transition."
_CHUNK = "chunk."


class Operation(StrEnum):
    """What happened to a recording."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    REPORTED_ACTIVE = "reportedActive"
    REPORTED_INACTIVE = "reportedInactive"
    REPORTED_FAILED = "reportedFailed"
    CALL_ENDED = "callEnded"


@dataclass(frozen=True, slots=True)
class Transition:
    """Something that happened, when, and who asked for it."""

    operation: Operation
    at: datetime
    by: str | None = None
    detail: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        members = {"operation": self.operation, "at": wire_time(self.at), "by": self.by, "detail": self.detail}
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ChunkProgress:
    """How far the copy of a chunk is.

    Attributes
    ----------
    bytes_done, bytes_total
        Staged so far, and the file's size; None while nothing is known.
    tries
        Failed tries so far.
    last_error
        What the last failed try ended with.
    touched_at
        When it was last worked on.
    next_try_at
        When the next try is due.
    given_up_at
        Since when no more tries are made.
    """

    index: int
    bytes_done: int | None = None
    bytes_total: int | None = None
    tries: int = 0
    last_error: str | None = None
    touched_at: datetime | None = None
    next_try_at: datetime | None = None
    given_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knows of a recording; empty where it knows nothing.

    Attributes
    ----------
    name
        The recording's safe name.
    known
        The row's facts by name: recordingId, callId, serverCallId, prefix, startedAt, options, expiresAt, …
    transitions
        In the order they happened.
    chunks
        By index; only chunks whose copy is under way or has failed.
    """

    name: str
    known: Mapping[str, Any] = field(default_factory=dict)
    transitions: tuple[Transition, ...] = ()
    chunks: Mapping[int, ChunkProgress] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.known or self.transitions)

    def text(self, name: str) -> str | None:
        """Return a fact that is a text."""
        value = self.known.get(name)
        return value if isinstance(value, str) else None

    def moment(self, name: str) -> datetime | None:
        """Return a fact that is a time."""
        text = self.text(name)
        return datetime.fromisoformat(text) if text else None

    def document(self, name: str) -> Any:
        """Return a fact that is JSON."""
        text = self.text(name)
        return json.loads(text) if text else None

    def last(self, *operations: Operation) -> Transition | None:
        """Return the last transition that is one of `operations`."""
        return next((entry for entry in reversed(self.transitions) if entry.operation in operations), None)


async def best_effort[T](work: Awaitable[T]) -> T | None:
    """Do something with the ledger that must not stand in the way of a recording; None when the ledger is not there."""
    try:
        return await work
    except AzureError as error:
        log.error("ledger.unavailable", error=type(error).__name__, code=getattr(error, "error_code", None))
        return None


class Ledger:
    """Reads and writes the ledger.

    Parameters
    ----------
    table
        Made on first use if it is missing.
    now
        The time, in UTC.
    """

    def __init__(self, table: TableClient, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = table
        self._now = now

    async def read(self, name: str) -> Facts:
        """Return what is known of the recording with this safe name."""
        known: dict[str, Any] = {}
        transitions: list[Transition] = []
        chunks: dict[int, ChunkProgress] = {}
        async for row in self._rows("PartitionKey eq @partition", partition=name):
            kind = row.pop("RowKey")
            row.pop("PartitionKey")
            if kind == _RECORDING:
                known = row
            elif kind.startswith(_TRANSITION):
                transitions.append(_transition(row))
            elif kind.startswith(_CHUNK):
                chunks[int(kind.removeprefix(_CHUNK))] = _progress(int(kind.removeprefix(_CHUNK)), row)
        transitions.sort(key=lambda entry: entry.at)
        return Facts(name, known, tuple(transitions), chunks)

    async def learn(self, name: str, /, **facts: str | float | None) -> None:
        """Merge facts into what is known; None means that nothing is said about it."""
        said = {key: value for key, value in facts.items() if value is not None}
        await self._merge(name, _RECORDING, said)

    async def record(
        self,
        name: str,
        operation: Operation,
        *,
        by: str | None = None,
        at: datetime | None = None,
        detail: str | None = None,
        key: str | None = None,
    ) -> None:
        """Note that something happened.

        Parameters
        ----------
        key
            Identifies what is noted, so that the same thing told twice is noted once; unique by default.
        """
        moment = at or self._now()
        row = {"operation": operation.value, "at": wire_time(moment), "by": by, "detail": detail}
        suffix = safe_name(key) if key else f"{wire_time(moment)}.{uuid4().hex[:8]}"
        await self._insert(name, f"{_TRANSITION}{suffix}", row)

    async def progress(self, name: str, index: int, done: int, total: int | None) -> None:
        """Note how far the copy of a chunk is, in bytes."""
        await self._merge(
            name, f"{_CHUNK}{index:06}", {"bytesDone": done, "bytesTotal": total, "touchedAt": self._time()}
        )

    async def touch(self, name: str, index: int) -> None:
        """Note that a chunk is being worked on."""
        await self._merge(name, f"{_CHUNK}{index:06}", {"touchedAt": self._time()})

    async def failed(self, name: str, index: int, tries: int, error: str, next_try: datetime) -> None:
        """Note that a try to archive a chunk failed, and when the next one is due."""
        row = {"tries": tries, "lastError": error, "touchedAt": self._time(), "nextTryAt": wire_time(next_try)}
        await self._merge(name, f"{_CHUNK}{index:06}", row)

    async def give_up(self, name: str, index: int, error: str) -> None:
        """Note that a chunk cannot be archived, and why."""
        await self._merge(name, f"{_CHUNK}{index:06}", {"lastError": error, "givenUpAt": self._time()})

    async def open(self, name: str, /, **facts: str | None) -> None:
        """List the recording among those that are not archived yet."""
        await self._merge(_OPEN, name, {"since": self._time(), **facts})

    async def close(self, name: str) -> None:
        """Take the recording from the list of those that are not archived yet."""
        try:
            await self._table.delete_entity(_OPEN, name)
        except ResourceNotFoundError:
            return

    async def link(self, call_id: str, name: str) -> None:
        """Note that the recording with this safe name is of a call."""
        await self._merge(f".of-call.{safe_name(call_id)}", name, {})

    async def linked(self, call_id: str) -> list[str]:
        """Return the safe names of the call's recordings."""
        rows = self._rows("PartitionKey eq @partition", partition=f".of-call.{safe_name(call_id)}")
        return [row["RowKey"] async for row in rows]

    async def opened(self) -> AsyncIterator[str]:
        """Yield the names of the recordings that are not archived yet."""
        async for row in self._rows("PartitionKey eq @partition", partition=_OPEN):
            yield row["RowKey"]

    async def reserve(self, kind: str, key: str, /, **facts: str) -> Mapping[str, Any] | None:
        """Claim a key for the first who asks.

        Parameters
        ----------
        kind
            What the key is of, such as `call`.
        key
            Any text.

        Returns
        -------
        None for the first; for everybody else the facts that are known under the key.
        """
        while not await self._insert(f".{kind}", safe_name(key), facts):
            # None here means that it was released meanwhile.
            if (known := await self.reserved(kind, key)) is not None:
                return known
        return None

    async def reserved(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """Return the facts known under a key, or None if nobody claimed it."""
        try:
            return _values(await self._table.get_entity(f".{kind}", safe_name(key)))
        except ResourceNotFoundError:
            return None

    async def resolve(self, kind: str, key: str, /, **facts: str | None) -> None:
        """Add facts to a claimed key."""
        await self._merge(f".{kind}", safe_name(key), facts)

    async def release(self, kind: str, key: str) -> bool:
        """Give a claimed key up; returns whether it was claimed."""
        known = await self.reserved(kind, key) is not None
        await self._table.delete_entity(f".{kind}", safe_name(key))
        return known

    async def claims(self, kind: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield the claimed keys of a kind, as safe names, with their facts."""
        async for row in self._rows("PartitionKey eq @partition", partition=f".{kind}"):
            row.pop("PartitionKey")
            yield row.pop("RowKey"), row

    def _time(self) -> str:
        return wire_time(self._now())

    async def _rows(self, query: str, **parameters: str) -> AsyncIterator[dict[str, Any]]:
        try:
            async for row in self._table.query_entities(query, parameters=parameters):
                yield _values(row)
        except ResourceNotFoundError:
            return

    async def _insert(self, partition: str, row: str, values: Mapping[str, Any]) -> bool:
        entity = _entity(partition, row, values)
        try:
            await self._table.create_entity(entity)
        except ResourceNotFoundError:
            await self._create_table()
            return await self._insert(partition, row, values)
        except ResourceExistsError:
            return False
        return True

    async def _merge(self, partition: str, row: str, values: Mapping[str, Any]) -> None:
        entity = _entity(partition, row, values)
        try:
            await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)
        except ResourceNotFoundError:
            await self._create_table()
            await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)

    async def _create_table(self) -> None:
        try:
            await self._table.create_table()
        except ResourceExistsError:
            return


def _entity(partition: str, row: str, values: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        # A plain int would be 32 bits wide, too narrow for a file's bytes.
        name: EntityProperty(value, EdmType.INT64) if type(value) is int else value
        for name, value in values.items()
        if value is not None
    }
    return {"PartitionKey": partition, "RowKey": row, **said}


def _values(entity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, EntityProperty) else value for name, value in entity.items()}


def _transition(row: Mapping[str, Any]) -> Transition:
    return Transition(Operation(row["operation"]), datetime.fromisoformat(row["at"]), row.get("by"), row.get("detail"))


def _progress(index: int, row: Mapping[str, Any]) -> ChunkProgress:
    return ChunkProgress(
        index,
        row.get("bytesDone"),
        row.get("bytesTotal"),
        row.get("tries", 0),
        row.get("lastError"),
        _moment(row.get("touchedAt")),
        _moment(row.get("nextTryAt")),
        _moment(row.get("givenUpAt")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
