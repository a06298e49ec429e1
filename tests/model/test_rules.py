from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.model.explorer import Explorer, Result
from tests.model.rules import COSTS_ONLY_TIME, NEEDED
from tests.model.scenarios import SCENARIOS, Scenario


def _explored(scenario: Scenario, *without: str) -> Result:
    return Explorer(scenario, frozenset(without)).explore()


def _scenario(part: str) -> Scenario:
    (found,) = (scenario for scenario in SCENARIOS if scenario.name.startswith(part))
    return found


@pytest.mark.parametrize("rule", NEEDED)
def test_without_a_rule_its_scenario_fails(rule: str) -> None:
    result = _explored(_scenario(NEEDED[rule][0]), rule)

    assert result.fault
    assert result.trace


@pytest.mark.parametrize("rule", COSTS_ONLY_TIME)
def test_a_rule_that_costs_only_time_loses_nothing_when_it_is_taken_away(rule: str) -> None:
    result = _explored(_scenario(COSTS_ONLY_TIME[rule][0]), rule)

    assert result.fault is None, "\n".join((result.fault or "", *result.trace))


def test_every_switch_in_the_model_is_a_rule() -> None:
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py") if path.name != "rules.py")
    switches = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)" (?:not )?in without', source))
    for group in re.findall(r"\{([^{}]+)\} & without", source):
        switches |= set(re.findall(r'"([a-z-]+)"', group))

    assert switches == {*NEEDED, *COSTS_ONLY_TIME}
