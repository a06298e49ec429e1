from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from local.acs.clock import EmulatedClock
from local.acs.faults import FaultKind, FaultOrder, Target
from local.acs.ordered import Faults


def order(**fields: Any) -> FaultOrder:
    return FaultOrder.model_validate(fields)


def test_a_fault_is_met_as_often_as_it_was_ordered() -> None:
    faults = Faults(EmulatedClock())
    fault = faults.add(order(kind="status", status=503, times=2))
    met = [faults.meet(Target.CONTENT).main is not None for _ in range(3)]
    assert met == [True, True, False]
    assert fault.hits == 2


def test_faults_are_met_one_after_the_other() -> None:
    faults = Faults(EmulatedClock())
    faults.add(order(kind="503"))
    faults.add(order(kind="empty"))
    met = [faults.meet(Target.CONTENT).kinds for _ in range(3)]
    assert met == [["status"], ["empty"], []]


def test_what_slows_goes_together_with_what_breaks() -> None:
    faults = Faults(EmulatedClock())
    faults.add(order(kind="rate", bytesPerSecond=10))
    faults.add(order(kind="cut", afterBytes=5))
    met = faults.meet(Target.CONTENT)
    assert FaultKind.RATE in met.modifiers
    assert met.main is not None
    assert met.main.kind is FaultKind.CUT


def test_a_fault_meets_only_its_target_and_document() -> None:
    faults = Faults(EmulatedClock())
    faults.add(order(kind="cut", afterBytes=5, documentId="a", target="metadata"))
    assert not faults.meet(Target.CONTENT, "a").kinds
    assert not faults.meet(Target.METADATA, "b").kinds
    assert faults.meet(Target.METADATA, "a").kinds == ["cut"]


def test_a_fault_goes_when_its_emulated_time_is_over() -> None:
    clock = EmulatedClock()
    faults = Faults(clock)
    faults.add(order(kind="503", forSeconds=6 * 3600))
    assert all(faults.meet(Target.GET).kinds for _ in range(3))
    clock.advance(6 * 3600)
    assert not faults.meet(Target.GET).kinds


def test_bursts_come_and_go() -> None:
    faults = Faults(EmulatedClock())
    faults.add(order(kind="503", burst=2, gap=3))
    met = [bool(faults.meet(Target.GET).kinds) for _ in range(8)]
    assert met == [True, True, False, False, False, True, True, False]


def test_a_fault_can_be_for_one_kind_of_locator() -> None:
    faults = Faults(EmulatedClock())
    faults.add(order(kind="400", locator="roomCallLocator", times=None))
    assert not faults.meet(Target.START, locator="groupCallLocator").kinds
    assert faults.meet(Target.START, locator="roomCallLocator").kinds == ["status"]
    assert not faults.meet(Target.GET).kinds


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "cut"}, "needs afterBytes"),
        ({"kind": "empty", "status": 500}, "does not take status; it takes no parameters"),
        ({"kind": "cut", "afterBytes": 1, "target": "start"}, "needs target content or metadata"),
        ({"kind": "start-failed", "target": "get"}, "needs target start"),
        ({"kind": "nonsense"}, "'status', 'html'"),
        ({"kind": "503", "target": "nonsense"}, "'start', 'get'"),
        ({"kind": "503", "unknown": 1}, "Extra inputs"),
        ({"kind": "redirect", "target": "get"}, "needs location"),
        ({"kind": "short", "afterBytes": 1, "target": "get"}, "needs target content or metadata"),
        ({"kind": "503", "target": "get", "locator": "roomCallLocator"}, "locator needs target start"),
        ({"kind": "503", "gap": 2}, "gap needs burst"),
        ({"kind": "503", "retryAfter": "soon", "retryAfterAsDate": True}, "needs retryAfter in seconds"),
        ({"kind": "503", "retryAfter": "1\r\nX: y"}, "must be one line"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_what_would(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        order(**fields)
