from __future__ import annotations

from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.acs.chunks import Span, even_lengths, recorded_spans, split


@st.composite
def recordings(draw: st.DrawFn) -> tuple[int, int, list[Span]]:
    steps = draw(st.lists(st.integers(0, 50_000), max_size=12))
    begin = draw(st.integers(0, 10**12))
    edges = [begin]
    for step in steps:
        edges.append(edges[-1] + step)
    end = edges[-1] + draw(st.integers(0, 50_000))
    pauses = [Span(low, high) for low, high in zip(edges[1::2], edges[2::2], strict=False) if high > low]
    return begin, end, pauses


@given(recordings(), st.integers(1, 40_000))
def test_chunks_hold_all_that_was_recorded_and_nothing_of_the_pauses(
    recording: tuple[int, int, list[Span]], length: int
) -> None:
    begin, end, pauses = recording
    plans = split(begin, end, pauses, repeat(length))
    assert sum(plan.media_length for plan in plans) == end - begin - sum(pause.length for pause in pauses)
    assert all(0 < plan.media_length <= length for plan in plans)
    assert all(plan.media_length == length for plan in plans[:-1])


@given(recordings(), st.integers(1, 40_000))
def test_chunks_follow_each_other_without_a_gap(recording: tuple[int, int, list[Span]], length: int) -> None:
    begin, end, pauses = recording
    plans = split(begin, end, pauses, repeat(length))
    assert [plan.index for plan in plans] == list(range(len(plans)))
    assert all(before.end == after.begin for before, after in pairwise(plans))
    if plans:
        assert (plans[0].begin, plans[-1].end) == (begin, end)
        assert [plan.last for plan in plans] == [False] * (len(plans) - 1) + [True]


@given(recordings(), st.integers(1, 40_000))
def test_recorded_time_and_pauses_fill_each_chunk(recording: tuple[int, int, list[Span]], length: int) -> None:
    for plan in split(*recording, repeat(length)):
        pieces = sorted((*plan.recorded, *plan.pauses), key=lambda span: span.begin)
        assert pieces[0].begin == plan.begin
        assert pieces[-1].end == plan.end
        assert all(before.end == after.begin for before, after in pairwise(pieces))


def test_a_recording_paused_all_the_time_has_no_chunks() -> None:
    assert split(0, 5000, [Span(0, 5000)], repeat(1000)) == []


def test_a_pause_where_a_chunk_is_full_belongs_to_the_next_one() -> None:
    first, second = split(0, 3000, [Span(1000, 2000)], repeat(1000))
    assert (first.end, first.pauses) == (1000, ())
    assert (second.begin, second.pauses) == (1000, (Span(1000, 2000),))


def test_pauses_outside_the_recording_do_not_count() -> None:
    assert recorded_spans(100, 200, [Span(0, 120), Span(180, 300)]) == [Span(120, 180)]


def test_a_length_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        split(0, 10, [], repeat(0))


@given(st.integers(0, 10**6), st.integers(1, 500))
def test_even_lengths_add_up(total: int, count: int) -> None:
    lengths = even_lengths(total, count)
    assert (len(lengths), sum(lengths)) == (count, total)
    assert max(lengths) - min(lengths) <= 1
