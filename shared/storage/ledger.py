"""The ledger: what was asked for a recording, and what became of it.

An index in Azure Table Storage for what the blobs do not hold, or only slowly give: what the app started, who asked for
it, when it was paused. The blobs decide what is archived; the ledger can be rebuilt from them.

One table. A recording is a partition, named by its safe name:

- row `recording`: each fact is one property. Writers merge only what they know, so concurrent writers lose nothing;
- rows `transition.…`: a command, or a report of the service; written once, never changed;
- rows `chunk.…`: the progress of a chunk's copy, and the result of its tries.

Partition `.open` has a row for each recording that the app started and no event has announced yet, for the sweep.
Other partitions that begin with a dot, which no safe name does, hold claimed keys (`claims`).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.core.exceptions import AzureError

from shared.core import log
from shared.core.azure_errors import error_code
from shared.core.blob_names import safe_name
from shared.core.times import Now, iso_time, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    from shared.storage.table import Table

TABLE_PATIENCE = 5.0
"""Seconds that a recording waits for the table where it can go on without it."""

TABLE = "recordings"
"""The table's name, in the archive's account."""

_OPEN = ".open"
_RECORDING = "recording"
_TRANSITION = "transition."
_CHUNK = "chunk."


class Operation(StrEnum):
    """A command that a caller gave for a recording."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class Report(StrEnum):
    """What the service reported of a recording, or of its call."""

    ACTIVE = "reportedActive"
    INACTIVE = "reportedInactive"
    FAILED = "reportedFailed"
    CALL_ENDED = "callEnded"


@dataclass(frozen=True, slots=True)
class Transition:
    """A command or a report, its time, and who asked for it."""

    operation: Operation | Report
    at: datetime
    by: str | None = None
    detail: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        members = {"operation": self.operation, "at": iso_time(self.at), "by": self.by, "detail": self.detail}
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
    """What the ledger knows of a recording; false where it knows nothing.

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

    def last(self, *operations: Operation | Report) -> Transition | None:
        """Return the last transition that is one of `operations`."""
        return next((entry for entry in reversed(self.transitions) if entry.operation in operations), None)


async def best_effort[T](work: Awaitable[T]) -> T | None:
    """Use the ledger where the recording must go on without it; return None when the ledger is unavailable.

    A table that accepts connections and never answers is unavailable after `TABLE_PATIENCE`.
    """
    try:
        async with asyncio.timeout(TABLE_PATIENCE):
            return await work
    except (AzureError, TimeoutError) as error:
        log.error("ledger.unavailable", error=type(error).__name__, code=error_code(error))
        return None


class Ledger:
    """Reads and writes the ledger."""

    def __init__(self, table: Table, *, now: Now = utc_now) -> None:
        self.table = table
        self._now = now

    async def read(self, name: str) -> Facts:
        """Return what is known of the recording with this safe name."""
        known: dict[str, Any] = {}
        transitions: list[Transition] = []
        chunks: dict[int, ChunkProgress] = {}
        async for row in self.table.find("PartitionKey eq @partition", partition=name):
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
        """Merge facts into what is known; a fact that is None is left as it is."""
        await self.table.merge(name, _RECORDING, facts)

    async def record(
        self,
        name: str,
        operation: Operation | Report,
        *,
        by: str | None = None,
        at: datetime | None = None,
        detail: str | None = None,
        key: str | None = None,
    ) -> None:
        """Write a transition.

        Parameters
        ----------
        key
            Identifies the transition: one that is reported twice is written once. Unique by default.
        """
        moment = at or self._now()
        row = {"operation": operation.value, "at": iso_time(moment), "by": by, "detail": detail}
        suffix = safe_name(key) if key else f"{iso_time(moment)}.{uuid4().hex[:8]}"
        await self.table.insert(name, f"{_TRANSITION}{suffix}", row)

    async def progress(self, name: str, index: int, done: int, total: int | None) -> None:
        """Note how far the copy of a chunk is, in bytes."""
        await self._merge(name, index, bytesDone=done, bytesTotal=total, touchedAt=self._time())

    async def touch(self, name: str, index: int) -> None:
        """Note that a chunk is being worked on."""
        await self._merge(name, index, touchedAt=self._time())

    async def failed(self, name: str, index: int, tries: int, error: str, next_try: datetime) -> None:
        """Note that a try to archive a chunk failed, and when the next one is due: the chunk is not given up."""
        due = iso_time(next_try)
        await self._merge(
            name, index, tries=tries, lastError=error, touchedAt=self._time(), nextTryAt=due, givenUpAt=""
        )

    async def give_up(self, name: str, index: int, error: str) -> None:
        """Note that a chunk cannot be archived, and why."""
        await self._merge(name, index, lastError=error, givenUpAt=self._time())

    async def begin_anew(self, name: str, index: int) -> None:
        """Note that a chunk's tries start again at 0, even where it was given up."""
        await self._merge(name, index, tries=0, touchedAt=self._time(), nextTryAt="", givenUpAt="")

    async def open(self, name: str, /, **facts: str | None) -> None:
        """List the recording among those that no event has announced yet."""
        await self.table.merge(_OPEN, name, {"since": self._time(), **facts})

    async def close(self, name: str) -> None:
        """Take the recording from the list of those that no event has announced yet."""
        await self.table.delete(_OPEN, name)

    async def link(self, call_id: str, name: str) -> None:
        """Note that the recording with this safe name is of a call."""
        await self.table.merge(f".of-call.{safe_name(call_id)}", name, {})

    async def linked(self, call_id: str) -> list[str]:
        """Return the safe names of the call's recordings."""
        rows = self.table.find("PartitionKey eq @partition", partition=f".of-call.{safe_name(call_id)}")
        return [row["RowKey"] async for row in rows]

    async def opened(self) -> AsyncIterator[str]:
        """Yield the names of the recordings that no event has announced yet."""
        async for row in self.table.find("PartitionKey eq @partition", partition=_OPEN):
            yield row["RowKey"]

    async def _merge(self, name: str, index: int, **progress: str | int | None) -> None:
        await self.table.merge(name, f"{_CHUNK}{index:06}", progress)

    def _time(self) -> str:
        return iso_time(self._now())


def _transition(row: Mapping[str, Any]) -> Transition:
    value = row["operation"]
    operation = Operation(value) if value in Operation else Report(value)
    return Transition(operation, datetime.fromisoformat(row["at"]), row.get("by"), row.get("detail"))


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
