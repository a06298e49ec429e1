"""Queue triggers: a listener that fetches, leases, runs, and deletes, gives back or poisons messages.

Behaviour as in the Storage Queues extension of the Azure WebJobs SDK: a message is leased for ten minutes, renewed at
half of that while its function runs; what fails becomes visible again after `visibilityTimeout`, and after
`maxDequeueCount` tries its content goes to ``<queue>-poison``. An empty queue is polled after 100 ms, then less and
less often, up to `maxPollingInterval`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, ResourceNotFoundError

from local.host.faults import Kind
from local.host.protocol import TypedData
from local.host.storage import create_if_missing, decode_message

if TYPE_CHECKING:
    from datetime import datetime

    from azure.storage.queue import QueueMessage

    from local.host.faults import Faults
    from local.host.functions import Function
    from local.host.invocations import Invoker
    from local.host.settings import QueueSettings
    from local.host.storage import Queues

FIRST_POLLING_INTERVAL = 0.1
POISON_SUFFIX = "-poison"
_log = logging.getLogger("host.queues")


@dataclass(slots=True)
class _Leased:
    """A fetched message; the receipt changes with each renewal.

    Parameters
    ----------
    ended
        Set when its function has ended.
    settling
        Its end is being reported to the queue.
    given_up
        Unless its function succeeded, the message is left as it is: for `hand_back`, or until its lease ends.
    """

    id: str
    receipt: str
    message: QueueMessage
    text: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    settling: bool = False
    given_up: bool = False

    def settle(self) -> None:
        self.settling = True
        self.ended.set()


class QueueListener:
    """Runs one function on the messages of its queue.

    Parameters
    ----------
    function
        With a queue trigger.
    queues
        Makes the clients.
    settings
        host.json's queues extension.
    invoker
        Runs the function.
    faults
        What is ordered to happen to messages.
    lease
        Seconds a message is leased for, renewed at half of it; above 1.

    Raises
    ------
    SettingsError
        The trigger's connection is not there.
    """

    def __init__(
        self,
        function: Function,
        queues: Queues,
        settings: QueueSettings,
        invoker: Invoker,
        *,
        faults: Faults,
        lease: float,
    ) -> None:
        where = f"Function '{function.name}', binding '{function.trigger['name']}'"
        connection = str(function.trigger.get("connection") or "")
        self.queue_name = str(function.trigger["queueName"])
        self._function = function
        self._settings = settings
        self._invoker = invoker
        self._faults = faults
        self._lease = lease
        self._queue = queues.client(connection, self.queue_name, where)
        self._poison = queues.client(connection, self.queue_name + POISON_SUFFIX, where)
        self._stopping = False
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._working: dict[asyncio.Task[None], _Leased] = {}
        self._given_up: list[tuple[asyncio.Task[None], _Leased]] = []

    @property
    def url(self) -> str:
        """The queue's URL."""
        return str(self._queue.url)

    def notify(self) -> None:
        """Look for messages at once."""
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`listen` after the fetch it may be at: one broken off would leave messages leased and unknown."""
        self._stopping = True
        self._wake.set()
        self._progress.set()

    async def listen(self) -> None:
        """Fetch and run until stopped; storage that is not there is tried again and again."""
        interval = FIRST_POLLING_INTERVAL
        troubled = False
        while not self._stopping:
            # Cleared before the fetch, so that a message announced during it is looked for.
            self._wake.clear()
            try:
                fetched = await self._fetch()
            except AzureError as exc:
                if not troubled:
                    reason = str(exc).splitlines()[0]
                    _log.error("The listener for function 'Functions.%s' cannot read queue '%s' and keeps trying: %s",
                               self._function.name, self.queue_name, reason)  # fmt: skip
                troubled, fetched = True, 0
            else:
                if troubled:
                    _log.info("The listener for function 'Functions.%s' reads its queue again", self._function.name)
                troubled = False
            if fetched:
                interval = FIRST_POLLING_INTERVAL
                await self._until_few_left()
            else:
                if await _set_within(self._wake, interval):
                    interval = FIRST_POLLING_INTERVAL / 2
                interval = min(interval * random.uniform(1.6, 2.4), self._settings.max_polling_interval)  # noqa: S311

    def give_up(self) -> None:
        """Mark the messages in work: those whose functions do not succeed are left leased, not counted as failed."""
        self._given_up = list(self._working.items())
        for _, leased in self._given_up:
            leased.given_up = True

    async def until_settled(self, grace: float) -> None:
        """Wait until no message is in work, `grace` seconds at most."""
        if self._working:
            await asyncio.wait(self._working, timeout=grace)

    async def hand_back(self) -> None:
        """Make the messages given up visible, so that another host takes them at once."""
        for task, leased in self._given_up:
            if not leased.ended.is_set():
                task.cancel()
            await asyncio.wait({task})
            if leased.settling:
                continue
            await self._release(leased)

    async def _release(self, leased: _Leased) -> None:
        with contextlib.suppress(AzureError):
            await self._queue.update_message(leased.id, leased.receipt, visibility_timeout=0)
            _log.info("Message '%s' of queue '%s' was not finished and is handed back", leased.id, self.queue_name)

    async def _fetch(self) -> int:
        """Fetch one batch and start its functions; how many messages there were."""
        try:
            size, lease = self._settings.batch_size, max(1, round(self._lease))
            pages = self._queue.receive_messages(messages_per_page=size, visibility_timeout=lease).by_page()
            # One page is one request; iterating over all would ask until the queue is empty.
            messages = [message async for message in await anext(pages)]
        except StopAsyncIteration:
            return 0
        except ResourceNotFoundError:
            await create_if_missing(self._queue)
            return 0
        for message in messages:
            leased = _Leased(message.id, str(message.pop_receipt), message, str(message.content))
            if self._stopping:
                await self._release(leased)
                continue
            task = asyncio.create_task(self._process(leased))
            self._working[task] = leased
            task.add_done_callback(self._worked)
        return len(messages)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._working.pop(task, None)
        self._progress.set()
        if not task.cancelled() and (exception := task.exception()) is not None:
            _log.error("A message of queue '%s' was left to its lease", self.queue_name, exc_info=exception)

    async def _until_few_left(self) -> None:
        while len(self._working) > self._settings.new_batch_threshold and not self._stopping:
            self._progress.clear()
            await self._progress.wait()

    async def _process(self, leased: _Leased) -> None:
        count = leased.message.dequeue_count or 1
        fault = self._faults.meet(self.queue_name)
        if fault is not None:
            _log.warning("Ordered fault %d, %s: message '%s' of queue '%s', DequeueCount %d",
                         fault.id, fault.kind, leased.id, self.queue_name, count)  # fmt: skip
            if fault.kind is Kind.NOT_RUN:
                return
        if fault is not None or count > self._settings.max_dequeue_count:
            # Without a fault: it was dequeued often enough, and its last lease ended without an outcome.
            leased.settle()
            await self._to_poison(leased)
            return
        try:
            content = decode_message(leased.text, self._settings.message_encoding)
        except ValueError:
            _log.error("Message '%s' of queue '%s' is not base64, as host.json's messageEncoding wants it",
                       leased.id, self.queue_name)  # fmt: skip
            leased.settle()
            await self._to_poison(leased)
            return
        renewal = asyncio.create_task(self._renew(leased))
        try:
            succeeded = await self._run(leased, content)
        finally:
            # Ended, not cancelled: a renewal broken off would leave the message under an unknown receipt.
            leased.ended.set()
            await asyncio.wait({renewal})
        if leased.given_up and not succeeded:
            return
        leased.settle()
        await self._settle(leased, succeeded=succeeded, count=count)

    async def _run(self, leased: _Leased, content: str | bytes) -> bool:
        message = leased.message
        inserted = _moment(message.inserted_on)
        outcome = await self._invoker.run(
            self._function,
            TypedData(string=content) if isinstance(content, str) else TypedData(bytes=content),
            reason=f"New queue message detected on '{self.queue_name}'.",
            details=f"MessageId: {leased.id}, DequeueCount: {message.dequeue_count}, InsertionTime: {inserted}",
            metadata={
                "QueueTrigger": TypedData(json=json.dumps(content if isinstance(content, str) else leased.text)),
                "Id": TypedData(json=json.dumps(leased.id)),
                "DequeueCount": TypedData(json=json.dumps(message.dequeue_count)),
                "PopReceipt": TypedData(json=json.dumps(leased.receipt)),
                "InsertionTime": TypedData(json=json.dumps(inserted)),
                "ExpirationTime": TypedData(json=json.dumps(_moment(message.expires_on))),
                "NextVisibleTime": TypedData(json=json.dumps(_moment(message.next_visible_on))),
            },
        )
        return outcome.error is None

    async def _settle(self, leased: _Leased, *, succeeded: bool, count: int) -> None:
        try:
            if succeeded:
                await self._queue.delete_message(leased.id, leased.receipt)
            elif count >= self._settings.max_dequeue_count:
                await self._to_poison(leased)
            else:
                delay = round(self._settings.visibility_timeout)
                await self._queue.update_message(leased.id, leased.receipt, visibility_timeout=delay)
        except ResourceNotFoundError:
            _log.warning("Message '%s' of queue '%s' is gone or was taken by another host before its function ended",
                         leased.id, self.queue_name)  # fmt: skip

    async def _to_poison(self, leased: _Leased) -> None:
        poison = self.queue_name + POISON_SUFFIX
        limit = self._settings.max_dequeue_count
        _log.warning("Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.", limit, poison)
        try:
            await self._poison.send_message(leased.text)
        except ResourceNotFoundError:
            await create_if_missing(self._poison)
            await self._poison.send_message(leased.text)
        await self._queue.delete_message(leased.id, leased.receipt)

    async def _renew(self, leased: _Leased) -> None:
        while not await _set_within(leased.ended, self._lease / 2):
            try:
                renewed = await self._extend(leased)
            except ResourceNotFoundError:
                return
            except AzureError as exc:
                _log.warning("The lease of message '%s' was not renewed: %s", leased.id, str(exc).splitlines()[0])
            else:
                _log.debug("Renewed the lease of message '%s' until %s", leased.id, renewed)

    async def _extend(self, leased: _Leased) -> str:
        updated = await self._queue.update_message(
            leased.id, leased.receipt, visibility_timeout=max(1, round(self._lease))
        )
        leased.receipt = str(updated.pop_receipt)
        return _moment(updated.next_visible_on)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event`, `seconds` at most; whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _moment(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""
