"""The archive: takes events in, and brings every chunk they announce into the container.

`announce` runs within Event Grid's 30 seconds: it keeps the event, notes in the manifest what must arrive, and returns
one message a chunk. `archive` handles one such message: it copies the media and the metadata, then notes in the
manifest what arrived. Both can be repeated, run twice at once, or be cut off anywhere, and end in the same archive.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from azure.core.exceptions import AzureError

from shared import log, names
from shared.catalog import NO_MANIFEST
from shared.errors import (
    ArchiveConflict,
    CopyError,
    Expired,
    InvalidEvent,
    Permanent,
    Retryable,
    SourceNotReady,
    StorageUnavailable,
    UntrustedOrigin,
)
from shared.events import parse_recording_files, wire_time
from shared.ledger import Facts, best_effort
from shared.manifest import ArchivedChunk, ConsentFile, Manifest, MediaFile, MetadataFile
from shared.media import Format
from shared.messages import ChunkMessage
from shared.metadata import parse_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from azure.storage.blob.aio import ContainerClient

    from shared.catalog import Catalog
    from shared.errors import ArchiverError
    from shared.ledger import Ledger
    from shared.events import Chunk, RecordingFiles
    from shared.origins import TrustedOrigins
    from shared.source import Source
    from shared.transfer import Transfer

METADATA_LIMIT = 16 * 1024 * 1024
"""Largest metadata file that is read, in bytes; real ones have some kilobytes."""


COPY_TIME = timedelta(minutes=25)
"""How long one invocation copies before it hands the rest on; host.json's functionTimeout is 5 minutes more."""


