"""The consent that came with a start: kept beside the recording's files, and named in the manifest.

The start writes it to the ledger, and the intake reads it there when the files are announced. The two can run in either
order, so each reads again after its own write: the later one sees what the earlier one wrote.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shared.core import blob_names
from shared.storage.manifest import ConsentFile

if TYPE_CHECKING:
    from shared.storage.archive import Archive


async def keep_consent(archive: Archive, prefix: str, consent: str) -> ConsentFile:
    """Put a consent beside the recording's files, unless one is there, and return what the manifest says of it."""
    name = blob_names.consent_blob(prefix)
    content = await archive.blobs.put_first(name, consent.encode())
    return ConsentFile(blob=name, sha256=hashlib.sha256(content).hexdigest())


async def add_consent(archive: Archive, prefix: str, consent: str) -> None:
    """Put a consent beside the files of a recording that has a manifest already, and name it there."""
    file = await keep_consent(archive, prefix, consent)
    await archive.manifests.update(
        prefix, lambda known: known if known.consent else known.model_copy(update={"consent": file})
    )
