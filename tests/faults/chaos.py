"""Many recordings at once while everything fails at random: a plan made from a seed, and what came of it.

The same seed gives the same recordings, faults and kills. When each is met depends on the machine: kills come at
numbers of requests to storage, not at times, so that a slow machine is hit as often as a quick one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from local.acs.faults import FaultKind, FaultOrder
from local.eventgrid.errors import EventGridError
from local.eventgrid.faults import FaultOrder as TopicFaultOrder
from shared.core.blob_names import safe_name
from tests.faults.aftermath import ARCHIVED, Aftermath, announcements
from tests.faults.cell import SPOTS
from tests.faults.inspection import Inventory, all_differences, complete_count
from tests.faults.storage_proxy import Operation, StorageFault

if TYPE_CHECKING:
    from pathlib import Path

    from local.functions_host import FunctionsHost
    from tests.faults.arena import Arena
    from tests.faults.plan import Plan

SWEEP_EVERY = 8.0
"""Seconds between two sweeps; in Azure five minutes."""


@dataclass(slots=True)
class Tally:
    """What came of one run, or of several.

    Attributes
    ----------
    faults
        Faults that were met, by kind.
    retries
        Tries of chunks that failed and were put off.
    suppressed
        Work that came twice and was recognised: chunks archived already, blobs written already.
    announced, announced_again
        Recordings that were announced as archived, and announcements that were repeated.
    deleted
        Chunks that the service has deleted, each after it was archived.
    unknown
        Manifests of recordings that were not made.
    differences
        By recordingId; empty when nothing is lost.
    """

    recordings: int = 0
    chunks: int = 0
    bytes: int = 0
    requests: int = 0
    kills: int = 0
    retries: int = 0
    suppressed: int = 0
    announced: int = 0
    announced_again: int = 0
    deleted: int = 0
    unknown: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    differences: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add another run."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.differences |= other.differences


_NUMBERS = tuple(one.name for one in fields(Tally) if one.name not in {"faults", "differences"})


class Chaos:
    """Runs plans on a stack with two hosts, whose app deletes what it has archived."""

    def __init__(self, arena: Arena, hosts: tuple[FunctionsHost, FunctionsHost]) -> None:
        self._arena = arena
        self._hosts = hosts
        self._locks = {host: asyncio.Lock() for host in hosts}
        self._restarts: set[asyncio.Task[None]] = set()
        self._kills = 0
        self._made = 0

    async def run(self, plan: Plan, patience: float) -> Tally:
        """Run a plan, and return what came of it once everything is archived or `patience` seconds are over."""
        began = time.monotonic()
        arena = self._arena
        before, kills, log = arena.proxy.requests, self._kills, _Log.of(arena.stack.logs)
        there_already = _there_already(arena)
        truths = await arena.recordings([recording.wanted for recording in plan.recordings])
        self._order(plan, truths)
        self._arm(plan, arena.proxy.requests)
        sweeping = asyncio.create_task(self._sweep())
        try:
            for recording, truth in zip(plan.recordings, truths, strict=True):
                await arena.announce(truth, **recording.form)
            await self._settle(plan, truths, patience - (time.monotonic() - began))
        finally:
            arena.proxy.on_request = None
            sweeping.cancel()
            await asyncio.gather(sweeping, *self._restarts, return_exceptions=True)
        faults = Counter[str]()
        for fault in arena.stack.acs.faults.all():
            faults[f"service {_fault_name(fault.order)}"] += fault.hits
        for topic_fault in arena.topic_faults.all():
            faults[f"topic {topic_fault.order.status or topic_fault.order.kind}"] += topic_fault.hits
        faults += arena.proxy.hits
        arena.clear_faults()
        inventory = await Inventory.of(arena.container)
        heard = announcements(arena)
        mine = [
            events for prefix, events in heard.items() if prefix in {inventory.prefix_of(truth) for truth in truths}
        ]
        written = _Log.of(arena.stack.logs)
        return Tally(
            recordings=len(truths),
            chunks=sum(len(truth["chunks"]) for truth in truths),
            bytes=sum(chunk["contentLength"] for truth in truths for chunk in truth["chunks"]),
            requests=arena.proxy.requests - before,
            kills=self._kills - kills,
            retries=written.retries - log.retries,
            suppressed=written.suppressed - log.suppressed + _there_already(arena) - there_already,
            seconds=time.monotonic() - began,
            faults=+faults,
            announced=len(mine),
            announced_again=sum(len(events) - 1 for events in mine),
            deleted=sum(arena.is_gone(chunk["documentId"]) for truth in truths for chunk in truth["chunks"]),
            unknown=len(inventory.manifests) - self._made,
            differences=await self._differences(plan, truths, inventory),
        )

    async def _differences(
        self, plan: Plan, truths: list[dict[str, Any]], inventory: Inventory
    ) -> dict[str, list[str]]:
        """Return, by recordingId, what is lost or wrong of it, and what should have followed and did not."""
        found = await all_differences(inventory, truths)
        for recording, truth in zip(plan.recordings, truths, strict=True):
            aftermath = Aftermath.of(self._arena, inventory, truth, deletes=recording.deletes)
            if aftermath.wrong or aftermath.unfinished:
                found.setdefault(truth["recordingId"], []).extend([*aftermath.wrong, *aftermath.unfinished])
        return found

    def _order(self, plan: Plan, truths: list[dict[str, Any]]) -> None:
        for recording, truth in zip(plan.recordings, truths, strict=True):
            for index, fault in recording.source:
                order = {**fault, "documentId": truth["chunks"][index]["documentId"]}
                self._arena.stack.acs.faults.add(FaultOrder.model_validate(order))
            for stage, status, when in recording.storage:
                spot = SPOTS[stage]
                ids = {
                    "recording": safe_name(truth["recordingId"]),
                    "call": safe_name(truth["callId"]),
                    "document": truth["chunks"][0]["documentId"],
                }
                self._arena.proxy.order(
                    StorageFault(
                        operation=spot.operation,
                        needle=spot.needle.format(**ids),
                        status=status,
                        when=when,
                        passing=spot.passing,
                    )
                )
            for topic in recording.topic:
                wanted = {"includedEventTypes": [ARCHIVED], "subjectEndsWith": f"/{safe_name(truth['recordingId'])}"}
                self._arena.topic_faults.add(TopicFaultOrder.model_validate({**topic, "filter": wanted}))

    def _arm(self, plan: Plan, already: int) -> None:
        """Kill hosts when so many requests have come in."""
        kills = list(plan.kills)

        def look(requests: int) -> None:
            while kills and requests - already >= kills[0][0]:
                _, which = kills.pop(0)
                task = asyncio.create_task(self._kill(self._hosts[which]))
                self._restarts.add(task)
                task.add_done_callback(self._restarts.discard)

        self._arena.proxy.on_request = look

    async def _kill(self, host: FunctionsHost) -> None:
        [other] = [one for one in self._hosts if one is not host]
        async with self._locks[host]:
            self._kills += 1
            await host.kill()
            # As the platform's front end does: what comes goes to an instance that is there.
            if other.running:
                await self._deliver_to(other)
            await host.start()
            if not other.running:
                await self._deliver_to(host)

    async def _deliver_to(self, host: FunctionsHost) -> None:
        with contextlib.suppress(EventGridError):  # it was killed in this moment: its own kill sees to it
            await self._arena.stack.subscribe(host=host)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self._arena.sweep(self._hosts[1])

    async def _settle(self, plan: Plan, truths: list[dict[str, Any]], patience: float) -> None:
        """Wait until all is archived, announced and deleted, or the time is over."""
        self._made += len(truths)
        doomed = [
            chunk["documentId"]
            for recording, truth in zip(plan.recordings, truths, strict=True)
            if recording.deletes
            for chunk in truth["chunks"]
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not all(self._arena.is_gone(document) for document in doomed):
                    await asyncio.sleep(0.3)
                while await complete_count(self._arena.container) < self._made:
                    await asyncio.sleep(0.5)
                while any((await self._differences(plan, truths, await Inventory.of(self._arena.container))).values()):
                    await asyncio.sleep(1)


def _fault_name(order: FaultOrder) -> str:
    match order.kind:
        case FaultKind.STATUS:
            return str(order.status)
        case FaultKind.HTML:
            return f"page with {order.status}"
        case kind:
            return kind.value


def _there_already(arena: Arena) -> int:
    """How many blobs were to be written that were there."""
    writes = (Operation.PUT_BLOB, Operation.PUT_BLOCK_LIST)
    return sum(arena.proxy.answers[operation, 409] for operation in writes)


@dataclass(frozen=True, slots=True)
class _Log:
    """What the hosts' logs contain."""

    retries: int
    suppressed: int

    @classmethod
    def of(cls, folder: Path) -> _Log:
        lines = Counter[str]()
        for log in folder.glob("functions-*.log"):
            with log.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    lines.update(name for name in ("chunk.postponed", "chunk.already_archived") if name in line)
        return cls(lines["chunk.postponed"], lines["chunk.already_archived"])
