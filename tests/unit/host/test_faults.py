"""Which message an ordered fault meets."""

from __future__ import annotations

from local.host.faults import Faults, Kind


def test_a_fault_meets_as_many_messages_of_its_queue_as_ordered() -> None:
    faults = Faults()
    ordered = faults.add(Kind.NOT_RUN, "work", 2)
    assert faults.meet("other") is None
    assert [faults.meet("work") for _ in range(3)] == [ordered, ordered, None]
    assert ordered.as_json() == {"id": 1, "kind": "not-run", "queue": "work", "times": 2, "hits": 2}


def test_zero_times_is_every_message_until_it_is_removed() -> None:
    faults = Faults()
    ordered = faults.add(Kind.POISON, "work", 0)
    assert [faults.meet("work") for _ in range(40)] == [ordered] * 40
    faults.remove(ordered)
    assert faults.meet("work") is None


def test_of_several_faults_the_oldest_that_is_not_used_up_is_met() -> None:
    faults = Faults()
    first = faults.add(Kind.NOT_RUN, "work", 1)
    second = faults.add(Kind.POISON, "work", 1)
    assert [faults.meet("work") for _ in range(3)] == [first, second, None]


def test_a_timers_fault_meets_no_message_of_a_queue_with_its_name() -> None:
    faults = Faults()
    faults.add(Kind.TIMER, "work", 0)
    assert faults.meet("work") is None
    assert faults.stops("work")
    assert not faults.stops("other")
