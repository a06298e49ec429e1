"""Compares an archived recording with its manifest and with what the emulator served, byte for byte."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import archive

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

# A picture at 8 a second lasts 0.125 s, and an AAC frame at 16 kHz 0.064 s: no file can be exact to the millisecond.
_LENGTH_TOLERANCE_SECONDS = 0.25
_VIDEO_SIZE = (1920, 1080)
_SAMPLE_RATE = 16_000
_CODECS = {"mp4": ("h264", "aac"), "mp3": ("mp3",), "wav": ("pcm_s16le",)}


@dataclass(frozen=True, slots=True)
class ChunkFinding:
    """The result for one chunk."""

    index: int
    content: archive.BlobDigests
    metadata: archive.BlobDigests
    media: archive.Media | None


@dataclass(slots=True)
class Verification:
    """The result for a recording; `differences` is empty if everything is correct."""

    folder: str
    manifest: dict[str, Any]
    blobs: dict[str, int]
    chunks: list[ChunkFinding] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def expect(self, what: str, found: object, wanted: object, source: str) -> None:
        """Add a difference unless `found` is what `source` says."""
        if found != wanted:
            self.differences.append(f"{what} is {found!r}, but {source} says {wanted!r}")


async def verify(container: ContainerClient, truth: dict[str, Any]) -> Verification:
    """Check a recording in the archive.

    Parameters
    ----------
    container
        The archive container.
    truth
        What the ACS emulator recorded, from its `/control/recordings/{recordingId}`.

    Raises
    ------
    LookupError
        There is no manifest of this recording.
    """
    found = await archive.manifest_of(container, truth["recordingId"])
    if found is None:
        raise LookupError(f"the archive holds no manifest of recording {truth['recordingId']}")
    folder, manifest = found
    result = Verification(folder, manifest, await archive.listing(container, folder))
    _compare_recording(result, truth)
    chunks = manifest.get("chunks", [])
    result.expect("the number of chunks in the manifest", len(chunks), len(truth["chunks"]), "the emulator")
    for chunk, true_chunk in zip(chunks, truth["chunks"], strict=False):
        await _compare_chunk(container, result, chunk, true_chunk)
    listed = {name for finding in result.chunks for name in (finding.content.name, finding.metadata.name)}
    for name in result.blobs:
        if name not in listed and name != f"{folder}manifest.json" and not name.startswith(f"{folder}events/"):
            result.differences.append(f"the archive holds {name}, which the manifest does not name")
    if not any(name.startswith(f"{folder}events/") for name in result.blobs):
        result.differences.append(f"the archive holds no event under {folder}events/")
    return result


def _compare_recording(result: Verification, truth: dict[str, Any]) -> None:
    manifest, options = result.manifest, truth["options"]
    for name, wanted in (
        ("schemaVersion", 1),
        ("status", "complete"),
        ("callId", truth["callId"]),
        ("serverCallId", truth["serverCallId"]),
        ("durationMs", sum(chunk["durationMs"] for chunk in truth["chunks"])),
        ("sessionEndReason", truth["sessionEndReason"]),
        ("contentType", options["recordingContentType"]),
        ("channelType", options["recordingChannelType"]),
        ("format", options["recordingFormatType"]),
    ):
        result.expect(f"{name} in the manifest", manifest.get(name), wanted, "the emulator")
    people = sorted(person["participantId"] for person in manifest.get("participants", []))
    wanted_people = sorted(person["participantId"] for person in truth["participants"])
    result.expect("participants in the manifest", people, wanted_people, "the emulator")


async def _compare_chunk(
    container: ContainerClient, result: Verification, chunk: dict[str, Any], truth: dict[str, Any]
) -> None:
    title = f"chunk {truth['index']}"
    for name in ("index", "documentId", "endReason", "durationMs"):
        result.expect(f"{name} of {title} in the manifest", chunk.get(name), truth[name], "the emulator")
    if not chunk.get("content") or not chunk.get("metadata"):
        result.differences.append(f"{title} is announced in the manifest, but not archived")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(chunk["content"]["blob"]).name
        content = await archive.digests(container, chunk["content"]["blob"], file)
        media = await asyncio.to_thread(_opened, file, result.differences, title)
    metadata = await archive.digests(container, chunk["metadata"]["blob"])
    result.chunks.append(ChunkFinding(truth["index"], content, metadata, media))
    for name in ("size", "md5", "sha256"):
        result.expect(f"{name} of {content.name}", getattr(content, name), chunk["content"].get(name), "the manifest")
    for name in ("size", "sha256"):
        result.expect(
            f"{name} of {metadata.name}", getattr(metadata, name), chunk["metadata"].get(name), "the manifest"
        )
    result.expect(f"size of {content.name}", content.size, truth["contentLength"], "the emulator")
    result.expect(f"sha256 of {content.name}", content.sha256, truth["sha256"], "the emulator")
    result.expect(f"sha256 of {metadata.name}", metadata.sha256, truth["metadataSha256"], "the emulator")
    if media is not None:
        _compare_media(result, content.name, media, truth["durationMs"] / 1000)


def _compare_media(result: Verification, name: str, media: archive.Media, seconds: float) -> None:
    form = Path(name).suffix.removeprefix(".")
    result.expect(f"codecs of {name}", media.codecs, _CODECS.get(form), f"the format {form}")
    if form == "mp4":
        result.expect(f"picture size of {name}", (media.width, media.height), _VIDEO_SIZE, "the service's form")
    result.expect(f"sample rate of {name}", media.sample_rate, _SAMPLE_RATE, "the service's form")
    if abs(media.seconds - seconds) > _LENGTH_TOLERANCE_SECONDS:
        result.differences.append(f"{name} lasts {media.seconds:.2f} s, but {seconds:.2f} s were recorded")


def _opened(file: Path, differences: list[str], title: str) -> archive.Media | None:
    import av  # noqa: PLC0415 - heavy, and only needed here

    try:
        return archive.probe(file)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        differences.append(f"the media of {title} does not open: {error}")
        return None
