"""A table that is created on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, UpdateMode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from azure.data.tables.aio import TableClient


class Table:
    """Reads and writes rows; a value that is None is not written, and a missing table is created."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def find(self, query: str, **parameters: str | datetime) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows that a query finds."""
        try:
            async for row in self._table.query_entities(query, parameters=parameters):
                yield _values(row)
        except ResourceNotFoundError:
            return

    async def get(self, partition: str, row: str) -> dict[str, Any] | None:
        """Return a row; None where there is none."""
        try:
            return _values(await self._table.get_entity(partition, row))
        except ResourceNotFoundError:
            return None

    async def insert(self, partition: str, row: str, values: Mapping[str, Any]) -> bool:
        """Write a row unless it is there already; return whether it was written."""
        entity = _entity(partition, row, values)
        try:
            await self._table.create_entity(entity)
        except ResourceNotFoundError:
            await self._create_table()
            return await self.insert(partition, row, values)
        except ResourceExistsError:
            return False
        return True

    async def merge(self, partition: str, row: str, values: Mapping[str, Any]) -> None:
        """Add values to a row, and create it if it is not there."""
        entity = _entity(partition, row, values)
        try:
            await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)
        except ResourceNotFoundError:
            await self._create_table()
            await self._table.upsert_entity(entity, mode=UpdateMode.MERGE)

    async def amend(self, partition: str, row: str, values: Mapping[str, Any]) -> None:
        """Add values to a row if it is there."""
        try:
            await self._table.update_entity(_entity(partition, row, values), mode=UpdateMode.MERGE)
        except ResourceNotFoundError:
            return

    async def delete(self, partition: str, row: str) -> None:
        """Delete a row, if it is there."""
        await self._table.delete_entity(partition, row)

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
