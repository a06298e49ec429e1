"""Claimed keys: of several workers with the same task, the first does it and the others read its result.

A kind of key is a partition of the table, named with a leading dot, which no recording's safe name has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.core.blob_names import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from shared.storage.table import Table

_CLAIM = "claim"
"""Identifies the caller's own claim where the response to it was lost and the SDK sent the request again."""


class Claims:
    """Reads and writes claimed keys; they are rows of the ledger's table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def claim(self, kind: str, key: str, /, **facts: str) -> Mapping[str, Any] | None:
        """Claim a key; return None if that worked, else the facts that are known under it.

        Parameters
        ----------
        kind
            What the key is of, such as `call`.
        key
            Any text.
        """
        mine = uuid4().hex
        while not await self._table.insert(f".{kind}", safe_name(key), {**facts, _CLAIM: mine}):
            row = await self._table.get(f".{kind}", safe_name(key))
            if row is None:  # it was released meanwhile
                continue
            return None if row.pop(_CLAIM, None) == mine else row
        return None

    async def get(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """Return the facts known under a key, or None if it is not claimed."""
        row = await self._table.get(f".{kind}", safe_name(key))
        if row is not None:
            row.pop(_CLAIM, None)
        return row

    async def resolve(self, kind: str, key: str, /, **facts: str | None) -> None:
        """Add facts to a key, and claim it if it was not claimed."""
        await self._table.merge(f".{kind}", safe_name(key), facts)

    async def amend(self, kind: str, key: str, /, **facts: str | None) -> None:
        """Add facts to a key if it is claimed."""
        await self._table.amend(f".{kind}", safe_name(key), facts)

    async def release(self, kind: str, key: str) -> None:
        """Release a claimed key."""
        await self.drop(kind, safe_name(key))

    async def drop(self, kind: str, name: str) -> None:
        """Release a key that is known by its safe name."""
        await self._table.delete(f".{kind}", name)

    async def all(self, kind: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield the claimed keys of a kind, as safe names, with their facts."""
        async for row in self._table.find("PartitionKey eq @partition", partition=f".{kind}"):
            row.pop("PartitionKey")
            row.pop(_CLAIM, None)
            yield row.pop("RowKey"), row

    async def untouched(self, kind: str, since: datetime) -> AsyncIterator[str]:
        """Yield the keys of a kind, as safe names, that were not written since a moment, by storage's clock."""
        query = "PartitionKey eq @partition and Timestamp lt @since"
        async for row in self._table.find(query, partition=f".{kind}", since=since):
            yield row["RowKey"]