class Archive:
    """Brings recordings into the container.

    Parameters
    ----------
    container
        The archive's container.
    catalog
        Its bookkeeping.
    ledger
        Told where a recording lies, and how its chunks get on.
    source, transfer
        Where files are read from, and what moves them.
    origins
        Where files may be read from.
    retention
        How long the service keeps files.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        container: ContainerClient,
        catalog: Catalog,
        ledger: Ledger,
        source: Source,
        transfer: Transfer,
        *,
        origins: TrustedOrigins,
        retention: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._catalog = catalog
        self._ledger = ledger
        self._source = source
        self._transfer = transfer
        self._origins = origins
        self._retention = retention
        self._now = now

    async def announce(self, event: Mapping[str, Any]) -> list[str]:
        """Take in an event and return the queue's messages, one for each chunk that is not archived yet.

        An event, or a chunk of one, that cannot be archived is kept under `attention/` with the reason.

        Parameters
        ----------
        event
            The event's JSON object, in either schema.

        Raises
        ------
        StorageUnavailable
            Nothing is lost as long as the event comes again.
        """
        with _storage_errors_told():
            return await self._announce(event)

    async def _announce(self, event: Mapping[str, Any]) -> list[str]:
        try:
            files = parse_recording_files(event, self._now())
        except InvalidEvent as error:
            await self._refuse_event(event, error)
            return []
        with log.fields(recordingId=files.recording_id, callId=files.call_id, eventId=files.event_id):
            refused = {chunk.document_id: fault for chunk in files.chunks if (fault := self._untrusted(chunk))}
            if refused:
                await self._refuse_event(event, next(iter(refused.values())), documents=list(refused))
            chunks = [chunk for chunk in files.chunks if chunk.document_id not in refused]
            if not chunks:
                return []
            files = replace(files, chunks=tuple(chunks))
            prefix, is_new = await self._catalog.locate(files)
            await self._catalog.keep_event(prefix, files.event_id, event)
            name = names.ledger_name(files.recording_id, prefix)
            facts = await best_effort(self._ledger.read(name)) or Facts(name)
            consent = await self._keep_consent(prefix, facts)
            manifest = await self._catalog.update_manifest(
                prefix, lambda known: known.announced(files, consent), NO_MANIFEST if is_new else None
            )
            await best_effort(
                self._ledger.learn(
                    name,
                    recordingId=files.recording_id,
                    prefix=prefix,
                    expiresAt=wire_time(files.event_time + self._retention),
                )
            )
            messages = [self._message(prefix, files, chunk) for chunk in chunks if not manifest.holds(chunk)]
            log.info("recording.announced", prefix=prefix, chunks=len(chunks), waiting=len(messages))
            return [message.to_json() for message in messages]

    async def _keep_consent(self, prefix: str, facts: Facts) -> ConsentFile | None:
        """Put the consent that came with the start beside the recording's files."""
        consent = facts.text("consent")
        if consent is None:
            return None
        content, name = consent.encode(), names.consent_blob(prefix)
        await self._catalog.put_once(name, content)
        return ConsentFile(blob=name, sha256=hashlib.sha256(content).hexdigest())

    async def archive(self, body: str) -> None:
        """Archive the chunk of one queue message.

        What no retry can mend is kept under `attention/` with the reason, and the message counts as done.

        Raises
        ------
        Retryable
            The source or the storage is not there now; the message should come again.
        """
        with _storage_errors_told():
            await self._archive(body)

    async def _archive(self, body: str) -> None:
        try:
            message = ChunkMessage.from_json(body)
        except InvalidEvent as error:
            await self._refuse_message(body, error)
            return
        with log.fields(recordingId=message.recording_id, callId=message.call_id, documentId=message.chunk.document_id):
            try:
                with _storage_errors_told():
                    await self._archive_chunk(message)
            except Retryable as error:
                if self._now() < message.expires_at:
                    log.warning("chunk.postponed", reason=str(error), error=type(error).__name__)
                    raise
                await self._give_up(message, Expired(f"the service has deleted the file; the last try said: {error}"))
            except (Permanent, Expired) as error:
                await self._give_up(message, error)

    async def _archive_chunk(self, message: ChunkMessage) -> None:
        chunk, prefix = message.chunk, message.prefix
        seen = await self._catalog.read_manifest(prefix)
        known = seen.manifest or Manifest()
        if known.holds(chunk):
            log.info("chunk.already_archived")
            return
        if known.conflicts(chunk):
            raise ArchiveConflict(f"another document is announced as chunk {chunk.index} of this recording")

        # The media is what cannot be had again, so it is copied even while the metadata file fails.
        metadata = await self._read_metadata(chunk)
        content = await self._copy_content(message, metadata)
        if isinstance(metadata, CopyError):
            raise metadata
        name = names.metadata_blob(prefix, chunk.index)
        metadata = await self._catalog.put_first(name, metadata)
        described = parse_metadata(metadata)
        archived = ArchivedChunk(
            index=chunk.index,
            document_id=chunk.document_id,
            end_reason=chunk.end_reason,
            start_time=described.start_time,
            duration_ms=described.duration_ms,
            archived_at=wire_time(self._now()),
            content=content,
            metadata=MetadataFile(blob=name, size=len(metadata), sha256=hashlib.sha256(metadata).hexdigest()),
        )
        manifest = await self._catalog.update_manifest(prefix, lambda now: now.archived(archived, described), seen)
        log.info("chunk.archived", blob=content.blob, bytes=content.size, status=manifest.status)

    async def _read_metadata(self, chunk: Chunk) -> bytes | CopyError:
        try:
            content: bytes = await self._source.read(chunk.metadata_location, limit=METADATA_LIMIT)
            described = parse_metadata(content)
            if described.document_id not in {None, chunk.document_id}:
                raise SourceNotReady("the metadata file is about another document")
        except CopyError as error:
            return error
        return content

    async def _copy_content(self, message: ChunkMessage, metadata: bytes | CopyError) -> MediaFile:
        announced = Format(message.format) if message.format in set(Format) else None
        progress = _Progress(self._ledger, message)
        async with progress, self._source.open(message.chunk.content_location, format=announced) as media:
            name = names.content_blob(message.prefix, message.chunk.index, media.format)
            copied = await self._transfer.copy(
                media,
                self._container.get_blob_client(name),
                document_id=message.chunk.document_id,
                content_type=media.format.content_type,
                progress=progress,
                deadline=asyncio.get_running_loop().time() + COPY_TIME.total_seconds(),
            )
        return MediaFile(blob=name, size=copied.size, md5=copied.md5, sha256=copied.sha256)

    def _untrusted(self, chunk: Chunk) -> UntrustedOrigin | None:
        try:
            self._origins.check(chunk.content_location)
            self._origins.check(chunk.metadata_location)
        except UntrustedOrigin as error:
            return error
        return None

    def _message(self, prefix: str, files: RecordingFiles, chunk: Chunk) -> ChunkMessage:
        return ChunkMessage(
            prefix=prefix,
            recording_id=files.recording_id,
            call_id=files.call_id,
            chunk=chunk,
            format=files.format,
            expires_at=files.event_time + self._retention,
        )

    async def _refuse_event(
        self, event: Mapping[str, Any], error: ArchiverError, documents: list[str] | None = None
    ) -> None:
        """Keep an event that cannot be archived; `documents` are the chunks at fault where the rest goes on."""
        identifier = event.get("id")
        log.error("event.refused", eventId=identifier, documents=documents, reason=str(error))
        await self._catalog.raise_attention(
            "event",
            identifier if isinstance(identifier, str) and identifier else _digest(json.dumps(event, sort_keys=True)),
            {**self._finding(error), **({"documents": documents} if documents else {}), "event": event},
        )

    async def _refuse_message(self, body: str, error: InvalidEvent) -> None:
        log.error("message.refused", reason=str(error))
        await self._catalog.raise_attention("message", _digest(body), {**self._finding(error), "message": body})

    async def _give_up(self, message: ChunkMessage, error: CopyError) -> None:
        log.error("chunk.given_up", reason=str(error), error=type(error).__name__)
        await self._catalog.raise_attention(
            "chunk",
            f"{message.recording_id or message.call_id}.{message.chunk.document_id}",
            {**self._finding(error), **message.model_dump(mode="json", by_alias=True, exclude_none=True)},
        )

    def _finding(self, error: ArchiverError) -> dict[str, Any]:
        return {"raisedAt": wire_time(self._now()), "error": type(error).__name__, "reason": str(error)}


@contextmanager
def _storage_errors_told() -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        code = getattr(error, "error_code", None) or getattr(error, "status_code", None) or type(error).__name__
        raise StorageUnavailable(f"the archive's storage refused, or did not answer: {code}") from None


class _Progress:
    """Tells the log and the ledger how far a copy is; one write at a time, and the copy never waits for it."""

    def __init__(self, ledger: Ledger, message: ChunkMessage) -> None:
        self._ledger = ledger
        self._name = names.ledger_name(message.recording_id, message.prefix)
        self._index = message.chunk.index
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, done: int, size: int | None) -> None:
        if done == size:
            return
        log.info("chunk.progress", bytes=done, of=size)
        if self._writing is None or self._writing.done():
            writing = best_effort(self._ledger.progress(self._name, self._index, done, size))
            self._writing = asyncio.create_task(writing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await self._writing


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
