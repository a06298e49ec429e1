from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.acs.timestamps import stamp


@given(st.integers(1_600_000_000_000, 1_900_000_000_000))
def test_a_time_has_at_most_seven_fractional_digits_and_no_zeros_at_the_end(moment: int) -> None:
    written = stamp(moment)
    match = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z", written)
    assert match is not None
    assert not (match[1] or "").endswith("0")


@given(st.integers(1_600_000_000_000, 1_900_000_000_000))
def test_a_time_lies_within_its_millisecond(moment: int) -> None:
    read = datetime.fromisoformat(stamp(moment, "+00:00"))
    assert moment <= round(read.timestamp() * 1_000_000) // 1000 <= moment


@pytest.mark.parametrize(("zone", "expected"), [("Z", "1970-01-01T00:00:00Z"), ("+00:00", "1970-01-01T00:00:00+00:00")])
def test_a_time_names_its_zone(zone: str, expected: str) -> None:
    assert stamp(0, zone) == expected
