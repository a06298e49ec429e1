from __future__ import annotations

import json
from typing import Any

from local.acs.chunks import ChunkPlan, Span
from local.acs.media_types import ChannelType, ContentType, FormatType
from local.acs.metadata import metadata_file
from local.acs.recordings import RecordingOptions
from local.acs.timestamps import stamp

BEGIN = 1_633_040_674_949
PLAN = ChunkPlan(
    index=1,
    begin=BEGIN,
    end=BEGIN + 24_541,
    recorded=(Span(BEGIN, BEGIN + 10_000), Span(BEGIN + 15_220, BEGIN + 24_541)),
    pauses=(Span(BEGIN + 10_000, BEGIN + 15_220),),
    last=True,
)
UNMIXED = RecordingOptions(ContentType.AUDIO, ChannelType.UNMIXED, FormatType.WAV)


def file(options: RecordingOptions | None = None, *, swap_types: bool = False) -> bytes:
    return metadata_file(
        resource_id="r",
        call_id="c",
        document_id="0-eus-d1-x",
        plan=PLAN,
        options=options or RecordingOptions(),
        channels=2 if options is UNMIXED else 1,
        frame_rate=16,
        participants=[("8:acs:ä", 0), ("8:acs:b", None)],
        swap_types=swap_types,
    )


def parsed(raw: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw)
    return document


def test_lines_end_in_carriage_return_and_line_feed() -> None:
    raw = file()
    assert raw.count(b"\r\n") == raw.count(b"\n") > 20


def test_durations_are_milliseconds_with_a_fraction() -> None:
    assert b'"chunkDuration": 19321.0' in file()
    assert b'"duration": 5220.0' in file()
    assert parsed(file())["chunkStartTime"] == stamp(BEGIN)


def test_video_is_described() -> None:
    info = parsed(file())["recordingInfo"]
    assert (info["contentType"], info["channelType"], info["format"]) == ("audioVideo", "mixed", "mp4")
    assert info["videoConfiguration"] == {
        "longerSideLength": 1920,
        "shorterSideLength": 1080,
        "framerate": 16,
        "bitRate": 1_000_000,
    }


def test_the_types_can_be_swapped() -> None:
    info = parsed(file(swap_types=True))["recordingInfo"]
    assert (info["contentType"], info["channelType"]) == ("mixed", "audioVideo")


def test_only_unmixed_recordings_name_channels() -> None:
    assert parsed(file())["participants"] == [{"participantId": "8:acs:ä"}, {"participantId": "8:acs:b"}]
    document = parsed(file(UNMIXED))
    assert document["participants"] == [{"participantId": "8:acs:ä", "channel": 0}, {"participantId": "8:acs:b"}]
    assert "videoConfiguration" not in document["recordingInfo"]
