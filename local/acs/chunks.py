"""Cuts the recorded time into chunks.

Everything is in whole milliseconds, so that what is cut adds up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `begin` up to `end`, in ms."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        """Length in ms."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What one chunk covers.

    `recorded` are the stretches that its media shows, one after the other; `pauses` those in between. Together they
    fill the time from `begin` to `end`, and the next chunk begins where this one ends.
    """

    index: int
    begin: int
    end: int
    recorded: tuple[Span, ...]
    pauses: tuple[Span, ...]
    last: bool

    @property
    def media_length(self) -> int:
        """Length of the media in ms: the recorded time, pauses not counted."""
        return sum(span.length for span in self.recorded)


def recorded_spans(begin: int, end: int, pauses: Sequence[Span]) -> list[Span]:
    """Return the time between `begin` and `end` that is not paused; `pauses` are in order and do not overlap."""
    spans = []
    position = begin
    for pause in pauses:
        stop = min(max(pause.begin, position), end)
        if stop > position:
            spans.append(Span(position, stop))
        position = max(position, min(pause.end, end))
    if end > position:
        spans.append(Span(position, end))
    return spans


def split(begin: int, end: int, pauses: Sequence[Span], lengths: Iterable[int]) -> list[ChunkPlan]:
    """Cut a recording into chunks that show at most so many ms as `lengths` gives, one length for each chunk.

    Pauses do not count towards a chunk's length: a chunk's duration is that of its media. A pause that begins just
    where a chunk is full belongs to the next one. A recording that was paused all the time has no chunks.

    Raises
    ------
    ValueError
        When a length is not above zero, or there are too few of them.
    """
    wanted = iter(lengths)
    groups: list[list[Span]] = []
    room = 0
    for span in recorded_spans(begin, end, pauses):
        position = span.begin
        while position < span.end:
            if room == 0:
                groups.append([])
                room = next(wanted, 0)
                if room <= 0:
                    raise ValueError("each chunk's length must be above zero, and there must be one for each chunk")
            taken = min(room, span.end - position)
            groups[-1].append(Span(position, position + taken))
            position += taken
            room -= taken
    plans = []
    start = begin
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        stop = end if last else group[-1].end
        plans.append(ChunkPlan(index, start, stop, tuple(group), _gaps(start, stop, group), last))
        start = stop
    return plans


def even_lengths(total: int, count: int) -> list[int]:
    """Return `count` lengths that add up to `total` and differ by at most one."""
    edges = [total * index // count for index in range(count + 1)]
    return [after - before for before, after in pairwise(edges)]


def _gaps(start: int, stop: int, recorded: Sequence[Span]) -> tuple[Span, ...]:
    edges = [start, *(edge for span in recorded for edge in (span.begin, span.end)), stop]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(Span(begin, end) for begin, end in pairs if end > begin)
