"""What is recorded is real media of the right length, and the clock decides how long it is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from local.acs.media_types import ChannelType, ContentType, FormatType
from local.acs.recordings import RecordingOptions
from local.acs.sounds import TONES
from tests.integration.acs_fixtures import Bench, bench, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
async def running(media: Path) -> AsyncIterator[Bench]:
    async with bench(media, chunk_duration=3) as made:
        yield made


async def content(running: Bench, chunk: Any) -> bytes:
    answer = await running.fetch(chunk["contentLocation"])
    assert answer.status == 200
    assert hashlib.sha256(answer.body).hexdigest() == chunk["sha256"]
    return answer.body


def sound(raw: bytes) -> NDArray[np.float64]:
    """Decode the audio to shape (channels, samples)."""
    with av.open(BytesIO(raw), "r") as container:
        blocks = []
        for frame in container.decode(audio=0):
            block = frame.to_ndarray().astype(np.float64)
            channels = frame.layout.nb_channels
            blocks.append(block if frame.format.is_planar else block.reshape(-1, channels).T)
    return np.concatenate(blocks, axis=1)


def loudest(channel: NDArray[np.float64]) -> float:
    """Return the frequency in Hz that is strongest."""
    spectrum = np.abs(np.fft.rfft(channel))
    return float(np.argmax(spectrum) * 16_000 / len(channel))


@pytest.mark.parametrize("size", [None, 3_000_001])
async def test_video_is_full_hd_h264_with_16_khz_aac(running: Bench, size: int | None) -> None:
    made = await running.recording(durationSeconds=2.5, sizeBytes=size)
    raw = await content(running, made["chunks"][0])
    assert raw[4:8] == b"ftyp"
    assert size in (None, len(raw))
    with av.open(BytesIO(raw), "r") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 1920, 1080)
        assert video.average_rate == 16
        assert (audio.codec_context.name, audio.rate, audio.codec_context.channels) == ("aac", 16_000, 1)
        assert float(container.duration or 0) / 1e6 == pytest.approx(2.5, abs=0.07)
        assert len(list(container.decode(video=0))) == 40


async def test_the_picture_changes_with_each_second_of_the_call(running: Bench) -> None:
    made = await running.recording(durationSeconds=3)
    raw = await content(running, made["chunks"][0])
    with av.open(BytesIO(raw), "r") as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    digests = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    assert [len(set(digests[second * 16 : second * 16 + 16])) for second in range(3)] == [1, 1, 1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("size", [None, 400_000, 400_001])
async def test_mp3_is_16_khz(running: Bench, size: int | None) -> None:
    made = await running.recording(durationSeconds=4, contentType="audio", format="mp3", sizeBytes=size)
    raw = await content(running, made["chunks"][0])
    assert size in (None, len(raw))
    with av.open(BytesIO(raw), "r") as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.codec.name, stream.rate) == ("mp3float", 16_000)
    assert sound(raw).shape[1] / 16_000 == pytest.approx(4, abs=0.15)


@pytest.mark.parametrize("size", [None, 500_000, 500_001])
async def test_mixed_wav_has_one_channel_of_exactly_the_length(running: Bench, size: int | None) -> None:
    made = await running.recording(durationSeconds=4.2, contentType="audio", format="wav", sizeBytes=size)
    raw = await content(running, made["chunks"][0])
    assert (raw[:4], raw[8:12]) == (b"RIFF", b"WAVE")
    assert size in (None, len(raw))
    assert sound(raw).shape == (1, 67_200)


async def test_unmixed_wav_has_a_channel_for_each_participant(running: Bench) -> None:
    people = [f"8:acs:{name}" for name in "abcde"]
    made = await running.recording(durationSeconds=2, contentType="audio", channelType="unmixed", participants=people)
    (chunk,) = made["chunks"]
    channels = sound(await content(running, chunk))
    assert channels.shape == (5, 32_000)
    assert [loudest(channel) for channel in channels] == list(TONES)
    metadata = json.loads((await running.fetch(chunk["metadataLocation"])).body)
    assert metadata["participants"] == [{"participantId": who, "channel": n} for n, who in enumerate(people)]
    assert metadata["recordingInfo"]["audioConfiguration"]["channels"] == 5


async def test_the_media_is_as_long_as_the_recording_without_its_pauses(running: Bench) -> None:
    acs = running.acs
    call = await running.control("POST", "calls", {}, expect=201)
    service = acs.service
    recording = service.start_recording(
        service.calls.get(call["callId"]), RecordingOptions(ContentType.AUDIO, ChannelType.MIXED, FormatType.WAV)
    )
    acs.clock.advance(2)
    service.pause(recording)
    acs.clock.advance(60)
    service.resume(recording)
    acs.clock.advance(5)
    await running.control("DELETE", f"calls/{call['callId']}")
    truth = await running.finished(recording.recording_id)
    assert truth["sessionEndReason"] == "CallEnded"
    assert 7000 <= truth["recordedMs"] < 8000
    chunks = truth["chunks"]
    assert [chunk["endReason"] for chunk in chunks] == ["ChunkMaximumSizeExceeded"] * 2 + ["SessionEnded"]
    assert [chunk["durationMs"] for chunk in chunks[:2]] == [3000, 3000]
    lengths = [sound(await content(running, chunk)).shape[1] // 16 for chunk in chunks]
    assert lengths == [chunk["durationMs"] for chunk in chunks]
    assert sum(lengths) == truth["recordedMs"]
    metadata = json.loads((await running.fetch(chunks[0]["metadataLocation"])).body)
    assert metadata["chunkDuration"] == 3000
    assert metadata["pauseResumeIntervals"][0]["duration"] >= 60_000
    assert metadata["chunkDocumentId"] == chunks[0]["documentId"]


async def test_what_was_paused_all_the_time_leaves_no_file(running: Bench) -> None:
    service = running.acs.service
    call = service.start_call([], None, None)
    recording = service.start_recording(call, RecordingOptions(pause_on_start=True))
    running.acs.clock.advance(5)
    service.stop(recording)
    truth = await running.finished(recording.recording_id)
    assert (truth["processing"], truth["chunks"], truth["eventsSent"]) == ("nothing-recorded", [], 0)


async def test_the_same_recording_gives_the_same_bytes_again(running: Bench, tmp_path: Path) -> None:
    order = {"durationSeconds": 2, "contentType": "audio", "format": "mp3"}
    first = await running.recording(**order)
    async with bench(tmp_path) as other:
        second = await other.recording(**order)
    assert first["chunks"][0]["sha256"] == second["chunks"][0]["sha256"]


async def test_files_of_one_size_differ_from_each_other(running: Bench) -> None:
    order = {"durationSeconds": 1, "contentType": "audio", "sizeBytes": 100_000, "chunks": 2}
    made = await running.recording(**order)
    assert len({chunk["sha256"] for chunk in made["chunks"]}) == 2


async def test_a_size_that_is_too_small_is_refused(running: Bench) -> None:
    answer = await running.control("POST", "recordings", {"durationSeconds": 1, "sizeBytes": 10}, expect=400)
    assert "sizeBytes must be" in answer["error"]["message"]


async def test_a_large_file_is_served_at_any_place(running: Bench) -> None:
    made = await running.recording(durationSeconds=1, contentType="audio", format="mp3", sizeBytes=300 * 1024**2)
    (chunk,) = made["chunks"]
    whole = running.acs.service.recordings.stored(chunk["documentId"])
    assert whole is not None
    answer = await running.fetch(chunk["contentLocation"], wanted="bytes=268435446-268435475")
    assert answer.headers["Content-Range"] == f"bytes 268435446-268435475/{300 * 1024**2}"
    assert answer.body == b"".join(whole.content.part(268_435_446, 268_435_476).read())


@pytest.mark.parametrize(
    ("wanted", "status", "length", "content_range"),
    [
        (None, 200, 64_044, "bytes 0-64043/64044"),
        ("bytes=0-0", 206, 1, "bytes 0-0/64044"),
        ("bytes=10-19", 206, 10, "bytes 10-19/64044"),
        ("bytes=64000-", 206, 44, "bytes 64000-64043/64044"),
        ("bytes=-44", 206, 44, "bytes 64000-64043/64044"),
        ("bytes=64044-", 416, 0, "bytes */64044"),
    ],
)
async def test_ranges_are_answered(
    running: Bench, wanted: str | None, status: int, length: int, content_range: str | None
) -> None:
    made = await running.recording(durationSeconds=2, contentType="audio", format="wav")
    answer = await running.fetch(made["chunks"][0]["contentLocation"], wanted=wanted)
    assert (answer.status, len(answer.body)) == (status, length)
    assert answer.headers.get("Content-Range") == content_range
    assert answer.headers.get("Accept-Ranges") == ("bytes" if status == 206 else None)
    assert answer.headers.get("Content-Type") == (None if status == 416 else "application/octet-stream")
    assert not {"ETag", "Content-MD5", "x-ms-request-id"} & answer.headers.keys()


async def test_an_answer_says_since_when_it_is_so_and_that_it_is_not_kept(running: Bench) -> None:
    made = await running.recording(durationSeconds=2, contentType="audio", format="wav")
    headers = (await running.fetch(made["chunks"][0]["contentLocation"])).headers
    assert headers["Cache-Control"] == "no-cache, max-age=0, s-maxage=0, private"
    stored = parsedate_to_datetime(headers["Last-Modified"])
    assert abs((running.acs.clock.now() - stored).total_seconds()) < 60


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"durationSeconds": 0.5}, "video"),
        ({"durationSeconds": 1, "contentType": "audio"}, "audiomp3"),
        ({"durationSeconds": 1, "contentType": "audio", "channelType": "unmixed"}, "audiowavmultichannel"),
    ],
)
async def test_an_address_ends_in_the_name_of_what_was_recorded(
    running: Bench, fields: dict[str, Any], name: str
) -> None:
    url = (await running.recording(**fields))["chunks"][0]["contentLocation"]
    assert url.endswith(f"/content/{name}")
    assert (await running.fetch(url.replace(name, "audio"))).status == 404


async def test_a_deleted_object_is_gone_with_its_metadata(running: Bench) -> None:
    made = await running.recording(durationSeconds=1, contentType="audio")
    (chunk,) = made["chunks"]
    deleted = [(await running.fetch(chunk["deleteLocation"], method="DELETE")).status for _ in range(2)]
    assert deleted == [200, 404]
    missing = await running.fetch(chunk["contentLocation"])
    assert missing.status == 404
    problem = json.loads(missing.body)
    assert (problem["status"], problem["message"]) == (404, "The document not found.")
    assert "error" not in problem
    assert (await running.fetch(chunk["deleteLocation"], method="DELETE")).body == b""
    assert (await running.fetch(chunk["metadataLocation"])).status == 404
    assert (await running.truth(made["recordingId"]))["chunks"][0]["deleted"]


async def test_files_expire_when_the_emulated_day_is_over(tmp_path: Path) -> None:
    async with bench(tmp_path) as running:
        made = await running.recording(durationSeconds=1, contentType="audio")
        url = made["chunks"][0]["contentLocation"]
        await running.control("POST", "clock", {"advanceSeconds": 24 * 3600 - 60})
        assert (await running.fetch(url)).status == 200
        await running.control("POST", "clock", {"advanceSeconds": 60})
        assert (await running.fetch(url)).status == 404


async def test_the_signature_is_for_the_resource_wherever_the_object_lies(running: Bench) -> None:
    made = await running.recording(durationSeconds=1, contentType="audio")
    url = made["chunks"][0]["contentLocation"]
    elsewhere = url.replace(running.acs.endpoint, running.acs.second_origin)
    storage_host = elsewhere.split("/")[2]
    assert (await running.fetch(elsewhere)).status == 200
    assert (await running.fetch(elsewhere, headers=running.signed("GET", elsewhere, storage_host))).status == 401
    unnamed = running.signed("GET", url)
    del unnamed["x-ms-host"]
    refused = await running.fetch(url, headers=unnamed)
    assert (refused.status, refused.body) == (401, b"")
    assert "x-ms-host is missing" in refused.headers["X-Emulator-Hint"]
    assert (await running.fetch(url, headers={})).status == 401


async def test_the_host_is_taken_as_the_sdk_names_it(running: Bench) -> None:
    """The SDK leaves the port out of x-ms-host and signs with it."""
    made = await running.recording(durationSeconds=1, contentType="audio")
    url = made["chunks"][0]["contentLocation"]
    headers = running.signed("GET", url) | {"x-ms-host": running.host.partition(":")[0]}
    assert (await running.fetch(url, headers=headers)).status == 200


@pytest.mark.parametrize("location", ["contentLocation", "metadataLocation"])
async def test_a_redirect_keeps_path_and_query_and_takes_the_first_host_s_signature(media: Path, location: str) -> None:
    async with bench(media, redirect_content=True) as running:
        made = await running.recording(durationSeconds=1, contentType="audio")
        url = f"{made['chunks'][0][location]}?a=b%20c"
        headers = running.signed("GET", url)
        first = await running.fetch(url, headers=headers)
        target = url.replace(running.acs.endpoint, running.acs.second_origin)
        assert (first.status, first.headers["Location"], first.body) == (302, target, b"")
        assert (await running.fetch(target, headers=headers)).status == 200
        seen = (await running.control("GET", "requests"))["requests"]
        assert [(one["origin"], one["status"], one["signed"]) for one in seen] == [
            ("first", 302, "hmac"),
            ("second", 200, "hmac"),
        ]


async def test_a_long_recording_does_not_keep_the_servers_from_answering(running: Bench) -> None:
    making = asyncio.create_task(running.recording(durationSeconds=12))
    answered = 0

    async def look() -> bool:
        nonlocal answered
        await running.control("GET", "clock")
        answered += 1
        return making.done()

    await until(look, bool)
    assert answered > 3
    assert (await making)["chunks"][0]["durationMs"] == 12_000
