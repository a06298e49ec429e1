from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.app import Services
from shared.config.settings import Settings
from shared.core.errors import SettingsError
from shared.events.call_events import CallChange, CallEvent
from shared.recordings.policy import EVERY_CALL, Action, Match, Policy, parse_policy

EXAMPLE = Path(__file__).parents[3] / "auto-record.example.json"
BASIC = {
    "ACS_CONNECTION_STRING": "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0",
    "ARCHIVE_STORAGE": "UseDevelopmentStorage=true",
}
BEGAN = datetime(2026, 11, 22, 8, tzinfo=UTC)


def call(**facts: Any) -> CallEvent:
    known: dict[str, Any] = {"started_by": "8:acs:alice", "is_two_party": True, "is_rooms_call": False, **facts}
    return CallEvent(CallChange.STARTED, "event", BEGAN, "server-call", **known)


def policy(*rules: dict[str, Any], require_consent: bool = False) -> Policy:
    named = [{"name": f"rule {index}", **rule} for index, rule in enumerate(rules)]
    found, faults = parse_policy(json.dumps({"rules": named}).encode(), require_consent=require_consent)
    assert found is not None, faults
    return found


def faults_of(content: object, *, require_consent: bool = False) -> list[str]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    found, faults = parse_policy(body, require_consent=require_consent)
    assert (found is None) == bool(faults)
    return faults


def test_the_first_rule_that_fits_decides() -> None:
    rules = policy(
        {"match": {"startedBy": "8:acs:bob"}, "action": "record"},
        {"match": {"isTwoParty": True}, "action": "skip"},
        {"action": "record"},
    )
    decision = rules.decide(call())
    assert (decision.action, decision.rule, decision.reason) == (Action.SKIP, "rule 1", "fits isTwoParty")
    decision = rules.decide(call(is_two_party=False))
    assert (decision.action, decision.rule, decision.reason) == (Action.RECORD, "rule 2", "fits every call")


def test_a_call_that_no_rule_fits_is_not_recorded() -> None:
    decision = policy({"match": {"groupId": "*"}, "action": "record"}).decide(call())
    assert (decision.action, decision.rule, decision.request) == (Action.SKIP, None, None)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"startedBy": "8:acs:ALICE"}, True),
        ({"startedBy": "8:acs:*"}, True),
        ({"startedBy": "*alice"}, True),
        ({"startedBy": "8:*:a*e"}, True),
        ({"startedBy": "8:acs:alic"}, False),
        ({"startedBy": "8:acs:?lice"}, False),
        ({"startedBy": ["4:*", "8:acs:al*"]}, True),
        ({"groupId": "*"}, False),
        ({"roomId": "99*"}, True),
        ({"isTwoParty": True}, True),
        ({"isTwoParty": False}, False),
        ({"isRoomsCall": True}, False),
        ({"startedBy": "8:acs:*", "isRoomsCall": True}, False),
    ],
)
def test_conditions(match: dict[str, Any], fits: bool) -> None:
    assert Match.model_validate(match).fits(call(room_id="99123", is_rooms_call=None)) is fits


@given(st.text("ab*", max_size=8).filter(bool), st.text("ab", max_size=8))
def test_a_star_stands_for_any_characters(pattern: str, value: str) -> None:
    expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), value) is not None
    assert Match.model_validate({"groupId": pattern}).fits(call(group_id=value)) is expected


def test_many_stars_take_no_time() -> None:
    assert not Match.model_validate({"groupId": "*a" * 1000 + "b"}).fits(call(group_id="a" * 2000))


def test_a_rule_says_how_to_record_and_why_it_may() -> None:
    options = {
        "recordingContentType": "Audio",
        "recordingChannelType": "Unmixed",
        "recordingFormatType": "Wav",
        "pauseOnStart": True,
    }
    decision = policy({"action": "record", "recording": options, "consent": {"basis": "notice"}}).decide(call())
    request = decision.request
    assert request is not None
    assert request.locator() == {"server_call_id": "server-call"}
    assert request.combination() == ("audio", "unmixed", "wav")
    assert request.pause_on_start is True
    assert request.consent is not None
    assert request.consent.model_dump(mode="json", by_alias=True) == {
        "basis": "notice",
        "obtainedFrom": [],
        "obtainedAt": "2026-11-22T08:00:00Z",
        "reference": None,
        "policyRule": "rule 0",
    }


def test_without_options_the_service_decides() -> None:
    request = EVERY_CALL.decide(call()).request
    assert request is not None
    assert request.model_dump(exclude_none=True) == {"server_call_id": "server-call"}


