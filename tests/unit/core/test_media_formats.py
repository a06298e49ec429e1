from __future__ import annotations

import pytest

from shared.core.media_formats import Format, describe, sniff
from tests.source_server import HTML, MP3_HEAD, MP4_HEAD, WAV_HEAD


@pytest.mark.parametrize(
    ("head", "format_"),
    [
        (MP4_HEAD, Format.MP4),
        (WAV_HEAD, Format.WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", Format.WAV),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", Format.MP3),
        (MP3_HEAD, Format.MP3),
        (b"\xff\xf3\x40\xc0", Format.MP3),  # MPEG-2, as speech at 16 kHz is encoded
    ],
)
def test_formats_that_are_recorded_are_recognised_by_their_first_bytes(head: bytes, format_: Format) -> None:
    assert sniff(head) is format_


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        HTML,
        b'{"error":{}}',
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"\xff\xf1\x50\x80",
        b"\x00" * 64,
        b"\xff" * 64,
    ],
)
def test_other_content_has_no_format(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "an empty file"),
        (b"\r\n  ", "blank text"),
        (HTML, "an HTML page"),
        (b"\xef\xbb\xbf\n<html>", "an HTML page"),
        (b'<?xml version="1.0"?>', "a page or an XML document"),
        (b' {"error":{}}', "a JSON document"),
        (MP3_HEAD, "mp3 media"),
        (b"\x00\x01\x02", "something unknown"),
    ],
)
def test_other_content_is_described(head: bytes, words: str) -> None:
    assert describe(head) == words


def test_each_format_has_the_media_type_that_players_expect() -> None:
    assert [format_.content_type for format_ in Format] == ["video/mp4", "audio/mpeg", "audio/wav"]
