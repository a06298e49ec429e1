"""The metadata file that lies beside each chunk's media, byte for byte in the service's form.

Source: "Call recording: event and metadata schema", Azure Communication Services documentation, and real files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.acs.media_types import ChannelType, ContentType, FormatType
from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.acs.chunks import ChunkPlan
    from local.acs.recordings import RecordingOptions

SAMPLE_RATE = 16_000

#: Bits a second, by format; wav is per channel.
_AUDIO_BIT_RATES = {FormatType.MP4: 128_000, FormatType.MP3: 48_000, FormatType.WAV: 256_000}


def metadata_file(
    *,
    resource_id: str,
    call_id: str,
    document_id: str,
    plan: ChunkPlan,
    options: RecordingOptions,
    channels: int,
    frame_rate: int,
    participants: Sequence[tuple[str, int | None]],
    swap_types: bool = False,
) -> bytes:
    """Return the metadata of one chunk as pretty-printed JSON with CRLF line ends.

    Parameters
    ----------
    channels
        Number of audio channels in the media.
    frame_rate
        Pictures a second, for video.
    participants
        Raw ids, with their channel in unmixed recordings.
    swap_types
        Write contentType and channelType into each other's place, as part of the real files do.
    """
    content_type, channel_type = str(options.content_type), str(options.channel_type)
    if swap_types:
        content_type, channel_type = channel_type, content_type
    info: dict[str, Any] = {
        "contentType": content_type,
        "channelType": channel_type,
        "format": str(options.format),
        "audioConfiguration": {
            "sampleRate": SAMPLE_RATE,
            "bitRate": _AUDIO_BIT_RATES[options.format] * (channels if options.format is FormatType.WAV else 1),
            "channels": channels,
        },
    }
    if options.content_type is ContentType.AUDIO_VIDEO:
        info["videoConfiguration"] = {
            "longerSideLength": 1920,
            "shorterSideLength": 1080,
            "framerate": frame_rate,
            "bitRate": 1_000_000,
        }
    document = {
        "resourceId": resource_id,
        "callId": call_id,
        "chunkDocumentId": document_id,
        "chunkIndex": plan.index,
        "chunkStartTime": stamp(plan.begin),
        "chunkDuration": float(plan.media_length),
        "pauseResumeIntervals": [
            {"startTime": stamp(pause.begin), "duration": float(pause.length)} for pause in plan.pauses
        ],
        "recordingInfo": info,
        "participants": [
            {"participantId": raw_id, "channel": channel}
            if options.channel_type is ChannelType.UNMIXED and channel is not None
            else {"participantId": raw_id}
            for raw_id, channel in participants
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode()
