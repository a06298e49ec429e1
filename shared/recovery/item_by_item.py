"""Work on many items, one by one: an item that fails does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import ArchiverError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

_IN_A_ROW = 10
"""After so many failures in a row the cause is not the items: a service is unavailable, and each try takes long."""


async def each[T](what: str, items: AsyncIterable[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Do the work for each item.

    Parameters
    ----------
    what
        Names the work in the log.

    Raises
    ------
    ExceptionGroup
        The items' failures, after the last item or after too many failures in a row.
    """
    failures: list[Exception] = []
    in_a_row = 0
    async for item in items:
        try:
            with storage_errors_translated():
                await work(item)
            in_a_row = 0
        except Exception as error:  # noqa: BLE001 - no failure of one item may stop the others
            failures.append(error)
            in_a_row += 1
            reason = str(error) if isinstance(error, ArchiverError) else type(error).__name__
            log.error("sweep.item_failed", step=what, item=_name(item), reason=reason)
            if in_a_row == _IN_A_ROW:
                break
    if failures:
        raise ExceptionGroup(f"{what} failed for {len(failures)}", failures)


def _name(item: object) -> str:
    match item:
        case {"id": name} | (name, *_):
            return str(name)[:300]
        case _:
            return str(getattr(item, "name", item))[:300]
