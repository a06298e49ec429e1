"""Which calls are recorded automatically: the rules of AUTO_RECORD, and their decision for a call.

A policy is a JSON file with rules in order. The first rule that fits a call decides; a call that no rule fits is not
recorded. Only the conditions that a rule names are checked, so a rule without conditions fits every call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from shared.core import limits
from shared.core.errors import InvalidRequest
from shared.core.models import UtcDatetime
from shared.recordings.request_fields import Channels, Content, FileFormat, RawId
from shared.recordings.start_request import Consent, StartRecording

if TYPE_CHECKING:
    from pathlib import Path

    from shared.events.call_events import CallEvent

_Text = Annotated[str, Field(min_length=1, max_length=limits.LONGEST_IDENTIFIER)]
_Patterns = Annotated[
    list[_Text], Field(min_length=1), BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class Action(StrEnum):
    """What a rule does with a call."""

    RECORD = "record"
    SKIP = "skip"


class _Part(BaseModel):
    """Base of what a policy file holds. An unknown name is a fault: its condition would be ignored."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid")


class Match(_Part):
    """Conditions on a call; all that are given must hold.

    Ids are compared with one pattern or several, without regard to case; `*` stands for any characters.
    """

    started_by: _Patterns | None = None
    group_id: _Patterns | None = None
    room_id: _Patterns | None = None
    is_two_party: StrictBool | None = None
    is_rooms_call: StrictBool | None = None

    def given(self) -> list[str]:
        """Return the conditions' names, as they stand in the file."""
        return [to_camel(name) for name in type(self).model_fields if getattr(self, name) is not None]

    def fits(self, call: CallEvent) -> bool:
        """Whether the call meets all conditions; a field that the event lacks meets none."""
        ids = ((self.started_by, call.started_by), (self.group_id, call.group_id), (self.room_id, call.room_id))
        flags = ((self.is_two_party, call.is_two_party), (self.is_rooms_call, call.is_rooms_call))
        return all(patterns is None or _fits(patterns, value) for patterns, value in ids) and all(
            wanted is None or wanted is value for wanted, value in flags
        )


def _fits(patterns: list[str], value: str | None) -> bool:
    return value is not None and any(_matches(pattern.lower(), value.lower()) for pattern in patterns)


def _matches(pattern: str, value: str) -> bool:
    """Whether `value` is `pattern`, whose `*` stand for any characters.

    The parts between the stars are looked for from left to right, so the time grows with the lengths only.
    """
    first, *others = pattern.split("*")
    if not others:
        return value == first
    *middle, last = others
    if not (value.startswith(first) and value.endswith(last) and len(value) >= len(first) + len(last)):
        return False
    position, end = len(first), len(value) - len(last)
    for part in middle:
        found = value.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


class Options(_Part):
    """How to record, in the names of a start request."""

    recording_content_type: Content | None = None
    recording_channel_type: Channels | None = None
    recording_format_type: FileFormat | None = None
    pause_on_start: StrictBool | None = None

    @model_validator(mode="after")
    def _can_be_recorded(self) -> Self:
        try:
            StartRecording.model_validate(self.model_dump()).combination()
        except InvalidRequest as error:
            raise ValueError(f"{error.field}: {error.detail}") from None
        return self


class StatedConsent(_Part):
    """Why calls that a rule fits may be recorded; `basis` is required, since the app asks no participant."""

    basis: Annotated[str, Field(min_length=1, max_length=limits.LONGEST_BASIS)]
    obtained_from: list[RawId] = []
    obtained_at: UtcDatetime | None = None
    reference: Annotated[str, Field(max_length=limits.LONGEST_IDENTIFIER)] | None = None


class PolicyConsent(Consent):
    """Consent as a policy states it: `obtained_from` may be empty, and the rule is named."""

    obtained_from: list[RawId]
    policy_rule: str


