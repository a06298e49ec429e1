"""The demo's verdict: an archive that is right passes, and whatever is wrong in one is named."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import wave
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import BlobServiceClient

from local.verification import verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from local.azurite import Azurite

FOLDER = "2026/01/31/rec/"
SECONDS = 2
CALLER = "8:acs:caller"


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\x01\x00" * 16_000 * SECONDS)
    return buffer.getvalue()


def facts(blob: str, content: bytes) -> dict[str, Any]:
    return {
        "blob": blob,
        "size": len(content),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


MEDIA, METADATA = wav(), b'{"chunkDocumentId": "0-eus-1"}'


def truth() -> dict[str, Any]:
    return {
        "recordingId": "rec",
        "callId": "call",
        "serverCallId": "server",
        "sessionEndReason": "CallEnded",
        "options": {
            "recordingContentType": "audio",
            "recordingChannelType": "mixed",
            "recordingFormatType": "wav",
        },
        "participants": [{"participantId": CALLER}],
        "chunks": [
            {
                "index": 0,
                "documentId": "0-eus-1",
                "endReason": "SessionEnded",
                "durationMs": SECONDS * 1000,
                "contentLength": len(MEDIA),
                "sha256": facts("", MEDIA)["sha256"],
                "metadataSha256": facts("", METADATA)["sha256"],
            }
        ],
    }


def manifest() -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "recordingId": "rec",
        "callId": "call",
        "serverCallId": "server",
        "status": "complete",
        "durationMs": SECONDS * 1000,
        "sessionEndReason": "CallEnded",
        "contentType": "audio",
        "channelType": "mixed",
        "format": "wav",
        "participants": [{"participantId": CALLER}],
        "chunks": [
            {
                "index": 0,
                "documentId": "0-eus-1",
                "endReason": "SessionEnded",
                "durationMs": SECONDS * 1000,
                "content": facts(f"{FOLDER}0000.wav", MEDIA),
                "metadata": facts(f"{FOLDER}0000.metadata.json", METADATA),
            }
        ],
    }


@pytest.fixture
async def container(azurite: Azurite) -> AsyncIterator[ContainerClient]:
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        container = await blobs.create_container(f"verification-{uuid.uuid4().hex}")
        await container.upload_blob(f"{FOLDER}manifest.json", json.dumps(manifest()))
        await container.upload_blob(f"{FOLDER}0000.wav", MEDIA)
        await container.upload_blob(f"{FOLDER}0000.metadata.json", METADATA)
        await container.upload_blob(f"{FOLDER}events/1.json", b"{}")
        yield container


async def test_an_archive_that_is_right_passes(container: ContainerClient) -> None:
    verification = await verify(container, truth())
    assert verification.differences == []
    assert str(verification.chunks[0].media) == "pcm_s16le, 16 kHz, 2.00 s"


async def test_a_flipped_byte_differs_from_manifest_and_emulator(container: ContainerClient) -> None:
    await container.upload_blob(f"{FOLDER}0000.wav", MEDIA[:-1] + b"\x7f", overwrite=True)
    differences = (await verify(container, truth())).differences
    assert [text.split(" is ")[0] for text in differences] == [
        f"md5 of {FOLDER}0000.wav",
        f"sha256 of {FOLDER}0000.wav",
        f"sha256 of {FOLDER}0000.wav",
    ]


async def test_a_manifest_that_agrees_with_the_wrong_blob_differs_from_the_emulator(container: ContainerClient) -> None:
    wrong = b"something else"
    lie = manifest()
    lie["chunks"][0]["metadata"] = facts(f"{FOLDER}0000.metadata.json", wrong)
    await container.upload_blob(f"{FOLDER}0000.metadata.json", wrong, overwrite=True)
    await container.upload_blob(f"{FOLDER}manifest.json", json.dumps(lie), overwrite=True)
    (difference,) = (await verify(container, truth())).differences
    assert difference.startswith(f"sha256 of {FOLDER}0000.metadata.json is ")
    assert "the emulator" in difference


async def test_a_chunk_too_few_differs(container: ContainerClient) -> None:
    more = truth()
    more["chunks"].append(more["chunks"][0] | {"index": 1})
    differences = (await verify(container, more)).differences
    assert "the number of chunks in the manifest is 1, but the emulator says 2" in differences


async def test_a_blob_that_the_manifest_does_not_name_differs(container: ContainerClient) -> None:
    await container.upload_blob(f"{FOLDER}0001.wav", b"left over")
    assert (await verify(container, truth())).differences == [
        f"the archive holds {FOLDER}0001.wav, which the manifest does not name"
    ]


async def test_media_of_another_length_than_recorded_differs(container: ContainerClient) -> None:
    longer = truth()
    longer["chunks"][0]["durationMs"] = 5000
    differences = (await verify(container, longer)).differences
    assert f"{FOLDER}0000.wav lasts 2.00 s, but 5.00 s were recorded" in differences
