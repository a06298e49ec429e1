"""Whether Event Grid delivers recordings' events: topic, subscription, dead letters; in Azure or in the emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cli.findings import Finding, all_skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT_TYPE = "Microsoft.Communication.RecordingFileStatusUpdated"
EVENT_FUNCTION = "recording_file_status_updated"
CHECKS = (
    "events.topic",
    "events.subscription",
    "events.target",
    "events.types",
    "events.ttl",
    "events.dead_letter",
    "events.dead_letter_container",
)
LEAST_HOURS = 8
"""Hours that must be left when Event Grid gives up. So long before a deadline the alerts of infra/ notify people."""

_RESUBSCRIBE = "subscribe again: azd hooks run postdeploy"


class Withheld(Exception):  # noqa: N818 - named for what it is
    """The check is not possible, for a reason outside the deployment; the message is the reason."""


class TopicMissing(Exception):  # noqa: N818
    """The topic does not exist; the message says which one is meant."""


@dataclass(frozen=True, slots=True)
class Topic:
    """The topic that the service's events go to.

    Attributes
    ----------
    state
        Its provisioning state.
    service
        Host name of the Communication Services resource it belongs to; None if that is not known.
    has_identity
        Whether it can act as an identity, to write dead letters.
    """

    name: str
    state: str
    service: str | None
    has_identity: bool


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where undeliverable events go."""

    account: str
    container: str
    by_identity: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event subscription.

    Attributes
    ----------
    target
        What it delivers to, for people.
    to_app
        Whether that is this app.
    function
        Name of the function it delivers to; None if only the app is known.
    event_types
        None is all.
    """

    name: str
    state: str
    target: str
    to_app: bool
    function: str | None
    event_types: tuple[str, ...] | None
    ttl_minutes: int
    dead_letters: DeadLetters | None

    @property
    def takes_recordings(self) -> bool:
        """Whether the recordings' event passes the filter."""
        types = {name.lower() for name in self.event_types or ()}
        return not types or "all" in types or EVENT_TYPE.lower() in types

    @property
    def to_function(self) -> bool:
        """Whether it delivers to the right function, as far as is known."""
        return self.to_app and (self.function is None or self.function.lower() == EVENT_FUNCTION)


class EventSource(Protocol):
    """Where topic and subscriptions are read from. Every method can raise `Withheld`."""

    async def topic(self) -> Topic:
        """Return the topic; raises `TopicMissing`."""
        ...

    async def subscriptions(self) -> list[Subscription]:
        """Return the topic's subscriptions."""
        ...

    async def container_exists(self, letters: DeadLetters) -> bool:
        """Return whether the container exists."""
        ...


async def check_events(source: EventSource, *, service: str | None, retention_hours: float) -> list[Finding]:
    """Make all checks of events.

    Parameters
    ----------
    service
        The resource's address, from the app's settings; None where they are not known.
    retention_hours
        How long the service keeps files.
    """
    try:
        topic = await source.topic()
    except TopicMissing as missing:
        wrong = Finding.failed(CHECKS[0], str(missing), "create it: azd provision, then azd hooks run postdeploy")
        return [wrong, *_rest([wrong], "events.topic")]
    except Withheld as reason:
        return all_skipped(CHECKS, str(reason))
    try:
        return await _check_subscription(source, topic, _topic(topic, service), retention_hours)
    except Withheld as reason:
        found = [_topic(topic, service)]
        return [*found, *all_skipped(CHECKS[1:], str(reason))]


async def _check_subscription(
    source: EventSource, topic: Topic, first: Finding, retention_hours: float
) -> list[Finding]:
    subscription = _chosen(await source.subscriptions())
    if subscription is None:
        missing = Finding.failed(
            "events.subscription", f"no subscription of {topic.name} delivers {EVENT_TYPE} to the app", _RESUBSCRIBE
        )
        return [first, missing, *_rest([first, missing], "events.subscription")]
    return [
        first,
        _state(subscription),
        _target(subscription),
        _types(subscription),
        _ttl(subscription, retention_hours),
        _dead_letter(subscription, topic),
        await _container(source, subscription),
    ]


