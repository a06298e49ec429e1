"""The evidence of incidents in the archive, under `attention/`, and the marks that say whether they are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared.core import blob_names, log
from shared.core.azure_errors import error_code
from shared.storage.blobs import json_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from azure.storage.blob import BlobProperties

    from shared.storage.blobs import Blobs

RAISED_AT, SETTLED_AT, SETTLED_BY = "raisedat", "settledat", "settledby"
"""The marks, as the blobs' metadata: a listing shows them."""

_REFUSED = frozenset({403, 409})
"""The statuses with which an immutable container, or a blob in a cold tier, refuses a change."""


class EvidenceBlobs:
    """Keeps evidence."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def raise_(self, key: str, evidence: Mapping[str, Any]) -> None:
        """Keep the evidence of an incident; the first evidence stays, and its mark as settled goes."""
        blob, raised_at = blob_names.attention_blob(key), evidence.get("raisedAt")
        marks = {RAISED_AT: raised_at} if isinstance(raised_at, str) else {}
        if not await self._blobs.put_once(blob, json_bytes(evidence), marks):
            await self._mark(blob, marks)

    async def settle(self, key: str, marks: Mapping[str, str], evidence: Mapping[str, Any] | None) -> bool:
        """Mark the evidence of an incident as settled; return whether storage allowed it.

        Parameters
        ----------
        evidence
            Kept where there was none; None keeps nothing.
        """
        blob = blob_names.attention_blob(key)
        if evidence is not None and await self._blobs.put_once(blob, json_bytes(evidence), marks):
            return True
        return await self._mark(blob, marks)

    async def all(self) -> AsyncIterator[BlobProperties]:
        """Yield the blobs under `attention/`, each with its marks as metadata."""
        async for blob in self._blobs.list(blob_names.ATTENTION):
            yield blob

    async def _mark(self, blob: str, marks: Mapping[str, str]) -> bool:
        try:
            await self._blobs.set_metadata(blob, marks)
        except ResourceNotFoundError:
            return True
        except HttpResponseError as error:
            if error.status_code not in _REFUSED:
                raise
            log.warning("attention.not_marked", blob=blob, code=error_code(error))
            return False
        return True

    async def read(self, key: str) -> bytes | None:
        """Return the evidence of an incident; None where there is none."""
        return await self._blobs.read(blob_names.attention_blob(key))
