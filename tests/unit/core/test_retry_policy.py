from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.core.retry_policy import LONGEST, delay_after

FIRST = timedelta(seconds=15)
DAY = timedelta(hours=24)
chance = st.floats(0, 1)


def delay(tries: int, *, time_left: timedelta = DAY, retry_after: float | None = None, by: float = 0.5) -> timedelta:
    return delay_after(tries, first=FIRST, retry_after=retry_after, time_left=time_left, random=lambda: by)


def test_the_delay_doubles_up_to_a_limit() -> None:
    assert [delay(tries).total_seconds() for tries in (1, 2, 3, 4)] == [15, 30, 60, 120]
    assert delay(50) == LONGEST


@given(st.integers(1, 10_000), chance)
def test_the_delay_is_spread_by_a_quarter_each_way(tries: int, by: float) -> None:
    assert 0.75 * delay(tries) <= delay(tries, by=by) <= 1.25 * delay(tries)


@given(st.integers(1, 10_000), chance, st.floats(1, 86_400))
def test_a_try_never_leaps_over_the_deadline(tries: int, by: float, left: float) -> None:
    time_left = timedelta(seconds=left)
    waited = delay(tries, time_left=time_left, by=by)
    assert waited <= max(time_left / 2, timedelta(seconds=30))


@given(st.integers(1, 10_000), chance, st.floats(0, 3600))
def test_the_other_sides_wish_is_kept(tries: int, by: float, wish: float) -> None:
    assert delay(tries, by=by, retry_after=wish) >= timedelta(seconds=wish)


@given(chance)
def test_a_chunk_is_tried_many_times_before_its_source_expires(by: float) -> None:
    tries, left = 1, DAY
    while left > timedelta():
        left -= delay(tries, time_left=left, by=by)
        tries += 1
    assert tries > 40
    assert tries < 200