RECORD = {"name": "support", "action": "record"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"nonsense", "it is not JSON"),
        (b"", "it is not JSON"),
        ([], "the file"),
        ({}, "rules"),
        ({"rules": []}, "rules"),
        ({"rules": [RECORD], "otherwise": "record"}, "otherwise"),
        ({"rules": [{"name": "support"}]}, "rules[0] (support).action"),
        ({"rules": [{"action": "skip"}]}, "rules[0].name"),
        ({"rules": [{**RECORD, "action": "drop"}]}, "rules[0] (support).action"),
        ({"rules": [{**RECORD, "match": {"caller": "x"}}]}, "rules[0] (support).match.caller"),
        ({"rules": [{**RECORD, "match": {"started_by": "x"}}]}, "rules[0] (support).match.started_by"),
        ({"rules": [{**RECORD, "match": {"startedBy": []}}]}, "rules[0] (support).match.startedBy"),
        ({"rules": [{**RECORD, "match": {"startedBy": ["x", ""]}}]}, "rules[0] (support).match.startedBy[1]"),
        ({"rules": [{**RECORD, "match": {"isTwoParty": "yes"}}]}, "rules[0] (support).match.isTwoParty"),
        ({"rules": [{**RECORD, "recording": {"recordingFormatType": "ogg"}}]}, "rules[0] (support).recording"),
        ({"rules": [{**RECORD, "consent": {}}]}, "rules[0] (support).consent.basis"),
        ({"rules": [{**RECORD, "consent": {"basis": ""}}]}, "rules[0] (support).consent.basis"),
        ({"rules": [{**RECORD, "action": "skip", "consent": {"basis": "x"}}]}, "rules[0] (support)"),
        ({"rules": [RECORD, RECORD]}, "2 rules are named 'support'"),
        ({"rules": ["support"]}, "rules[0]"),
    ],
)
def test_a_fault_is_named_with_its_rule_and_field(content: object, place: str) -> None:
    [fault] = faults_of(content)
    assert fault.startswith(place)


def test_every_fault_is_named() -> None:
    rules = [{"name": "a"}, {"name": "b", "action": "record", "match": {"typo": 1}, "recording": {"typo": 2}}]
    assert len(faults_of({"rules": rules})) == 3


def test_a_combination_that_cannot_be_recorded_is_explained() -> None:
    options = {"recordingContentType": "audioVideo", "recordingFormatType": "wav"}
    [fault] = faults_of({"rules": [{**RECORD, "recording": options}]})
    assert "audioVideo/mixed/mp4" in fault


def test_where_consent_is_required_a_rule_that_records_has_to_state_its_basis() -> None:
    rules = [{"name": "quiet", "action": "skip"}, RECORD, {**RECORD, "name": "stated", "consent": {"basis": "notice"}}]
    [fault] = faults_of({"rules": rules}, require_consent=True)
    assert fault.startswith("rules[1] (support): consent.basis is missing; REQUIRE_CONSENT")
    assert faults_of({"rules": rules}) == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["name", "match", "action", "recording", "consent"]


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), anything) | anything, max_size=3) | anything)
def test_whatever_a_file_holds_it_is_a_policy_or_has_faults(rules: object) -> None:
    faults_of({"rules": rules}, require_consent=True)
    faults_of(rules)


def test_the_example_is_a_policy_with_a_basis_for_everything_it_records() -> None:
    found, faults = parse_policy(EXAMPLE.read_bytes(), require_consent=True)
    assert faults == []
    assert found is not None
    assert found.decide(call(started_by="4:+49301234567")).rule == "support"
    assert found.decide(call(started_by="4:+49301234567", is_two_party=False)).rule is None


@pytest.mark.parametrize("value", ["", "off"])
def test_by_default_nothing_is_recorded_by_itself(value: str) -> None:
    services = Services.from_environment({**BASIC, "AUTO_RECORD": value})
    assert services.policy is None
    assert services.settings.require_consent is False


def test_all_is_every_call() -> None:
    assert Services.from_environment({**BASIC, "AUTO_RECORD": "all"}).policy == EVERY_CALL


def test_a_policy_file_is_found_from_the_apps_root() -> None:
    services = Services.from_environment({**BASIC, "AUTO_RECORD": EXAMPLE.name, "REQUIRE_CONSENT": "true"})
    assert services.policy is not None
    assert services.settings.require_consent


def test_all_states_no_basis() -> None:
    with pytest.raises(SettingsError, match=r"AUTO_RECORD is 'all'.*consent\.basis"):
        Services.from_environment({**BASIC, "AUTO_RECORD": "all", "REQUIRE_CONSENT": "true"})


def test_faults_of_a_policy_stand_among_those_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"rules": [RECORD, {"name": "b"}]}))
    with pytest.raises(SettingsError) as raised:
        Services.from_environment({**BASIC, "AUTO_RECORD": str(file), "REQUIRE_CONSENT": "maybe"})
    assert "rules[1] (b).action" in str(raised.value)
    assert "REQUIRE_CONSENT is 'maybe'" in str(raised.value)


def test_a_policy_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"AUTO_RECORD, auto-rekord\.json: the file cannot be read"):
        Services.from_environment({**BASIC, "AUTO_RECORD": "auto-rekord.json"})


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("https://app.example.net", "https://app.example.net"),
        ("https://gate.example.net/recordings/", "https://gate.example.net/recordings"),
        ("http://127.0.0.1:7071", "http://127.0.0.1:7071"),
        ("http://localhost:7071", "http://localhost:7071"),
        ("", None),
    ],
)
def test_the_apps_own_address(value: str, base: str | None) -> None:
    assert Settings.from_environment({**BASIC, "PUBLIC_BASE_URL": value}).public_base_url == base


@pytest.mark.parametrize(
    "value",
    [
        "http://app.example.net",
        "app.example.net",
        "https://",
        "https://user:password@app.example.net",
        "https://app.example.net?code=1",
        "https://app.example.net#x",
        "http://127.0.0.1.example.net",
    ],
)
def test_an_address_that_would_show_the_token_to_others_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="PUBLIC_BASE_URL"):
        Settings.from_environment({**BASIC, "PUBLIC_BASE_URL": value})
