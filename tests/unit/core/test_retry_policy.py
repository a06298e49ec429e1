from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.retry_policy import LAST_TRY, LONGEST, LONGEST_QUEUED, Backoff, delay_after, retry_after

FIRST = timedelta(seconds=15)
DAY = timedelta(hours=24)
NOW = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)
chance = st.floats(0, 1)


def delay(tries: int, *, time_left: timedelta = DAY, retry_after: float | None = None, by: float = 0.5) -> timedelta:
    return delay_after(tries, first=FIRST, retry_after=retry_after, time_left=time_left, random=lambda: by)


def test_the_delay_doubles_up_to_a_limit() -> None:
    assert [delay(tries).total_seconds() for tries in (1, 2, 3, 4)] == [15, 30, 60, 120]
    assert delay(50) == LONGEST


@given(st.integers(1, 30), st.floats(0, 1), st.floats(0, 1e9), st.floats(120, 90_000))
def test_no_retry_after_outlasts_the_source(tries: int, by: float, asked: float, left: float) -> None:
    time_left = timedelta(seconds=left)
    waits = delay(tries, by=by, retry_after=asked, time_left=time_left)
    assert waits < time_left
    assert waits >= min(timedelta(seconds=min(asked, 1e6)), time_left - LAST_TRY, time_left / 2)


def test_a_retry_after_beyond_the_deadline_leaves_half_an_hour() -> None:
    assert delay(1, retry_after=90_000, time_left=timedelta(hours=20)) == timedelta(hours=19, minutes=30)
    assert delay(1, retry_after=90_000, time_left=timedelta(minutes=40)) == timedelta(minutes=20)


@given(st.integers(1, 10_000), chance)
def test_the_delay_is_spread_by_a_quarter_each_way(tries: int, by: float) -> None:
    assert 0.75 * delay(tries) <= delay(tries, by=by) <= 1.25 * delay(tries)


@given(st.integers(1, 10_000), chance, st.floats(1, 86_400))
def test_a_try_is_never_delayed_past_the_deadline(tries: int, by: float, left: float) -> None:
    time_left = timedelta(seconds=left)
    waited = delay(tries, time_left=time_left, by=by)
    assert waited <= max(time_left / 2, timedelta(seconds=30))


@given(st.integers(1, 10_000), chance, st.floats(0, 3600))
def test_a_retry_after_of_the_other_side_is_kept(tries: int, by: float, asked: float) -> None:
    assert delay(tries, by=by, retry_after=asked) >= timedelta(seconds=asked)


@given(chance)
def test_a_chunk_is_tried_many_times_before_its_source_expires(by: float) -> None:
    tries, left = 1, DAY
    while left > timedelta():
        left -= delay(tries, time_left=left, by=by)
        tries += 1
    assert tries > 40
    assert tries < 200


@pytest.mark.parametrize("asked", [700_000.0, 1e10])
def test_a_delay_is_never_longer_than_a_queue_takes(asked: float) -> None:
    assert delay(1, retry_after=asked, time_left=timedelta.max) == LONGEST_QUEUED


def test_delays_in_place_double_until_the_retries_are_used_up() -> None:
    backoff = Backoff(first=0.5, retries=3, longest=20)
    assert [backoff.delay(failures) for failures in (1, 2, 3, 4)] == [0.5, 1, 2, None]


def test_a_delay_in_place_that_is_too_long_is_left_to_the_caller() -> None:
    backoff = Backoff(first=0.5, longest=20)
    assert [backoff.delay(1, asked) for asked in (0, 20, 21)] == [0, 20, None]
    assert backoff.delay(7) is None


@given(st.one_of(st.none(), st.text()))
@example("Sun, 06 Nov 99999999999999999999 08:49:37 GMT")
@example("Sun, 06 Nov 1994 08:49:37 +99999999999999999999")
@example("9" * 5000)
@example("\u0663")
@example("0.5")
def test_no_retry_after_raises_or_is_negative_or_endless(value: str | None) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= timedelta(seconds=seconds).total_seconds() <= 1e10


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{}", " {}\t"]))
def test_a_retry_after_in_seconds_is_read(seconds: int, form: str) -> None:
    assert retry_after(form.format(seconds), NOW) == max(seconds, 0)


@given(st.integers(-(10**9), 10**9))
def test_a_retry_after_that_is_a_date_is_read(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == max(seconds, 0)


@pytest.mark.parametrize(
    "date", ["Sun, 22 Nov 2026 09:16:00 GMT", "Sunday, 22-Nov-26 09:16:00 GMT", "Sun Nov 22 09:16:00 2026"]
)
def test_every_form_of_a_date_in_http_is_read(date: str) -> None:
    assert retry_after(date, NOW) == 60


@pytest.mark.parametrize("value", ["", "soon", "0.5", "Sun, 32 Nov 2026 09:16:00 GMT"])
def test_a_retry_after_that_is_neither_is_none(value: str) -> None:
    assert retry_after(value, NOW) is None
