"""Verification: reads an archived recording back, and compares every byte's digests with the manifest.

Memory is bounded by a few pieces read ahead, and time by a budget: the platform cuts an HTTP request after 230 seconds.
What is not reached then is named, and the next request goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared import log, names, telemetry
from shared.catalog import storage_errors_told
from shared.errors import InvalidRequest, NotArchived
from shared.events import wire_time
from shared.manifest import CHUNK_MAXIMUM_SIZE_EXCEEDED, ArchivedChunk, Manifest, MediaFile, MetadataFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from azure.storage.blob.aio import BlobClient, ContainerClient

    from shared.catalog import Catalog
    from shared.finding import Places

BUDGET = timedelta(seconds=120)
"""How long a request goes on to another chunk."""

LIMIT = timedelta(seconds=200)
"""How long a request may take in all."""

_PIECE = 4 * 1024 * 1024
_READ_AHEAD = 3


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ChunkReport(_Answer):
    """What was found of one chunk; it is as the manifest says where `differences` is empty."""

    index: int
    ok: bool
    differences: tuple[str, ...]


class VerificationReport(_Answer):
    """What was found of a recording.

    Attributes
    ----------
    verified
        True when everything from the chunk that the request began with to the last is as the manifest says, and nothing
        is missing. False while `next` names a chunk that was not reached.
    status
        The manifest's.
    differences
        What is wrong with the recording as a whole: files that the manifest does not name, or names and are not there.
    chunks
        In order; a chunk that no event has announced is there with that as its difference.
    next
        The first chunk that the time did not suffice for; None when there is none.
    """

    recording_id: str | None
    prefix: str
    verified: bool
    status: str | None
    differences: tuple[str, ...]
    chunks: tuple[ChunkReport, ...]
    next: int | None = None
    verified_at: str


class Verification:
    """Reads recordings back.

    Parameters
    ----------
    container
        The archive's container.
    catalog
        Its bookkeeping.
    places
        Knows where a recording lies.
    budget, limit
        How long a request goes on to another chunk, and how long it may take in all.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        container: ContainerClient,
        catalog: Catalog,
        places: Places,
        *,
        budget: timedelta = BUDGET,
        limit: timedelta = LIMIT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._catalog = catalog
        self._places = places
        self._budget = budget.total_seconds()
        self._limit = limit.total_seconds()
        self._now = now

    async def verify(self, recording_id: str, chunk: str | None = None) -> VerificationReport:
        """Read a recording back.

        Parameters
        ----------
        recording_id
            The service's id, or the last part of the recording's prefix.
        chunk
            The index of the chunk to begin with, as the request says it; the first by default.

        Raises
        ------
        InvalidRequest
            `chunk` is no index.
        NotArchived
            There is no such recording.
        StorageUnavailable
            The archive could not be read.
        """
        first = _index(chunk)
        with storage_errors_told(), telemetry.span("recording.verify", recordingId=recording_id):
            prefix = await self._places.find(recording_id)
            if prefix is None:
                raise NotArchived
            report = await self._verify(prefix, first)
        count = len(report.differences) + sum(len(found.differences) for found in report.chunks)
        tell = log.error if count else log.info
        tell("recording.verified", prefix=prefix, chunks=len(report.chunks), differences=count, next=report.next)
        return report

    async def differences(self, prefix: str, chunk: ArchivedChunk) -> tuple[str, ...]:
        """Read one archived chunk's files back and say how they differ from the manifest's entry."""
        if chunk.content is None or chunk.metadata is None or chunk.archived_at is None:
            return ("it is announced and not archived",)
        found = [
            *await self._compare(prefix, chunk.content, document_id=chunk.document_id),
            *await self._compare(prefix, chunk.metadata),
        ]
        return tuple(found)

    async def _verify(self, prefix: str, first: int) -> VerificationReport:
        began = asyncio.get_running_loop().time()
        try:
            manifest = (await self._catalog.read_manifest(prefix)).manifest
        except ValidationError:
            return self._report(prefix, None, ["manifest.json is not a manifest of schema version 1"], [], None)
        if manifest is None:
            return self._report(prefix, None, ["manifest.json is missing"], [], None)
        general = [] if first else [difference async for difference in self._strangers(prefix, manifest)]
        reports: list[ChunkReport] = []
        for index in [index for index in _expected(manifest) if index >= first]:
            elapsed = asyncio.get_running_loop().time() - began
            if reports and elapsed > self._budget:
                return self._report(prefix, manifest, general, reports, index)
            found = await self._within(self._limit - elapsed, prefix, manifest.chunk(index))
            if found is None and reports:
                return self._report(prefix, manifest, general, reports, index)
            if found is None:
                found = (f"it could not be read in {self._limit:.0f} s",)
            reports.append(ChunkReport(index=index, ok=not found, differences=found))
        return self._report(prefix, manifest, general, reports, None)

    async def _within(self, seconds: float, prefix: str, chunk: ArchivedChunk | None) -> tuple[str, ...] | None:
        """Return a chunk's differences, or None when the time did not suffice."""
        if chunk is None:
            return ("no event has announced it",)
        try:
            async with asyncio.timeout(seconds):
                return await self.differences(prefix, chunk)
        except TimeoutError:
            return None

    def _report(
        self,
        prefix: str,
        manifest: Manifest | None,
        general: list[str],
        chunks: list[ChunkReport],
        following: int | None,
    ) -> VerificationReport:
        return VerificationReport(
            recording_id=manifest.recording_id if manifest else None,
            prefix=prefix,
            verified=following is None and not general and all(chunk.ok for chunk in chunks),
            status=manifest.status if manifest else None,
            differences=tuple(general),
            chunks=tuple(chunks),
            next=following,
            verified_at=wire_time(self._now()),
        )

    async def _strangers(self, prefix: str, manifest: Manifest) -> AsyncIterator[str]:
        """Yield what is wrong with the files that belong to no chunk."""
        named = {names.manifest_blob(prefix)}
        if manifest.consent is not None:
            named.add(manifest.consent.blob)
            consent = await self._read(self._container.get_blob_client(manifest.consent.blob))
            if consent is None:
                yield f"{_short(manifest.consent.blob)} is missing"
            elif consent.sha256 != manifest.consent.sha256:
                yield _differs(manifest.consent.blob, "SHA-256", consent.sha256, manifest.consent.sha256)
        waiting = []
        for chunk in manifest.chunks:
            named |= {file.blob for file in (chunk.content, chunk.metadata) if file is not None}
            if chunk.archived_at is None:
                waiting.append(f"{prefix}/{chunk.index:04}.")  # its files may be there before the manifest says so
        async for blob in self._container.list_blobs(name_starts_with=f"{prefix}/"):
            known = blob.name in named or blob.name.startswith((f"{prefix}/events/", *waiting))
            if not known:
                yield f"{blob.name.removeprefix(f'{prefix}/')} is there and the manifest does not name it"

    async def _compare(
        self, prefix: str, file: MediaFile | MetadataFile, *, document_id: str | None = None
    ) -> list[str]:
        """Return how a file differs from what the manifest says of it, and from what is stored with it."""
        if not file.blob.startswith(f"{prefix}/"):
            return [f"{file.blob} is not one of the recording's files"]
        read = await self._read(self._container.get_blob_client(file.blob))
        if read is None:
            return [f"{_short(file.blob)} is missing"]
        if read.offline:
            return [f"{_short(file.blob)} is in the archive tier, where nothing can be read: move it to another first"]
        found = []
        if read.size != file.size:
            found.append(f"{_short(file.blob)} has {read.size} bytes, the manifest says {file.size}")
        digests = [("SHA-256", read.sha256, file.sha256)]
        if isinstance(file, MediaFile):
            digests.append(("MD5", read.md5, file.md5))
        found += [_differs(file.blob, *each) for each in digests if each[1] != each[2].lower()]
        if read.stored_md5 not in {None, read.md5}:
            found.append(f"{_short(file.blob)} has MD5 {read.md5}, its Content-MD5 is {read.stored_md5}")
        if document_id is not None and read.document_id not in {None, quote(document_id, safe="")}:
            found.append(f"{_short(file.blob)} was copied from another document")
        return found

    async def _read(self, blob: BlobClient) -> _Read | None:
        """Read a blob as it is now, piece by piece; None where there is none."""
        try:
            properties = await blob.get_blob_properties()
        except ResourceNotFoundError:
            return None
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        offline = properties.blob_tier == "Archive"
        if not offline:
            try:
                async for piece in _pieces(blob, properties.size, properties.etag):
                    await asyncio.to_thread(_update, md5, sha256, piece)
            except (ResourceNotFoundError, ResourceModifiedError):
                return await self._read(
                    blob
                )  # it was replaced meanwhile, as a manifest may be: what counts is what is there
        stored = properties.content_settings.content_md5
        metadata = {key.lower(): value for key, value in (properties.metadata or {}).items()}
        return _Read(
            size=properties.size,
            md5=md5.hexdigest(),
            sha256=sha256.hexdigest(),
            stored_md5=bytes(stored).hex() if stored else None,
            document_id=metadata.get("documentid"),
            offline=offline,
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """A blob as it was read; `stored_md5` and `document_id` are what is stored with it."""

    size: int
    md5: str
    sha256: str
    stored_md5: str | None
    document_id: str | None
    offline: bool


async def _pieces(blob: BlobClient, size: int, etag: str) -> AsyncIterator[bytes]:
    """Yield a blob's bytes in order, a few pieces of them read ahead."""

    async def fetch(offset: int) -> bytes:
        length = min(_PIECE, size - offset)
        stream = await blob.download_blob(
            offset, length, etag=etag, match_condition=MatchConditions.IfNotModified, max_concurrency=1
        )
        return bytes(await stream.readall())

    offsets = iter(range(0, size, _PIECE))
    ahead = [asyncio.create_task(fetch(offset)) for offset, _ in zip(offsets, range(_READ_AHEAD), strict=False)]
    try:
        while ahead:
            piece = await ahead.pop(0)
            if (offset := next(offsets, None)) is not None:
                ahead.append(asyncio.create_task(fetch(offset)))
            yield piece
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)
