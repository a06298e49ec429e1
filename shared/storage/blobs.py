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
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContentSettings
from pydantic import ValidationError

from shared.core import blob_names, log
from shared.core.errors import ManifestUnreadable, StorageUnavailable
from shared.core.times import iso_time
from shared.storage.manifest import Manifest, ManifestStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from datetime import date, datetime

    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import ContainerClient

    from shared.events.recording_files import RecordingFiles

_JSON = ContentSettings(content_type="application/json")
_MOST_CONFLICTS = 50
_STATUS = "status"
_REFUSED = frozenset({403, 409})
"""What an immutable container, or one in a cold tier, answers to a change."""


RAISED_AT, SETTLED_AT, SETTLED_BY = "raisedat", "settledat", "settledby"
"""Marks of what lies under `attention/`, as its metadata: a listing shows them."""


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
        key, own = _place(files)
        if key is None:
            return own, False
        record = _json({"callId": files.call_id, "startTime": iso_time(files.start_time), "prefix": own})
        settled = await self.put_first(blob_names.call_blob(key), record)
        return str(json.loads(settled)["prefix"]), settled is record

    async def located(self, files: RecordingFiles) -> str | None:
        """Return the prefix that `locate` gave an event's recording; None where it never did."""
        key, own = _place(files)
        if key is None:
            return own
        settled = await self.read(blob_names.call_blob(key))
        return str(json.loads(settled)["prefix"]) if settled is not None else None

    async def partial(self, day: date) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the prefixes of the recordings that began on `day` and are not complete, with their last change."""
        start = blob_names.day_prefix(day)
        async for blob in self._container.list_blobs(name_starts_with=start, include=["metadata"]):
            is_manifest = blob.name.endswith("/manifest.json")
            if is_manifest and (blob.metadata or {}).get(_STATUS) != ManifestStatus.COMPLETE:
                yield blob.name.removesuffix("/manifest.json"), blob.last_modified

    async def events(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the events that are kept with a recording; one that somebody made unreadable is left out."""
        async for blob in self._container.list_blobs(name_starts_with=f"{prefix}/events/"):
            try:
                event = json.loads(await self.read(blob.name) or b"")
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                yield event
            else:
                log.warning("event.unread", blob=blob.name)

    async def keep_event(self, prefix: str, event_id: str, event: Mapping[str, Any]) -> None:
        """Keep an event as received with its recording."""
        await self.put_once(blob_names.event_blob(prefix, event_id), _json(event))

    async def raise_attention(self, key: str, evidence: Mapping[str, Any]) -> None:
        """Keep something that an operator has to look at; the first evidence stays, and is not settled any more."""
        blob, raised_at = blob_names.attention_blob(key), evidence.get("raisedAt")
        marks = {RAISED_AT: raised_at} if isinstance(raised_at, str) else {}
        if not await self.put_once(blob, _json(evidence), marks):
            await self._mark(blob, marks)

    async def settle_attention(self, key: str, marks: Mapping[str, str], evidence: Mapping[str, Any] | None) -> bool:
        """Note with what is kept of a finding that it is settled; returns whether storage let it be noted.

        Parameters
        ----------
        evidence
            Kept where nothing was; None where that is not wanted.
        """
        blob = blob_names.attention_blob(key)
        if evidence is not None and await self.put_once(blob, _json(evidence), marks):
            return True
        return await self._mark(blob, marks)

    async def attention(self) -> AsyncIterator[BlobProperties]:
        """Yield the blobs under `attention/`, each with its marks as metadata."""
        async for blob in self._container.list_blobs(name_starts_with=blob_names.ATTENTION, include=["metadata"]):
            yield blob

    async def _mark(self, blob: str, marks: Mapping[str, str]) -> bool:
        try:
            await self._container.get_blob_client(blob).set_blob_metadata(dict(marks))
        except ResourceNotFoundError:
            return True
        except HttpResponseError as error:
            if error.status_code not in _REFUSED:
                raise
            log.warning("attention.not_marked", blob=blob, code=getattr(error, "error_code", None))
            return False
        return True

    async def read(self, name: str) -> bytes | None:
        """Return a small blob's content; None where there is none."""
        try:
            stream = await self._container.download_blob(name)
            return bytes(await stream.readall())
        except ResourceNotFoundError:
            return None

    async def put_once(self, name: str, content: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """Write a JSON blob unless it is there already; return whether it was written."""
        try:
            await self._container.upload_blob(
                name, content, overwrite=False, content_settings=_JSON, metadata=dict(metadata or {})
            )
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
            stream = await self._container.download_blob(blob_names.manifest_blob(prefix))
            return ManifestVersion(Manifest.model_validate_json(await stream.readall()), stream.properties.etag)
        except ResourceNotFoundError:
            return NO_MANIFEST
        except ValidationError:
            raise ManifestUnreadable(blob_names.manifest_blob(prefix)) from None

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
                    blob_names.manifest_blob(prefix),
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


def _place(files: RecordingFiles) -> tuple[str | None, str]:
    """Return the name of an event's call, where it has one, and the prefix that its recording has by itself."""
    key = blob_names.call_key(files.call_id, files.start_time) if files.call_id else None
    name = blob_names.safe_name(files.recording_id) if files.recording_id else str(key)
    return key, blob_names.recording_prefix(name, files.start_time)


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return json.dumps(value, indent=2).encode() + b"\n"
