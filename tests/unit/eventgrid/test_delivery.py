"""Retries, time to live and dead letters on the emulated clock."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from local.eventgrid.clock import EmulatedClock
from local.eventgrid.delivery import DeliveryParts, Subscription
from local.eventgrid.errors import DeadLetterWriteError
from local.eventgrid.faults import FaultOrder
from local.eventgrid.metrics import TOPIC_METRICS, Counters
from local.eventgrid.options import EventGridOptions
from local.eventgrid.retries import outcome_of_status
from local.eventgrid.schemas import AcceptedEvent, EventSchema
from local.eventgrid.subscriptions import DeadLetterDestination, RetryPolicy, SubscriptionSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from local.eventgrid.retries import Outcome

DEAD_LETTERS = DeadLetterDestination(connection_string=SecretStr("UseDevelopmentStorage=true"), container="dead")


class Subscriber:
    """Stands for the webhook: answers with the given statuses, the last one for ever, and keeps what came when."""

    def __init__(self, clock: EmulatedClock, *statuses: int) -> None:
        self.clock = clock
        self.statuses = list(statuses)
        self.start = clock.time()
        self.attempts: list[tuple[float, list[str], int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.under_way = 0
        self.most_under_way = 0

    async def deliver(self, settings: SubscriptionSettings, events: Sequence[AcceptedEvent], attempts: int) -> Outcome:
        self.attempts.append((round(self.clock.time() - self.start, 3), [event.id for event in events], attempts))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.open.wait()
        self.under_way -= 1
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return outcome_of_status(status, settings.name)

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.attempts]


class Container:
    """Stands for the dead-letter container."""

    def __init__(self, clock: EmulatedClock) -> None:
        self.clock = clock
        self.start = clock.time()
        self.broken = False
        self.writes: list[tuple[float, list[dict[str, Any]]]] = []
        self.refused = 0

    async def write(
        self, destination: DeadLetterDestination, subscription: str, letters: list[dict[str, Any]], now: float
    ) -> str:
        if self.broken:
            self.refused += 1
            raise DeadLetterWriteError("gone")
        self.writes.append((round(now - self.start, 3), letters))
        return f"{subscription}/{destination.container}"


class Bench:
    """A subscription with a clock that only moves when told."""

    def __init__(self, *statuses: int, options: EventGridOptions | None = None, **settings: Any) -> None:
        self.clock = EmulatedClock(monotonic=lambda: 0.0)
        self.subscriber = Subscriber(self.clock, *statuses)
        self.container = Container(self.clock)
        parts = DeliveryParts(
            clock=self.clock,
            options=options or EventGridOptions(),
            destinations=self.subscriber,  # type: ignore[arg-type] # stands in for the network
            dead_letters=self.container,  # type: ignore[arg-type] # stands in for storage
            randomness=random.Random(1),
            on_settled=lambda: None,
        )
        self.subscription = Subscription(
            SubscriptionSettings(name="archive", endpoint="http://x/", **settings), parts, Counters(TOPIC_METRICS)
        )

    def publish(self, *ids: str) -> None:
        for identifier in ids:
            body = {"id": identifier, "eventType": "t", "subject": "s", "dataVersion": "1"}
            self.subscription.accept(AcceptedEvent(EventSchema.EVENT_GRID, body, self.clock.time(), 100))

    async def settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)

    async def run(self, seconds: float) -> None:
        """Let everything happen that is due within `seconds`, each at its own time."""
        end = self.clock.time() + seconds
        while True:
            await self.settle()
            due = [due for queue in (self.subscription._queue, self.subscription._dead) for due, _ in queue]
            if not due or min(due) > end:
                break
            self.clock.advance(max(0.0, min(due) - self.clock.time()) + 1e-6)
        self.clock.advance(max(0.0, end - self.clock.time()))
        await self.settle()

    def count(self, name: str) -> int:
        return self.subscription.counters.as_dict()[name]


@asynccontextmanager
async def bench(*statuses: int, **kwargs: Any) -> AsyncIterator[Bench]:
    made = Bench(*statuses, **kwargs)
    made.subscription.start()
    try:
        yield made
    finally:
        await made.subscription.stop()


async def test_an_event_is_retried_on_the_schedule_until_it_is_acknowledged() -> None:
    async with bench(500, 502, 500, 204) as made:
        made.publish("1")
        await made.run(3600)
        assert made.subscriber.times == pytest.approx([0, 10, 40, 100], abs=0.01)
        assert [count for _, _, count in made.subscriber.attempts] == [0, 1, 2, 3]
        assert made.count("DeliverySuccessCount") == 1
        assert made.count("DeliveryAttemptFailCount") == 3
        assert made.subscription.idle
        assert made.subscription.held_bytes == 0


async def test_attempts_end_at_the_maximum_and_the_dead_letter_follows_five_minutes_later() -> None:
    policy = RetryPolicy(max_delivery_attempts=3)
    async with bench(404, retry_policy=policy, dead_letter=DEAD_LETTERS) as made:
        made.publish("1")
        await made.run(40 + 299)
        assert not made.container.writes
        await made.run(3600)
        ((when, (letter,)),) = made.container.writes
        assert when == pytest.approx(340, abs=0.01)
        assert letter["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"
        assert letter["deliveryAttempts"] == 3
        assert letter["lastDeliveryOutcome"] == "NotFound"
        assert letter["lastHttpStatusCode"] == 404
        assert letter["publishTime"] < letter["lastDeliveryAttemptTime"]
        assert made.count("DeadLetteredCount") == 1
        assert made.count("DroppedEventCount") == 0
        assert made.subscription.idle


async def test_time_to_live_ends_delivery_before_the_attempts_do() -> None:
    policy = RetryPolicy(max_delivery_attempts=10, event_time_to_live_in_minutes=30)
    async with bench(500, retry_policy=policy, dead_letter=DEAD_LETTERS) as made:
        made.publish("1")
        await made.run(2 * 3600)
        assert len(made.subscriber.attempts) == 6  # the documentation's example
        ((when, (letter,)),) = made.container.writes
        assert letter["deadLetterReason"] == "TimeToLiveExceeded"
        assert when == pytest.approx(1000 + 1800, abs=0.01)  # noticed when the seventh attempt was due


async def test_the_default_policy_gives_up_after_a_day() -> None:
    async with bench(500, dead_letter=DEAD_LETTERS) as made:
        made.publish("1")
        await made.run(3 * 86400)
        assert max(made.subscriber.times) < 86400
        assert made.container.writes[0][1][0]["deadLetterReason"] == "TimeToLiveExceeded"


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_what_can_never_be_delivered_is_not_retried(status: int) -> None:
    async with bench(status, dead_letter=DEAD_LETTERS) as made:
        made.publish("1")
        await made.run(86400)
        assert len(made.subscriber.attempts) == 1
        assert made.container.writes[0][1][0]["deadLetterReason"].startswith("UndeliverableDueToHttp")


async def test_without_a_dead_letter_destination_the_event_is_dropped_and_counted() -> None:
    async with bench(400) as made:
        made.publish("1", "2")
        await made.run(1)
        assert made.count("DroppedEventCount") == 2
        assert made.subscription.idle
        assert made.subscription.held_bytes == 0


async def test_a_dead_letter_waits_for_its_container_up_to_four_hours() -> None:
    async with bench(400, dead_letter=DEAD_LETTERS) as made:
        made.container.broken = True
        made.publish("1")
        await made.run(3 * 3600)
        assert made.container.refused > 100
        made.container.broken = False
        await made.run(120)
        assert made.count("DeadLetteredCount") == 1


async def test_a_dead_letter_whose_container_stays_away_is_dropped_and_counted() -> None:
    async with bench(400, dead_letter=DEAD_LETTERS) as made:
        made.container.broken = True
        made.publish("1")
        await made.run(300 + 4 * 3600 - 1)
        assert made.count("DroppedEventCount") == 0
        await made.run(10)
        assert made.count("DroppedEventCount") == 1
        assert made.count("DeadLetteredCount") == 0
        assert made.subscription.failures.as_list()[-1]["outcome"] == "DeadLetterWriteFailed"


async def test_dead_letters_that_are_due_together_share_a_blob() -> None:
    async with bench(400, dead_letter=DEAD_LETTERS, options=EventGridOptions(dead_letters_a_blob=2)) as made:
        made.publish("1", "2", "3")
        await made.run(3600)
        assert [len(letters) for _, letters in made.container.writes] == [2, 1]


async def test_batches_take_what_is_there_and_never_more_than_the_limits() -> None:
    async with bench(200, max_events_per_batch=3, preferred_batch_size_in_kilobytes=1) as made:
        made.publish(*"abcd")
        await made.run(1)
        assert [ids for _, ids, _ in made.subscriber.attempts] == [["a", "b", "c"], ["d"]]
        made.subscription.accept(
            AcceptedEvent(EventSchema.EVENT_GRID, {"id": "big", "eventType": "t"}, made.clock.time(), 5000)
        )
        made.publish("e")
        await made.run(1)
        assert [ids for _, ids, _ in made.subscriber.attempts[2:]] == [["big"], ["e"]]


async def test_deliveries_under_way_are_limited() -> None:
    async with bench(200, options=EventGridOptions(concurrent_deliveries=4)) as made:
        made.subscriber.open.clear()
        made.publish(*map(str, range(50)))
        await made.settle()
        assert made.subscriber.under_way == 4
        assert sum(item["state"] == "delivering" for item in made.subscription.pending()) == 4
        made.subscriber.open.set()
        while not made.subscription.idle:
            await made.settle()
        assert made.subscriber.most_under_way == 4
        assert made.count("DeliverySuccessCount") == 50


async def test_pending_deliveries_tell_when_and_why() -> None:
    async with bench(500) as made:
        made.publish("1")
        await made.run(1)
        (item,) = made.subscription.pending()
        assert (item["state"], item["attempts"], item["lastOutcome"]) == ("waiting", 1, "GenericError")
        assert item["nextAttemptTime"] is not None
        (failure,) = made.subscription.failures.as_list()
        assert failure["detail"] == "HTTP 500: archive"


async def test_jitter_only_adds_to_a_delay() -> None:
    async with bench(500, options=EventGridOptions(jitter=0.1)) as made:
        made.publish("1")
        await made.run(12)
        _, second = made.subscriber.times
        assert 10 < second <= 11.01


async def test_faults_of_several_kinds_meet_one_event() -> None:
    async with bench(200) as made:
        for order in ({"kind": "doubled", "copies": 2}, {"kind": "late", "delaySeconds": 5}):
            made.subscription.faults.add(FaultOrder.model_validate(order))
        made.publish("a", "b")
        await made.run(100)
        heard = [(ids[0], round(when)) for when, ids, _ in made.subscriber.attempts]
        assert sorted(heard) == [("a", 5), ("a", 5), ("a", 5), ("b", 0)]
        assert made.count("MatchedEventCount") == 2
        assert made.subscription.held_bytes == 0


async def test_faults_of_one_kind_meet_one_event_after_another() -> None:
    async with bench(200) as made:
        for seconds in (5, 50):
            made.subscription.faults.add(FaultOrder.model_validate({"kind": "late", "delaySeconds": seconds}))
        made.publish("a", "b")
        await made.run(100)
        assert [(ids[0], round(when)) for when, ids, _ in made.subscriber.attempts] == [("a", 5), ("b", 50)]


async def test_an_update_applies_to_what_is_pending() -> None:
    async with bench(500, 200) as made:
        made.publish("1")
        await made.run(1)
        made.subscription.settings = made.subscription.settings.model_copy(
            update={"retry_policy": RetryPolicy(event_time_to_live_in_minutes=1)}
        )
        made.clock.advance(120)
        await made.settle()
        assert len(made.subscriber.attempts) == 1
        assert made.count("DroppedEventCount") == 1
