"""How long a caller waits for the archive's storage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared.core import log
from shared.core.azure_errors import STORAGE_FAILED, error_code, reason
from shared.core.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

STORAGE_PATIENCE = 5.0
"""Seconds for which a caller waits for the ledger and the archive."""


async def within_patience[T](work: Awaitable[T]) -> T:
    """Wait for the archive's storage, but no longer than `STORAGE_PATIENCE`.

    Raises
    ------
    StorageUnavailable
        It failed, or took too long.
    """
    try:
        async with asyncio.timeout(STORAGE_PATIENCE):
            return await work
    except (AzureError, TimeoutError) as error:
        log.error("storage.unavailable", error=type(error).__name__, code=error_code(error) or type(error).__name__)
        raise StorageUnavailable(f"{STORAGE_FAILED}: {reason(error)}", retry_after=STORAGE_PATIENCE) from None
