"""Delivers a subscription's events: at once, then on the retry schedule, at last as dead letters."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.eventgrid.due_queue import DueQueue
from local.eventgrid.errors import DeadLetterWriteError
from local.eventgrid.faults import Faults, delays
from local.eventgrid.metrics import SUBSCRIPTION_METRICS, Counters, Failure, FailureLog, Metric
from local.eventgrid.pending import Pending
from local.eventgrid.retries import retry_delay, undeliverable_reason
from local.eventgrid.schemas import dead_letter_form

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from local.eventgrid.clock import Clock
    from local.eventgrid.dead_letters import DeadLetterStore
    from local.eventgrid.destinations import Destinations
    from local.eventgrid.faults import FaultOrder
    from local.eventgrid.options import EventGridOptions
    from local.eventgrid.retries import Outcome
    from local.eventgrid.schemas import AcceptedEvent
    from local.eventgrid.subscriptions import SubscriptionSettings

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class DeliveryParts:
    """What every subscription needs to deliver."""

    clock: Clock
    options: EventGridOptions
    destinations: Destinations
    dead_letters: DeadLetterStore
    randomness: random.Random
    on_settled: Callable[[], None]


class Subscription:
    """A running event subscription.

    Parameters
    ----------
    settings
        How it is set up; may be replaced while it runs.
    parts
        What it delivers with.
    topic_counters
        The counters of the topic, to which its own add up.
    """

    def __init__(self, settings: SubscriptionSettings, parts: DeliveryParts, topic_counters: Counters) -> None:
        self.settings = settings
        self.counters = Counters(SUBSCRIPTION_METRICS, topic_counters)
        self.failures = FailureLog(parts.options.failures_kept)
        self.faults = Faults()
        self.held_bytes = 0
        self._parts = parts
        self._clock = parts.clock
        self._queue: DueQueue[Pending] = DueQueue(parts.clock)
        self._dead: DueQueue[Pending] = DueQueue(parts.clock)
        self._in_flight: dict[Pending, str] = {}
        self._slots = asyncio.Semaphore(parts.options.concurrent_deliveries)
        self._tasks: set[asyncio.Task[None]] = set()
        self._manual_deadline: float | None = None

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def provisioning_state(self) -> str:
        """``Succeeded``, or how the manual validation stands."""
        if self._manual_deadline is None:
            return "Succeeded"
        return "AwaitingManualAction" if time.monotonic() < self._manual_deadline else "Failed"

    def await_manual_validation(self, seconds: float) -> None:
        """Deliver nothing until somebody opens the validation URL, which works for so many real seconds."""
        self._manual_deadline = time.monotonic() + seconds

    def validated(self) -> None:
        """Deliver from now on."""
        self._manual_deadline = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is under way, or is to be dead-lettered."""
        return not (self._queue or self._dead or self._in_flight)

    def pending(self) -> Iterator[dict[str, Any]]:
        """Yield what is not settled: under way first, then by the time of the next attempt."""
        for item, state in self._in_flight.items():
            yield item.shown(state, None)
        for due, item in self._queue:
            yield item.shown("waiting", due)
        for due, item in self._dead:
            yield item.shown("dead-lettering", due)

    # -- work ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver."""
        self._spawn(self._deliver_what_is_due())
        self._spawn(self._dead_letter_what_is_due())

    async def stop(self) -> None:
        """Stop delivering; what is pending is gone, as when the subscription is deleted."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def accept(self, event: AcceptedEvent, topic_faults: Sequence[FaultOrder] = ()) -> bool:
        """Take an event if the subscription is validated and its filter lets the event through.

        Parameters
        ----------
        event
            The event.
        topic_faults
            The ordered faults of the topic that its delivery meets, beside the subscription's own.
        """
        if self.provisioning_state != "Succeeded" or not self.settings.filter.matches(event):
            return False
        self.counters.add(Metric.MATCHED)
        now = self._clock.time()
        orders = [*topic_faults, *self.faults.meet_delivery(event, now)]
        for delay in delays(orders, self._parts.randomness):
            self.held_bytes += event.size
            self._queue.push(Pending(event), now + delay)
        return True

    async def _deliver_what_is_due(self) -> None:
        while True:
            await self._slots.acquire()
            await self._queue.wait_due()
            batch = self._queue.pop_due(self.settings.max_events_per_batch, self._one_request())
            for item in batch:
                self._in_flight[item] = "delivering"
            self._spawn(self._attempt(batch))

    def _one_request(self) -> Callable[[Pending], bool]:
        """Return a test that says of one item after another whether it still belongs into the same request."""
        room = self.settings.preferred_batch_size_in_kilobytes * 1024
        size = 0
        attempts: int | None = None

        def fits(item: Pending) -> bool:
            nonlocal size, attempts
            first = attempts is None
            size += item.event.size
            # Events of one request share one aeg-delivery-count; a single event may be larger than the batch.
            agrees = first or (item.attempts == attempts and size <= room)
            attempts = item.attempts if first else attempts
            return agrees

        return fits

    async def _attempt(self, batch: list[Pending]) -> None:
        try:
            settings = self.settings
            now = self._clock.time()
            ttl = settings.retry_policy.event_time_to_live_in_minutes * 60
            live: list[Pending] = []
            for item in batch:
                if now - item.event.published < ttl:
                    live.append(item)
                else:
                    self._give_up(item, "TimeToLiveExceeded")
            if live:
                outcome = await self._parts.destinations.deliver(
                    settings, [item.event for item in live], live[0].attempts
                )
                self._judge(live, outcome, now)
        finally:
            for item in batch:
                self._in_flight.pop(item, None)
            self._slots.release()
            self._parts.on_settled()

    def _judge(self, batch: list[Pending], outcome: Outcome, attempted: float) -> None:
        for item in batch:
            item.attempts += 1
            item.last_attempt = attempted
            item.last_outcome = outcome
        if outcome.delivered:
            self.counters.add(Metric.DELIVERED, len(batch))
            for item in batch:
                self._settle(item)
            return
        self.counters.add(Metric.ATTEMPT_FAILED, len(batch))
        ids = tuple(item.event.id for item in batch)
        self.failures.add(Failure(self._clock.time(), ids, batch[0].attempts, outcome.name, outcome.detail))
        log.info("%s: attempt %d failed: %s", self.settings.name, batch[0].attempts, outcome.detail)
        for item in batch:
            self._retry_or_give_up(item, outcome)

    def _retry_or_give_up(self, item: Pending, outcome: Outcome) -> None:
        settings = self.settings
        if reason := undeliverable_reason(outcome.status, settings.endpoint_type):
            self._give_up(item, reason)
        elif item.attempts >= settings.retry_policy.max_delivery_attempts:
            self._give_up(item, "MaxDeliveryAttemptsExceeded")
        else:
            delay = retry_delay(item.attempts, outcome.status, settings.endpoint_type)
            delay *= 1 + self._parts.options.jitter * self._parts.randomness.random()
            self._queue.push(item, self._clock.time() + delay)

    def _give_up(self, item: Pending, reason: str) -> None:
        if self.settings.dead_letter is None:
            log.warning("%s: event %s dropped: %s", self.settings.name, item.event.id, reason)
            self._drop(item)
            return
        options = self._parts.options
        now = self._clock.time()
        last = now if item.last_attempt is None else item.last_attempt
        due = max(now, last + options.dead_letter_delay)
        item.dead_letter_reason = reason
        item.drop_at = due + options.dead_letter_patience
        self._dead.push(item, due)

    def _drop(self, item: Pending) -> None:
        self.counters.add(Metric.DROPPED)
        self._settle(item)

    def _settle(self, item: Pending) -> None:
        self.held_bytes -= item.event.size

    # -- dead letters --------------------------------------------------------------------------------------------

    async def _dead_letter_what_is_due(self) -> None:
        while True:
            await self._dead.wait_due()
            batch = self._dead.pop_due(self._parts.options.dead_letters_a_blob)
            for item in batch:
                self._in_flight[item] = "dead-lettering"
            try:
                await self._dead_letter(batch)
            finally:
                for item in batch:
                    self._in_flight.pop(item, None)
                self._parts.on_settled()

    async def _dead_letter(self, batch: list[Pending]) -> None:
        settings = self.settings
        if settings.dead_letter is None:  # taken away by an update in the meantime
            for item in batch:
                self._drop(item)
            return
        schema = settings.event_delivery_schema
        letters = [dead_letter_form(item.event.in_schema(schema), schema, item.facts()) for item in batch]
        try:
            await self._parts.dead_letters.write(settings.dead_letter, settings.name, letters, self._clock.time())
        except DeadLetterWriteError as error:
            log.warning("%s: %s", settings.name, error)
            self._keep_or_drop(batch, str(error))
            return
        self.counters.add(Metric.DEAD_LETTERED, len(batch))
        for item in batch:
            self._settle(item)

    def _keep_or_drop(self, batch: list[Pending], why: str) -> None:
        now = self._clock.time()
        ids = tuple(item.event.id for item in batch)
        self.failures.add(Failure(now, ids, batch[0].attempts, "DeadLetterWriteFailed", why))
        for item in batch:
            if now >= item.drop_at:
                self._drop(item)
            else:
                self._dead.push(item, min(now + self._parts.options.dead_letter_retry, item.drop_at))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("the subscription %s failed unexpectedly", self.settings.name, exc_info=error)
