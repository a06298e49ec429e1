"""The manifests in the archive, each changed under its ETag."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from pydantic import ValidationError

from shared.core import blob_names
from shared.core.errors import ManifestUnreadable, StorageUnavailable
from shared.storage.blobs import JSON
from shared.storage.manifest import Manifest, ManifestStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import date, datetime

    from azure.storage.blob.aio import ContainerClient

_MOST_CONFLICTS = 50
_STATUS = "status"


@dataclass(frozen=True, slots=True)
class ManifestVersion:
    """A manifest as it was at one moment; both are None where there was none."""

    manifest: Manifest | None
    etag: str | None


NO_MANIFEST = ManifestVersion(None, None)


class Manifests:
    """Reads and changes manifests."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def read(self, prefix: str) -> ManifestVersion:
        """Return a recording's manifest as it is now; raises `ManifestUnreadable` where it cannot be read."""
        try:
            stream = await self._container.download_blob(blob_names.manifest_blob(prefix))
            return ManifestVersion(Manifest.model_validate_json(await stream.readall()), stream.properties.etag)
        except ResourceNotFoundError:
            return NO_MANIFEST
        except ValidationError:
            raise ManifestUnreadable(blob_names.manifest_blob(prefix)) from None

    async def update(
        self, prefix: str, change: Callable[[Manifest], Manifest], seen: ManifestVersion | None = None
    ) -> Manifest:
        """Apply `change` to the latest version of the manifest and write it under its ETag.

        Parameters
        ----------
        prefix
            The recording's.
        change
            A pure function; it is applied again when another worker wrote in between.
        seen
            The version the caller has read already, or `NO_MANIFEST` for one it knows to be new: saves a request.
        """
        for _ in range(_MOST_CONFLICTS):
            version = seen or await self.read(prefix)
            changed = change(version.manifest or Manifest())
            if changed == version.manifest:
                return changed
            condition: dict[str, Any] = (
                {"overwrite": False}
                if version.etag is None
                else {"overwrite": True, "etag": version.etag, "match_condition": MatchConditions.IfNotModified}
            )
            try:
                await self._container.upload_blob(
                    blob_names.manifest_blob(prefix),
                    changed.to_json(),
                    content_settings=JSON,
                    # A listing shows it, so that finding partial recordings takes no request for each manifest.
                    metadata={_STATUS: changed.status.value},
                    **condition,
                )
            except (ResourceExistsError, ResourceModifiedError):
                seen = None
                await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311 - spreads writers, guards nothing
                continue
            return changed
        raise StorageUnavailable(f"other workers changed the manifest of {prefix} {_MOST_CONFLICTS} times in a row")

    async def partial(self, day: date) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the prefixes of the recordings that began on `day` and are not complete, with their last change."""
        start = blob_names.day_prefix(day)
        async for blob in self._container.list_blobs(name_starts_with=start, include=["metadata"]):
            is_manifest = blob.name.endswith("/manifest.json")
            if is_manifest and (blob.metadata or {}).get(_STATUS) != ManifestStatus.COMPLETE:
                yield blob.name.removesuffix("/manifest.json"), blob.last_modified
