"""The retry schedule and what is never retried."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.eventgrid.retries import EndpointType, outcome_of_status, retry_delay, undeliverable_reason

WEB_HOOK, FUNCTION = EndpointType.WEB_HOOK, EndpointType.AZURE_FUNCTION


def test_the_schedule_is_the_documented_one_and_its_last_step_repeats() -> None:
    delays = [retry_delay(attempts, 500, WEB_HOOK) for attempts in range(1, 13)]
    assert delays == [10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 43200, 43200]


def test_thirty_minutes_to_live_allow_six_attempts() -> None:
    """The documentation's own example of which limit comes first."""
    starts = itertools.accumulate((retry_delay(n, 500, WEB_HOOK) for n in itertools.count(1)), initial=0.0)
    assert len(list(itertools.takewhile(lambda start: start < 30 * 60, starts))) == 6


@pytest.mark.parametrize(
    ("status", "endpoint", "least"),
    [
        (408, WEB_HOOK, 120),
        (503, WEB_HOOK, 30),
        (404, WEB_HOOK, 10),
        (404, FUNCTION, 300),
        (401, FUNCTION, 300),
        (404, EndpointType.STORAGE_QUEUE, 300),
    ],
)
def test_some_statuses_wait_longer_at_first(status: int, endpoint: EndpointType, least: float) -> None:
    assert retry_delay(1, status, endpoint) == least
    assert retry_delay(6, status, endpoint) == 1800


@given(st.integers(1, 60), st.none() | st.integers(100, 599), st.sampled_from(EndpointType))
def test_a_delay_never_shrinks_with_more_attempts(attempts: int, status: int | None, endpoint: EndpointType) -> None:
    assert 10 <= retry_delay(attempts, status, endpoint) <= retry_delay(attempts + 1, status, endpoint) <= 43200


@given(st.integers(100, 599))
def test_only_200_to_204_acknowledge(status: int) -> None:
    assert outcome_of_status(status).delivered == (status in {200, 201, 202, 203, 204})


@pytest.mark.parametrize(("endpoint", "never"), [(WEB_HOOK, {400, 401, 403, 413}), (FUNCTION, {400, 403, 413})])
def test_what_is_never_retried_depends_on_the_destination(endpoint: EndpointType, never: set[int]) -> None:
    assert {status for status in range(100, 600) if undeliverable_reason(status, endpoint)} == never
    assert undeliverable_reason(None, endpoint) is None


def test_the_outcomes_have_the_names_of_the_documentation() -> None:
    names = {status: outcome_of_status(status).name for status in (404, 403, 503, 408, 400, 500, 302)}
    assert names == {
        404: "NotFound",
        403: "Forbidden",
        503: "Busy",
        408: "TimedOut",
        400: "BadRequest",
        500: "GenericError",
        302: "GenericError",
    }
    assert undeliverable_reason(400, WEB_HOOK) == "UndeliverableDueToHttpBadRequest"
