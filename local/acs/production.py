"""Makes the files of ended recordings: media, metadata, and the documents that hold them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from local.acs import identifiers
from local.acs.chunks import Span
from local.acs.documents import Chunk
from local.acs.media import MediaSpec
from local.acs.media_types import MAX_CHANNELS, ChannelType, content_name
from local.acs.metadata import metadata_file
from local.acs.recordings import Processing
from local.acs.store import MediaStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.acs.chunks import ChunkPlan
    from local.acs.options import AcsOptions
    from local.acs.recordings import Recording, Recordings


class Production:
    """Makes chunks and stores them.

    Parameters
    ----------
    options
        The emulator's options.
    resource_id
        GUID of the emulated resource, for the metadata.
    recordings
        Where finished chunks can be fetched from.
    now
        Emulated time in ms since the epoch.
    """

    def __init__(self, options: AcsOptions, resource_id: str, recordings: Recordings, now: Callable[[], int]) -> None:
        self._options = options
        self._resource_id = resource_id
        self._recordings = recordings
        self._now = now
        self._store = MediaStore(options.media_dir)

    def forget_old(self) -> None:
        """Delete generated media that has not been used for long."""
        self._store.forget_old()

    def close(self) -> None:
        """End the worker threads."""
        self._store.close()

    async def produce(
        self, recording: Recording, plans: Sequence[ChunkPlan], *, size: int | None = None, swap_types: bool = False
    ) -> None:
        """Make all files of an ended recording.

        Raises
        ------
        ValueError
            When media of that size or length cannot be made.
        """
        recording.processing = Processing.RUNNING
        chunks = await asyncio.gather(*(self._chunk(recording, plan, size, swap_types=swap_types) for plan in plans))
        for chunk in chunks:
            self._make_available(chunk)
        recording.chunks = list(chunks)
        recording.processing = Processing.READY

    async def reissue(self, recording: Recording, index: int, size: int | None) -> Chunk:
        """Store a chunk a second time under another document, and leave the first one as it is.

        Raises
        ------
        ValueError
            When media of `size` bytes cannot be made.
        """
        first = recording.chunks[index]
        chunk = await self._chunk(recording, first.plan, first.content.length if size is None else size)
        self._make_available(chunk)
        recording.reissued.append(chunk)
        return chunk

    def write_metadata(self, recording: Recording, chunk: Chunk, *, swap_types: bool) -> None:
        """Write a chunk's metadata file."""
        chunk.metadata = metadata_file(
            resource_id=self._resource_id,
            call_id=recording.call.call_id,
            document_id=chunk.document_id,
            plan=chunk.plan,
            options=recording.options,
            channels=chunk.channels,
            frame_rate=self._options.frame_rate,
            participants=chunk.participants,
            swap_types=swap_types,
        )
        chunk.metadata_sha256 = hashlib.sha256(chunk.metadata).hexdigest()

    async def _chunk(
        self, recording: Recording, plan: ChunkPlan, size: int | None, *, swap_types: bool = False
    ) -> Chunk:
        options = recording.options
        on_channel = recording.channels() if options.channel_type is ChannelType.UNMIXED else {}
        channels = max(on_channel.values(), default=0) + 1
        heard = recording.call.heard(plan.begin, plan.end)
        origin = recording.call.started
        spec = MediaSpec(
            format=options.format,
            spans=tuple(Span(span.begin - origin, span.end - origin) for span in plan.recorded),
            channels=channels,
            voices=max(min(len(heard), MAX_CHANNELS), 1) if channels == 1 else channels,
            frame_rate=self._options.frame_rate,
            title=f"call {recording.call.call_id}",
            lines=tuple(heard[:MAX_CHANNELS]),
        )
        document_id = identifiers.document_id()
        content, digest = await self._store.body(spec, document_id, size)
        chunk = Chunk(
            plan=plan,
            document_id=document_id,
            content=content,
            content_sha256=digest,
            metadata=b"",
            metadata_sha256="",
            participants=[(raw_id, on_channel.get(raw_id)) for raw_id in heard],
            channels=channels,
            available=0,
            expires=0,
            name=content_name(options.channel_type, options.format),
        )
        self.write_metadata(recording, chunk, swap_types=swap_types)
        return chunk

    def _make_available(self, chunk: Chunk) -> None:
        chunk.available = self._now()
        chunk.expires = chunk.available + round(self._options.retention * 1000)
        self._recordings.store(chunk)
