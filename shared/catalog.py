"""The archive's bookkeeping in the container: where a recording lies, its manifest, its events, what needs a look.

Everything is written with a condition (If-None-Match or If-Match), so any number of workers can do the same thing at
once and the outcome is the same.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContentSettings
from pydantic import ValidationError

from shared import names
from shared.errors import ManifestUnreadable, StorageUnavailable
from shared.events import wire_time
from shared.manifest import Manifest, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from datetime import date, datetime

    from azure.storage.blob.aio import ContainerClient

    from shared.events import RecordingFiles

_JSON = ContentSettings(content_type="application/json")
_MOST_CONFLICTS = 50
_STATUS = "status"


@contextmanager
def storage_errors_told() -> Iterator[None]:
    """Raise `StorageUnavailable` for the SDK's errors, whose texts can hold parts of a signature."""
    try:
        yield
    except AzureError as error:
        code = getattr(error, "error_code", None) or getattr(error, "status_code", None) or type(error).__name__
        raise StorageUnavailable(f"the archive's storage refused, or did not answer: {code}") from None


@dataclass(frozen=True, slots=True)
class ManifestVersion:
    """A manifest as it was at one moment; both are None where there was none."""

    manifest: Manifest | None
    etag: str | None


NO_MANIFEST = ManifestVersion(None, None)


class Catalog:
    """Reads and writes the small blobs around the media.

    Parameters
    ----------
    container
        The archive's container.
    """

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def locate(self, files: RecordingFiles) -> tuple[str, bool]:
        """Return the prefix of an event's recording, and whether this call settled it.

        Older forms of the event have no recordingId. What every form has is the call and the recording's start, so the
        first event of a recording leaves a blob under those that says where the recording lies, and all others follow.
        """
        key = names.call_key(files.call_id, files.start_time) if files.call_id else None
        name = names.safe_name(files.recording_id) if files.recording_id else str(key)
        own = names.recording_prefix(name, files.start_time)
        if key is None:
            return own, False
        record = _json({"callId": files.call_id, "startTime": wire_time(files.start_time), "prefix": own})
        settled = await self.put_first(names.call_blob(key), record)
        return str(json.loads(settled)["prefix"]), settled is record

    async def partial(self, day: date) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the prefixes of the recordings that began on `day` and are not complete, with their last change."""
        start = names.day_prefix(day)
        async for blob in self._container.list_blobs(name_starts_with=start, include=["metadata"]):
            is_manifest = blob.name.endswith("/manifest.json")
            if is_manifest and (blob.metadata or {}).get(_STATUS) != Status.COMPLETE:
                yield blob.name.removesuffix("/manifest.json"), blob.last_modified

    async def events(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the events that are kept with a recording."""
        async for blob in self._container.list_blobs(name_starts_with=f"{prefix}/events/"):
            stream = await self._container.download_blob(blob.name)
            yield json.loads(await stream.readall())

    async def keep_event(self, prefix: str, event_id: str, event: Mapping[str, Any]) -> None:
        """Keep an event as received with its recording."""
        await self.put_once(names.event_blob(prefix, event_id), _json(event))

    async def raise_attention(self, key: str, evidence: Mapping[str, Any]) -> None:
        """Keep something that an operator has to look at; the first evidence stays."""
        await self.put_once(names.attention_blob(key), _json(evidence))

    async def put_once(self, name: str, content: bytes) -> bool:
        """Write a JSON blob unless it is there already; return whether it was written."""
        try:
            await self._container.upload_blob(name, content, overwrite=False, content_settings=_JSON)
        except ResourceExistsError:
            return False
        return True

    async def put_first(self, name: str, content: bytes) -> bytes:
        """Write a JSON blob unless it is there already; return what is there, `content` itself if it was written."""
        if await self.put_once(name, content):
            return content
        stream = await self._container.download_blob(name)
        return bytes(await stream.readall())

    async def read_manifest(self, prefix: str) -> ManifestVersion:
        """Return a recording's manifest as it is now; raises `ManifestUnreadable` where it is none."""
        try:
            stream = await self._container.download_blob(names.manifest_blob(prefix))
            return ManifestVersion(Manifest.model_validate_json(await stream.readall()), stream.properties.etag)
        except ResourceNotFoundError:
            return NO_MANIFEST
        except ValidationError:
            raise ManifestUnreadable(f"{names.manifest_blob(prefix)} is not a manifest") from None

    async def update_manifest(
        self, prefix: str, change: Callable[[Manifest], Manifest], seen: ManifestVersion | None = None
    ) -> Manifest:
        """Apply `change` to the latest version of the manifest and write it under its ETag.

        Parameters
        ----------
        prefix
            The recording's.
        change
            A pure function; it is applied again when somebody else wrote in between.
        seen
            The version the caller has read already, or `NO_MANIFEST` for one it knows to be new: saves a request.
        """
        for _ in range(_MOST_CONFLICTS):
            version = seen or await self.read_manifest(prefix)
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
                    names.manifest_blob(prefix),
                    changed.to_json(),
                    content_settings=_JSON,
                    # A listing shows it, so finding what is not complete takes no request for each manifest.
                    metadata={_STATUS: changed.status.value},
                    **condition,
                )
            except (ResourceExistsError, ResourceModifiedError):
                seen = None
                await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311 - spreads writers, guards nothing
                continue
            return changed
        raise RuntimeError(f"the manifest of {prefix} was written by others {_MOST_CONFLICTS} times in a row")


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return json.dumps(value, indent=2).encode() + b"\n"