def _rest(found: Sequence[Finding], waits_for: str) -> list[Finding]:
    return all_skipped(CHECKS[len(found) :], f"not possible before {waits_for} passes")


def _chosen(subscriptions: list[Subscription]) -> Subscription | None:
    """Choose the subscription to check: it passes the event, or delivers to the function; preferably both."""
    meant = [found for found in subscriptions if found.takes_recordings or (found.to_function and found.function)]
    return max(meant, key=lambda found: (found.to_function, found.takes_recordings, found.to_app), default=None)


def _topic(topic: Topic, service: str | None) -> Finding:
    if topic.state != "Succeeded":
        return Finding.failed("events.topic", f"{topic.name} is {topic.state}", "deploy it again: azd provision")
    if topic.service and service and topic.service.lower() != service.lower():
        return Finding.failed(
            "events.topic",
            f"{topic.name} has the events of {topic.service}, but the app uses {service}",
            "set ACS_ENDPOINT and the topic to the same resource (communicationServiceId in infra/), then azd up",
        )
    return Finding.ok("events.topic", f"{topic.name} is there" + (f", for {topic.service}" if topic.service else ""))


def _state(subscription: Subscription) -> Finding:
    if subscription.state != "Succeeded":
        return Finding.failed(
            "events.subscription",
            f"{subscription.name} is {subscription.state}, so nothing is delivered",
            _RESUBSCRIBE,
        )
    return Finding.ok("events.subscription", f"{subscription.name} is active")


def _target(subscription: Subscription) -> Finding:
    if not subscription.to_function:
        return Finding.failed(
            "events.target",
            f"{subscription.name} delivers to {subscription.target}, not to {EVENT_FUNCTION} of this app",
            _RESUBSCRIBE,
        )
    return Finding.ok("events.target", f"{subscription.name} delivers to {subscription.target}")


def _types(subscription: Subscription) -> Finding:
    if not subscription.takes_recordings:
        return Finding.failed(
            "events.types",
            f"{subscription.name} delivers {', '.join(subscription.event_types or ())}, not {EVENT_TYPE}",
            _RESUBSCRIBE,
        )
    return Finding.ok("events.types", f"{EVENT_TYPE} passes")


def _ttl(subscription: Subscription, retention_hours: float) -> Finding:
    hours = subscription.ttl_minutes / 60
    left = retention_hours - hours
    detail = f"Event Grid gives up after {hours:g} h, and files are kept {retention_hours:g} h"
    fix = "set eventTimeToLiveMinutes to 120 (EVENT_TTL_MINUTES), then azd hooks run postdeploy"
    if left < LEAST_HOURS:
        return Finding.failed(
            "events.ttl", f"{detail}: {f'{left:g} h are' if left > 0 else 'nothing is'} left to replay it", fix
        )
    if left < retention_hours / 2:
        return Finding.warning("events.ttl", f"{detail}: only {left:g} h are left to replay it", fix)
    return Finding.ok("events.ttl", f"{detail}: {left:g} h are left to replay it")


def _dead_letter(subscription: Subscription, topic: Topic) -> Finding:
    letters = subscription.dead_letters
    if letters is None:
        return Finding.failed(
            "events.dead_letter", "events that cannot be delivered are dropped: no dead-letter container", _RESUBSCRIBE
        )
    if letters.by_identity and not topic.has_identity:
        return Finding.failed(
            "events.dead_letter",
            f"dead letters are to be written as an identity, and {topic.name} has none",
            "attach it: azd provision, then azd hooks run postdeploy",
        )
    return Finding.ok("events.dead_letter", f"dead letters go to container {letters.container}")


async def _container(source: EventSource, subscription: Subscription) -> Finding:
    check, letters = "events.dead_letter_container", subscription.dead_letters
    if letters is None:
        return Finding.skipped(check, "not possible before events.dead_letter passes")
    try:
        there = await source.container_exists(letters)
    except Withheld as reason:
        return Finding.skipped(check, str(reason))
    if not there:
        return Finding.failed(
            check,
            f"container {letters.container} does not exist in {letters.account}, so dead letters are dropped",
            f"create it: azd provision, or az storage container create --name {letters.container}",
        )
    return Finding.ok(check, f"container {letters.container} is there")
