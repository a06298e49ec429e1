"""Media formats, and how a file's first bytes show which one it has."""

from __future__ import annotations

from enum import StrEnum

_RIFF = (b"RIFF", b"RF64", b"BW64")  # the latter two are RIFF beyond 4 GiB (EBU Tech 3306, ITU-R BS.2088)


class Format(StrEnum):
    """A media file's format; the value is also its extension."""

    MP4 = "mp4"
    MP3 = "mp3"
    WAV = "wav"

    @property
    def content_type(self) -> str:
        """The media type that a browser or player expects."""
        return {Format.MP4: "video/mp4", Format.MP3: "audio/mpeg", Format.WAV: "audio/wav"}[self]


def sniff(head: bytes) -> Format | None:
    """Return the format of a file that begins with `head`, or None if it is no format of recordings.

    Looks for the `ftyp` box of ISO/IEC 14496-12, the RIFF/WAVE header, an ID3v2 tag, or an MPEG audio frame's sync word
    (ISO/IEC 11172-3: eleven set bits, then a version and a layer that are not the reserved ones).
    """
    if head[4:8] == b"ftyp":
        return Format.MP4
    if head[:4] in _RIFF and head[8:12] == b"WAVE":
        return Format.WAV
    if head[:3] == b"ID3" or _is_mpeg_audio(head):
        return Format.MP3
    return None


def describe(head: bytes) -> str:
    """Describe, for messages, what a file that begins with `head` seems to be."""
    if (known := sniff(head)) is not None:
        return f"{known} media"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text:
        return "an empty file" if not head else "blank text"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith(b"<"):
        return "a page or an XML document"
    if text.startswith((b"{", b"[")):
        return "a JSON document"
    return "something unknown"


def _is_mpeg_audio(head: bytes) -> bool:
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer, bit_rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4
    return version != 1 and layer != 0 and bit_rate != 15
