"""Verification: reads an archived recording back, and compares every byte's digests with the manifest.

Memory is bounded by a few pieces read ahead, and time by a budget: the platform ends an HTTP request after 230 seconds.
The report names the first chunk that was not reached, and the next request continues there.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.core import blob_names, log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidRequest, ManifestUnreadable, NotArchived
from shared.core.models import ResponseModel
from shared.core.times import Now, iso_time, utc_now
from shared.storage.manifest import (
    CHUNK_MAXIMUM_SIZE_EXCEEDED,
    ArchivedChunk,
    ArchivedMedia,
    ArchivedMetadata,
    Manifest,
)
from shared.storage.readback import read_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from shared.storage.archive import Archive
    from shared.storage.places import RecordingPlaces

BUDGET = timedelta(seconds=120)
"""How long a request begins with another chunk."""

LIMIT = timedelta(seconds=200)
"""How long a request may take in all."""


class ChunkReport(ResponseModel):
    """The result for one chunk; it is as the manifest says where `differences` is empty."""

    index: int
    ok: bool
    differences: tuple[str, ...]


class VerificationReport(ResponseModel):
    """The result for a recording.

    Attributes
    ----------
    verified
        True when everything from the chunk that the request began with to the last is as the manifest says, and nothing
        is missing. False while `next` names a chunk that was not reached.
    status
        The manifest's.
    differences
        What is wrong with the recording as a whole: gaps between its chunks, files that the manifest does not name.
        Only a request that begins with the first chunk looks for it.
    chunks
        The result for each chunk that was reached, in order.
    next
        The first chunk that was not reached in time; None when there is none.
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
    """Reads recordings back; `budget` and `limit` are those of a request."""

    def __init__(
        self,
        archive: Archive,
        places: RecordingPlaces,
        *,
        budget: timedelta = BUDGET,
        limit: timedelta = LIMIT,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
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
        with storage_errors_translated(), telemetry.span("recording.verify", recordingId=recording_id):
            prefix = await self._places.find(recording_id)
            if prefix is None:
                raise NotArchived
            report = await self._verify(prefix, first)
        count = len(report.differences) + sum(len(found.differences) for found in report.chunks)
        write = log.error if count else log.info
        write("recording.verified", prefix=prefix, chunks=len(report.chunks), differences=count, next=report.next)
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
            manifest = (await self._archive.manifests.read(prefix)).manifest
        except ManifestUnreadable as error:
            return self._report(prefix, None, [str(error)])
        if manifest is None:
            return self._report(prefix, None, ["manifest.json is missing"])
        general = [] if first else [*_gaps(manifest), *[found async for found in self._other_files(prefix, manifest)]]
        reports: list[ChunkReport] = []
        for chunk in (chunk for chunk in manifest.chunks if chunk.index >= first):
            elapsed = asyncio.get_running_loop().time() - began
            found = None if reports and elapsed >= self._budget else await self._within(elapsed, prefix, chunk)
            if found is None and reports:
                return self._report(prefix, manifest, general, reports, chunk.index)
            if found is None:  # the next request would not be faster
                found = (f"it could not be read in {self._limit:.0f} s",)
            reports.append(ChunkReport(index=chunk.index, ok=not found, differences=found))
        return self._report(prefix, manifest, general, reports)

    async def _within(self, elapsed: float, prefix: str, chunk: ArchivedChunk) -> tuple[str, ...] | None:
        """Return a chunk's differences, or None after a timeout."""
        try:
            async with asyncio.timeout(self._limit - elapsed):
                return await self.differences(prefix, chunk)
        except TimeoutError:
            return None

    def _report(
        self,
        prefix: str,
        manifest: Manifest | None,
        general: list[str],
        chunks: Sequence[ChunkReport] = (),
        following: int | None = None,
    ) -> VerificationReport:
        return VerificationReport(
            recording_id=manifest.recording_id if manifest else None,
            prefix=prefix,
            verified=following is None and not general and all(chunk.ok for chunk in chunks),
            status=manifest.status if manifest else None,
            differences=tuple(general),
            chunks=tuple(chunks),
            next=following,
            verified_at=iso_time(self._now()),
        )

    async def _other_files(self, prefix: str, manifest: Manifest) -> AsyncIterator[str]:
        """Yield what is wrong with the files that belong to no chunk."""
        named, waiting = {blob_names.manifest_blob(prefix)}, [f"{prefix}/events/"]
        if manifest.consent is not None:
            named.add(manifest.consent.blob)
            read = await read_back(self._archive.container.get_blob_client(manifest.consent.blob))
            if read is None:
                yield f"{_short(manifest.consent.blob)} is missing"
            elif not read.offline and read.sha256 != manifest.consent.sha256:
                yield _differs(manifest.consent.blob, "SHA-256", read.sha256, manifest.consent.sha256)
        for chunk in manifest.chunks:
            named |= {file.blob for file in (chunk.content, chunk.metadata) if file is not None}
            if chunk.archived_at is None:  # its files are there before the manifest says so
                waiting.append(f"{prefix}/{chunk.index:04}.")
        async for blob in self._archive.container.list_blobs(name_starts_with=f"{prefix}/"):
            if blob.name not in named and not blob.name.startswith(tuple(waiting)):
                yield f"{blob.name.removeprefix(f'{prefix}/')} is there and the manifest does not name it"

    async def _compare(
        self, prefix: str, file: ArchivedMedia | ArchivedMetadata, *, document_id: str | None = None
    ) -> list[str]:
        """Return how a file differs from what the manifest says of it, and from what is stored with it."""
        name = _short(file.blob)
        if not file.blob.startswith(f"{prefix}/"):
            return [f"{file.blob} is not one of the recording's files"]
        read = await read_back(self._archive.container.get_blob_client(file.blob))
        if read is None:
            return [f"{name} is missing"]
        if read.offline:
            return [f"{name} is in the archive tier, where nothing can be read: move it to another tier first"]
        found = []
        if read.size != file.size:
            found.append(f"{name} has {read.size} bytes, the manifest says {file.size}")
        if read.sha256 != file.sha256:
            found.append(_differs(file.blob, "SHA-256", read.sha256, file.sha256))
        if isinstance(file, ArchivedMedia) and read.md5 != file.md5:
            found.append(_differs(file.blob, "MD5", read.md5, file.md5))
        if read.stored_md5 not in {None, read.md5}:
            found.append(f"{name} has MD5 {read.md5}, its Content-MD5 says {read.stored_md5}")
        if document_id is not None and read.document_id not in {None, quote(document_id, safe="")}:
            found.append(f"{name} was copied from another document than the manifest says")
        return found


def _gaps(manifest: Manifest) -> Iterator[str]:
    """Yield which chunks no event has announced, as far as the announced ones show."""
    expected = 0
    for chunk in manifest.chunks:
        if chunk.index > expected:
            yield f"no event has announced {_chunks(expected, chunk.index - 1)}"
        expected = chunk.index + 1
    last = manifest.chunks[-1] if manifest.chunks else None
    if last is None or (last.end_reason or "").lower() == CHUNK_MAXIMUM_SIZE_EXCEEDED.lower():
        yield f"no event has announced {_chunks(expected, expected)}, and there must be one"


def _chunks(first: int, last: int) -> str:
    return f"chunk {first}" if first == last else f"chunks {first} to {last}"


def _differs(blob: str, digest: str, found: str, wanted: str) -> str:
    return f"{_short(blob)} has {digest} {found}, the manifest says {wanted}"


def _short(blob: str) -> str:
    return blob.rpartition("/")[2]


def _index(text: str | None) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise InvalidRequest("chunk takes the index of the chunk to begin with, such as 0", field="chunk")
    return int(text)