class Rule(_Part):
    """What to do with the calls that fit."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    match: Match = Match()
    action: Action
    recording: Options | None = None
    consent: StatedConsent | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.action is Action.SKIP and (self.recording or self.consent):
            raise ValueError("a rule that skips takes neither recording nor consent")
        return self

    def request(self, call: CallEvent) -> StartRecording:
        """Return what to ask the service for."""
        stated = self.consent
        options = self.recording or Options()
        return StartRecording(
            server_call_id=call.server_call_id,
            **options.model_dump(exclude_none=True),
            consent=PolicyConsent(
                **{"obtained_at": call.at} | stated.model_dump(exclude_none=True), policy_rule=self.name
            )
            if stated
            else None,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call, and why.

    Attributes
    ----------
    rule
        The name of the rule that decided; None if none fits.
    request
        What to ask the service for; None where the call is not recorded.
    """

    action: Action
    reason: str
    rule: str | None = None
    request: StartRecording | None = None


class Policy(_Part):
    """Rules in order."""

    rules: Annotated[list[Rule], Field(min_length=1)]

    def decide(self, call: CallEvent) -> Decision:
        """Say what becomes of a call."""
        for rule in self.rules:
            if rule.match.fits(call):
                reason = f"fits {', '.join(rule.match.given()) or 'every call'}"
                request = rule.request(call) if rule.action is Action.RECORD else None
                return Decision(rule.action, reason, rule.name, request)
        return Decision(Action.SKIP, "no rule fits")


EVERY_CALL = Policy(rules=[Rule(name="all", action=Action.RECORD)])
"""`AUTO_RECORD=all`."""


def policy_of(auto_record: str, root: Path, *, require_consent: bool) -> tuple[Policy | None, list[str]]:
    """Return what the setting AUTO_RECORD stands for, and every fault, each naming the setting.

    Parameters
    ----------
    auto_record
        `all`, or the path of a policy file from `root`.
    """
    if auto_record != "all":
        policy, faults = _read_policy(root / auto_record, require_consent=require_consent)
        return policy, [f"AUTO_RECORD, {auto_record}: {fault}" for fault in faults]
    if not require_consent:
        return EVERY_CALL, []
    return None, [
        "AUTO_RECORD is 'all', which states no basis, and REQUIRE_CONSENT is on: give a policy file whose rules state "
        "consent.basis"
    ]


def _read_policy(path: Path, *, require_consent: bool) -> tuple[Policy | None, list[str]]:
    try:
        with path.open("rb") as file:
            content = file.read(limits.LARGEST_POLICY + 1)
    except OSError as error:
        return None, [f"the file cannot be read ({error.strerror}); give its path from the app's root"]
    if len(content) > limits.LARGEST_POLICY:
        return None, [f"the file is larger than {limits.LARGEST_POLICY} bytes"]
    return parse_policy(content, require_consent=require_consent)


def parse_policy(content: bytes, *, require_consent: bool) -> tuple[Policy | None, list[str]]:
    """Read a policy.

    Parameters
    ----------
    require_consent
        Whether rules that record must state `consent.basis`.

    Returns
    -------
    The policy, None if it cannot be used, and every fault that was found, each naming the rule and the field.
    """
    try:
        decoded = from_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        return None, [f"it is not JSON: {error}"]
    try:
        policy = Policy.model_validate(decoded)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return None, [f"{_place(fault['loc'], decoded)}: {_message(fault['msg'])}" for fault in found]
    faults = [
        f"rules[{index}] ({rule.name}): consent.basis is missing; REQUIRE_CONSENT is on, so every rule that records "
        "has to state why it may"
        for index, rule in enumerate(policy.rules)
        if require_consent and rule.action is Action.RECORD and rule.consent is None
    ]
    counted = Counter(rule.name for rule in policy.rules)
    faults += [f"{count} rules are named {name!r}; give each its own" for name, count in counted.items() if count > 1]
    return (None if faults else policy), faults


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def _place(location: tuple[int | str, ...], decoded: Any) -> str:
    """Return where a fault is, as `rules[1] (support).recording`, with the rule's name where it has one."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f"{'.' if place else ''}{part}"
        if isinstance(part, int) and place == f"rules[{part}]":
            rule = decoded["rules"][part]
            name = rule.get("name") if isinstance(rule, dict) else None
            place += f" ({name})" if isinstance(name, str) and name else ""
    return place or "the file"
