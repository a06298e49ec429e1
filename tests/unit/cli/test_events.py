"""What is found in a topic's subscriptions, in Azure or in the emulator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.events import EVENT_FUNCTION, EVENT_TYPE, DeadLetters, Subscription, Topic, Withheld, check_events
from cli.findings import Finding, Status

LETTERS = DeadLetters("starchive", "dead-letters", by_identity=True)
GOOD = Subscription(
    name="recording-files",
    state="Succeeded",
    target="the app",
    to_app=True,
    function=EVENT_FUNCTION,
    event_types=(EVENT_TYPE,),
    ttl_minutes=120,
    dead_letters=LETTERS,
)
TOPIC = Topic("acs", "Succeeded", "contoso.communication.azure.com", has_identity=True)


class Source:
    """Returns what it was given."""

    def __init__(self, *subscriptions: Subscription, withholds_container: bool = False) -> None:
        self._subscriptions = list(subscriptions)
        self._withholds_container = withholds_container

    async def topic(self) -> Topic:
        return TOPIC

    async def subscriptions(self) -> list[Subscription]:
        return self._subscriptions

    async def container_exists(self, letters: DeadLetters) -> bool:
        if self._withholds_container:
            raise Withheld("you may not read it")
        return letters == LETTERS


async def check(source: Source, *, retention_hours: float = 24) -> dict[str, Finding]:
    findings = await check_events(source, service="Contoso.communication.azure.com", retention_hours=retention_hours)
    return {finding.check: finding for finding in findings}


async def test_the_subscription_that_is_right_is_chosen_among_others() -> None:
    others = [
        replace(GOOD, name="elsewhere", to_app=False),
        replace(GOOD, name="calls", function="call_changed", event_types=("Microsoft.Communication.CallStarted",)),
    ]
    found = await check(Source(*others, GOOD))
    assert {finding.status for finding in found.values()} == {Status.OK}


@pytest.mark.parametrize("types", [None, ("All",), (EVENT_TYPE.lower(),)])
async def test_every_filter_that_passes_the_event_is_known(types: tuple[str, ...] | None) -> None:
    assert (await check(Source(replace(GOOD, event_types=types))))["events.types"].status is Status.OK


@pytest.mark.parametrize(
    ("minutes", "retention", "status"),
    [
        (120, 24, Status.OK),
        (720, 24, Status.OK),
        (960, 24, Status.WARNING),
        (961, 24, Status.FAILED),
        (1440, 24, Status.FAILED),
        (1440, 48, Status.OK),
    ],
)
async def test_the_time_to_live_has_to_leave_time_to_replay(minutes: int, retention: float, status: Status) -> None:
    found = await check(Source(replace(GOOD, ttl_minutes=minutes)), retention_hours=retention)
    assert found["events.ttl"].status is status


async def test_subscriptions_of_other_events_to_other_apps_are_ignored() -> None:
    other = replace(GOOD, to_app=False, event_types=("Microsoft.Communication.CallStarted",))
    found = await check(Source(other))
    assert found["events.subscription"].status is Status.FAILED
    assert found["events.target"].status is Status.SKIPPED


async def test_a_subscription_whose_function_is_unknown_is_not_taken_for_the_missing_one() -> None:
    calls = replace(GOOD, name="calls", function=None, event_types=("Microsoft.Communication.CallStarted",))
    assert (await check(Source(calls)))["events.subscription"].status is Status.FAILED
    assert (await check(Source(calls, replace(GOOD, function=None))))["events.types"].status is Status.OK


async def test_a_container_that_may_not_be_read_is_not_reported_as_missing() -> None:
    found = await check(Source(GOOD, withholds_container=True))
    assert found["events.dead_letter_container"].status is Status.SKIPPED
