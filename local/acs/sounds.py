"""Synthetic sound: each participant is a tone of their own, each second of the call begins with a beep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from local.acs.chunks import Span

SAMPLE_RATE = 16_000
#: The tone of voice 0, 1, … in Hz; its beep is two and a half times as high.
TONES = (300, 440, 580, 720, 860)

_SAMPLES_PER_MS = SAMPLE_RATE // 1000
_BLOCK_MS = 10_000
_BEEP_MS = 80


def blocks(spans: Sequence[Span], channels: int, *, voices: int = 1) -> Iterator[NDArray[np.int16]]:
    """Yield the sound of some stretches of call time as int16 blocks of shape (samples, channels).

    Parameters
    ----------
    spans
        Stretches in ms of call time; a sample's value depends on its call time only.
    channels
        1 for all participants mixed into one channel, else voice i is on channel i.
    voices
        How many are mixed where there is one channel.
    """
    mixed = min(max(voices, 1), len(TONES)) if channels == 1 else 0
    for span in spans:
        for begin in range(span.begin, span.end, _BLOCK_MS):
            end = min(begin + _BLOCK_MS, span.end)
            if mixed:
                sound = sum(_voice(begin, end, voice) for voice in range(mixed)) / mixed
                columns = [np.asarray(sound)]
            else:
                columns = [_voice(begin, end, voice) for voice in range(channels)]
            yield np.round(np.stack(columns, axis=1) * 32767).astype(np.int16)


def _voice(begin: int, end: int, voice: int) -> NDArray[np.float64]:
    """Return one voice between two moments of call time in ms, between -1 and 1."""
    tone = TONES[voice]
    # Every tone fits into a second a whole number of times, so the phase within the second is enough.
    position = np.arange(begin * _SAMPLES_PER_MS, end * _SAMPLES_PER_MS) % SAMPLE_RATE
    second = _one_second(tone)
    return second[position]


_SECONDS: dict[int, NDArray[np.float64]] = {}


def _one_second(tone: int) -> NDArray[np.float64]:
    if tone not in _SECONDS:
        time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        beep = np.sin(2 * np.pi * 2.5 * tone * time) * (time < _BEEP_MS / 1000)
        _SECONDS[tone] = 0.25 * np.sin(2 * np.pi * tone * time) + 0.4 * beep
    return _SECONDS[tone]
