"""Encodes real media: mp4 (H.264 and AAC), mp3, wav.

The same description gives the same bytes: encoders run in one thread and write neither dates nor versions.

A second of video is one intra picture followed by pictures that repeat it. What says "repeat" in the bitstream does
not depend on the picture, so it is encoded once and used again; that makes 1080p about a hundred times faster than
the recorded time.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame

from local.acs import sounds
from local.acs.pictures import HEIGHT, WIDTH, Painter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from local.acs.chunks import Span

#: Part of the cache key: raise it when the encoded bytes change.
_GENERATION = 1
_WAV_LIMIT = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class MediaSpec:
    """Everything that the bytes of a media file depend on.

    Parameters
    ----------
    format
        `mp4`, `mp3` or `wav`.
    spans
        The stretches of call time in ms that the media shows, one after the other.
    channels
        Audio channels.
    voices
        How many participants are mixed where there is one channel.
    frame_rate
        Pictures a second, for mp4.
    title, lines
        What the picture says, for mp4.
    """

    format: str
    spans: tuple[Span, ...]
    channels: int = 1
    voices: int = 1
    frame_rate: int = 16
    title: str = ""
    lines: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Length of the media in ms."""
        return sum(span.length for span in self.spans)

    def key(self) -> str:
        """Return a name that is the same for the same bytes."""
        fields: dict[str, Any] = asdict(self)
        if self.format != "mp4":
            fields |= {"frame_rate": 0, "title": "", "lines": ()}
        text = json.dumps([_GENERATION, av.__version__, fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:40]


def encode(spec: MediaSpec, path: Path) -> None:
    """Write the media that `spec` describes to `path`.

    Raises
    ------
    ValueError
        When a wav file would be longer than the format allows (4 GiB).
    """
    match spec.format:
        case "wav":
            with path.open("wb") as file:
                _write_wav(spec, file)
        case "mp3":
            _write_mp3(spec, path)
        case "mp4":
            _write_mp4(spec, path)
        case other:
            raise ValueError(f"format must be mp4, mp3 or wav, not {other}")


def _write_wav(spec: MediaSpec, file: BinaryIO) -> None:
    frame = 2 * spec.channels
    size = spec.length * sounds.SAMPLE_RATE // 1000 * frame
    if size + 36 > _WAV_LIMIT:
        raise ValueError(f"a wav file of {spec.length / 1000:.0f} s in {spec.channels} channels is longer than 4 GiB")
    file.write(struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE"))
    rate = sounds.SAMPLE_RATE
    file.write(struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, spec.channels, rate, rate * frame, frame, 16))
    file.write(struct.pack("<4sI", b"data", size))
    sound = sounds.blocks(spec.spans, spec.channels, voices=spec.voices)
    file.writelines(block.astype("<i2").tobytes() for block in sound)


def _write_mp3(spec: MediaSpec, path: Path) -> None:
    with av.open(str(path), "w", format="mp3", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libmp3lame", rate=sounds.SAMPLE_RATE, layout="mono")
        stream.bit_rate = 48_000
        position = 0
        for block in sounds.blocks(spec.spans, 1, voices=spec.voices):
            container.mux(stream.encode(_audio_frame(block, position)))
            position += len(block)
        container.mux(stream.encode(None))


def _audio_frame(block: NDArray[np.int16], position: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = sounds.SAMPLE_RATE
    frame.time_base = Fraction(1, sounds.SAMPLE_RATE)
    frame.pts = position
    return frame


def _write_mp4(spec: MediaSpec, path: Path) -> None:
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video: Any = container.add_stream("libx264", rate=spec.frame_rate, options=_x264_options())
        _configure(video.codec_context, spec.frame_rate)
        audio = container.add_stream("aac", rate=sounds.SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64_000
        painter = Painter(spec.title, spec.lines)
        repeats = _repeat_pictures(spec.frame_rate)
        sound = sounds.blocks(spec.spans, 1, voices=spec.voices)
        heard = 0
        shown = 0
        for second, pictures in _seconds(spec):
            frame = VideoFrame.from_ndarray(painter.paint(second), format="yuv420p")
            frame.pts, frame.time_base, frame.pict_type = shown, Fraction(1, spec.frame_rate), PictureType.I
            (packet,) = video.encode(frame)
            _mux(container, video, packet, shown)
            for number in range(1, pictures):
                _mux(container, video, Packet(repeats[number - 1]), shown + number)
            shown += pictures
            # The muxer holds back one stream until the other has caught up, so the two are written in step.
            while heard * spec.frame_rate < shown * sounds.SAMPLE_RATE and (block := next(sound, None)) is not None:
                container.mux(audio.encode(_audio_frame(block, heard)))
                heard += len(block)
        for block in sound:
            container.mux(audio.encode(_audio_frame(block, heard)))
            heard += len(block)
        container.mux(audio.encode(None))


def _mux(container: Any, stream: Any, packet: Any, position: int) -> None:
    packet.stream = stream
    packet.time_base = Fraction(1, stream.codec_context.framerate)
    packet.pts = packet.dts = position
    packet.duration = 1
    container.mux(packet)


def _seconds(spec: MediaSpec) -> Iterator[tuple[int, int]]:
    """Yield (second of the call, number of pictures that show it) for the whole media."""
    total = max(1, round(spec.length * spec.frame_rate / 1000))
    current, count = -1, 0
    spans = iter(spec.spans)
    span, before = next(spans), 0
    for picture in range(total):
        moment = picture * 1000 // spec.frame_rate
        while moment >= before + span.length and (following := next(spans, None)) is not None:
            before += span.length
            span = following
        second = (span.begin + moment - before) // 1000
        # Where a pause was shorter than a second, the same second goes on for more pictures than can be repeated.
        if second != current or count == spec.frame_rate:
            if count:
                yield current, count
            current, count = second, 0
        count += 1
    yield current, count


def _x264_options() -> dict[str, str]:
    parameters = "scenecut=0:keyint=infinite:bframes=0:rc-lookahead=0:sliced-threads=0"
    return {"preset": "ultrafast", "tune": "zerolatency", "qp": "24", "forced-idr": "1", "x264-params": parameters}


def _configure(context: Any, frame_rate: int) -> None:
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, frame_rate), Fraction(frame_rate, 1)
    context.thread_count = 1


def _repeat_pictures(frame_rate: int) -> list[bytes]:
    """Return the encoded pictures 1, 2, … after an intra picture that change nothing."""
    context: Any = av.CodecContext.create("libx264", "w")
    _configure(context, frame_rate)
    context.options = _x264_options()
    blank = VideoFrame.from_ndarray(np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8), format="yuv420p")
    packets: list[bytes] = []
    for number in range(frame_rate):
        blank.pts, blank.time_base = number, Fraction(1, frame_rate)
        blank.pict_type = PictureType.I if number == 0 else PictureType.P
        packets.extend(bytes(packet) for packet in context.encode(blank))
    return packets[1:]
