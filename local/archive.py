"""Reads an archive independently of the app: lists the container, recomputes the digests, opens the media.

Shares no code with the app, so that what it finds says something about the app.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob.aio import ContainerClient


@dataclass(frozen=True, slots=True)
class BlobDigests:
    """A blob's size in bytes and hex digests, computed from what was downloaded."""

    name: str
    size: int
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Media:
    """What a media file holds.

    Attributes
    ----------
    codecs
        Codec names, video first.
    width, height
        Picture size; 0 without video.
    sample_rate, channels
        Of the sound, in Hz.
    seconds
        Length.
    """

    codecs: tuple[str, ...]
    width: int
    height: int
    sample_rate: int
    channels: int
    seconds: float

    def __str__(self) -> str:
        picture = f"{self.width}x{self.height}, " if self.width else ""
        channels = f", {self.channels} channels" if self.channels > 1 else ""
        return f"{' + '.join(self.codecs)}, {picture}{self.sample_rate / 1000:g} kHz{channels}, {self.seconds:.2f} s"


async def listing(container: ContainerClient, prefix: str = "") -> dict[str, int]:
    """Return the names under `prefix`, in order, with their sizes in bytes; nothing where there is no container."""
    try:
        return {blob.name: blob.size or 0 async for blob in container.list_blobs(name_starts_with=prefix or None)}
    except ResourceNotFoundError:
        return {}


async def manifests(container: ContainerClient) -> dict[str, dict[str, Any]]:
    """Return all manifests by blob name."""
    names = [name for name in await listing(container) if name.endswith("/manifest.json")]
    return {name: await document(container, name) for name in names}


async def manifest_of(container: ContainerClient, recording_id: str) -> tuple[str, dict[str, Any]] | None:
    """Return the manifest of a recording and its folder with a trailing slash, if there is one yet."""
    for name, manifest in (await manifests(container)).items():
        if manifest.get("recordingId") == recording_id:
            return name.removesuffix("manifest.json"), manifest
    return None


async def document(container: ContainerClient, name: str) -> dict[str, Any]:
    """Return a JSON blob."""
    downloaded = await container.download_blob(name)
    value: dict[str, Any] = json.loads(await downloaded.readall())
    return value


async def digests(container: ContainerClient, name: str, into: Path | None = None) -> BlobDigests:
    """Download a blob in pieces and compute its digests.

    Parameters
    ----------
    into
        File that takes the content too.
    """
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    sink = into.open("wb") if into is not None else None
    try:
        downloaded = await container.download_blob(name, max_concurrency=2)
        async for piece in downloaded.chunks():
            md5.update(piece)
            sha256.update(piece)
            size += len(piece)
            if sink is not None:
                sink.write(piece)
    finally:
        if sink is not None:
            sink.close()
    return BlobDigests(name, size, md5.hexdigest(), sha256.hexdigest())


def probe(file: Path) -> Media:
    """Open a media file and say what it holds; raises `av.error.FFmpegError` if it cannot be opened."""
    import av  # noqa: PLC0415 - heavy, and only needed here

    with av.open(file) as container:
        video = container.streams.video[0] if container.streams.video else None
        audio = container.streams.audio[0] if container.streams.audio else None
        return Media(
            codecs=tuple(stream.codec_context.name for stream in (video, audio) if stream is not None),
            width=video.codec_context.width if video else 0,
            height=video.codec_context.height if video else 0,
            sample_rate=audio.codec_context.sample_rate or 0 if audio else 0,
            channels=audio.codec_context.channels if audio else 0,
            seconds=float(container.duration or 0) / av.time_base,
        )
