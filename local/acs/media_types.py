"""What can be recorded, and how the service names the files of it."""

from __future__ import annotations

from enum import StrEnum

#: The service puts at most five participants on channels of their own.
MAX_CHANNELS = 5


class ContentType(StrEnum):
    """What is recorded."""

    AUDIO = "audio"
    AUDIO_VIDEO = "audioVideo"


class ChannelType(StrEnum):
    """All participants in one channel, or each in their own."""

    MIXED = "mixed"
    UNMIXED = "unmixed"


class FormatType(StrEnum):
    """Container of the file."""

    WAV = "wav"
    MP3 = "mp3"
    MP4 = "mp4"


#: The combinations that the service records; all others are refused.
COMBINATIONS = (
    (ContentType.AUDIO_VIDEO, ChannelType.MIXED, FormatType.MP4),
    (ContentType.AUDIO, ChannelType.MIXED, FormatType.MP3),
    (ContentType.AUDIO, ChannelType.MIXED, FormatType.WAV),
    (ContentType.AUDIO, ChannelType.UNMIXED, FormatType.WAV),
)


def content_name(channel: ChannelType, media_format: FormatType) -> str:
    """Return the last part of a media file's address.

    `video`, `audiomp3` and `audiowavmultichannel` are recorded names; that of a mixed wav is a choice.
    """
    match media_format:
        case FormatType.MP4:
            return "video"
        case FormatType.MP3:
            return "audiomp3"
        case FormatType.WAV:
            return "audiowavmultichannel" if channel is ChannelType.UNMIXED else "audiowav"
