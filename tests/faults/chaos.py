"""Many recordings at once while everything fails at random: a plan made from a seed, and what came of it.

The same seed gives the same recordings, faults and kills. When each is met depends on the machine: kills come at
numbers of requests to storage, not at times, so that a slow machine is hit as often as a quick one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from local.acs.faults import FaultKind, FaultOrder
from local.eventgrid.errors import EventGridError
from shared.names import safe_name
from tests.faults.cells import SPOTS, Stage
from tests.faults.inspection import all_differences, complete_count
from tests.faults.storage_proxy import Operation, StorageFault, When

if TYPE_CHECKING:
    from pathlib import Path

    from local.functions_host import FunctionsHost
    from tests.faults.arena import Arena

DELIVERIES = 3
"""How often each event is delivered."""

SWEEP_EVERY = 8.0
"""Seconds between two sweeps; in Azure five minutes."""

REQUESTS_A_RECORDING = 25
"""About how many requests to storage one takes, to spread the kills over the run."""

_SIZES = (20_000, 60_000, 150_000, 400_000, 1_300_000)
_SHARES = (30, 30, 20, 15, 5)
_SOURCE_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "503"},
    {"kind": "429", "retryAfter": 1},
    {"kind": "500"},
    {"kind": "401"},
    {"kind": "404"},
    {"kind": "html", "status": 200},
    {"kind": "html", "status": 400},
    {"kind": "empty"},
    {"kind": "reset"},
    {"kind": "cut", "afterBytes": 60},
    {"kind": "stall", "stallSeconds": 1},
    {"kind": "latency", "latencySeconds": 0.3},
    {"kind": "redirect"},
    {"kind": "wrong-length", "delta": 20},
    {"kind": "ignore-range"},
    {"kind": "range-200"},
)
# 403 comes back at once; after 5xx and resets the SDK waits 15 s, which is what most of a run's time is spent on.
_STORAGE_FAULTS: tuple[tuple[int | None, When], ...] = (
    (403, When.BEFORE),
    (403, When.BEFORE),
    (429, When.BEFORE),
    (500, When.BEFORE),
    (500, When.AFTER),
    (503, When.AFTER),
    (None, When.BEFORE),
    (None, When.AFTER),
)
_STAGES = tuple(SPOTS)


@dataclass(frozen=True, slots=True)
class PlannedRecording:
    """A recording, how it is announced, and what goes wrong with it.

    Attributes
    ----------
    source
        Faults of the service, each with the index of the chunk that it is for.
    storage
        Faults of the archive's storage.
    """

    wanted: dict[str, Any]
    form: dict[str, Any]
    source: tuple[tuple[int, dict[str, Any]], ...]
    storage: tuple[tuple[Stage, int | None, When], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done in one run.

    Attributes
    ----------
    kills
        After how many requests to storage which of the two hosts is killed.
    """

    seed: int
    recordings: tuple[PlannedRecording, ...]
    kills: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, seed: int, *, recordings: int, kills: int) -> Plan:
        """Make the plan of a seed."""
        random = Random(seed)
        planned = tuple(_recording(random) for _ in range(recordings))
        last = recordings * REQUESTS_A_RECORDING
        moments = sorted(random.randint(last // 20, last) for _ in range(kills))
        return cls(seed, planned, tuple((moment, random.randrange(2)) for moment in moments))


def _recording(random: Random) -> PlannedRecording:
    chunks = random.choices((1, 2, 3), (70, 20, 10))[0]
    wanted = {
        "chunks": chunks,
        "format": random.choice(("mp3", "wav")),
        "durationSeconds": 0.5 * chunks,
        "sizeBytes": random.choices(_SIZES, _SHARES)[0],
    }
    form = {
        "delivery": random.choice(("merged", "per-chunk")),
        "shuffle": True,
        "duplicates": DELIVERIES - 1,
        "payload": random.choice(("current", "current", "2021")),
        "delaySeconds": random.choice((0, 0, 5, 30)),
    }
    source = []
    for index in range(chunks):
        if random.random() < 0.3:
            fault = random.choice(_SOURCE_FAULTS)
            target = random.choice(("content", "metadata"))
            source.append((index, {**fault, "target": target, "times": random.choice((1, 1, 2, 3))}))
    storage = []
    if random.random() < 0.15:
        storage.append((random.choice(_STAGES), *random.choice(_STORAGE_FAULTS)))
    return PlannedRecording(wanted, form, tuple(source), tuple(storage))


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
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    differences: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add another run."""
        for name in ("recordings", "chunks", "bytes", "requests", "kills", "retries", "suppressed", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.differences |= other.differences


class Chaos:
    """Runs plans on a stack with two hosts."""

    def __init__(self, arena: Arena, hosts: tuple[FunctionsHost, FunctionsHost]) -> None:
        self._arena = arena
        self._hosts = hosts
        self._locks = {host: asyncio.Lock() for host in hosts}
        self._restarts: set[asyncio.Task[None]] = set()
        self._kills = 0
        self._complete = 0

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
            await self._settle(len(truths), patience - (time.monotonic() - began))
        finally:
            arena.proxy.on_request = None
            sweeping.cancel()
            await asyncio.gather(sweeping, *self._restarts, return_exceptions=True)
        faults = Counter[str]()
        for fault in arena.stack.acs.faults.all():
            faults[f"service {_told(fault.order)}"] += fault.hits
        faults += arena.proxy.hits
        arena.stack.acs.faults.clear()
        arena.proxy.clear()
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
            differences=await all_differences(arena.container, truths),
        )

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

    async def _settle(self, more: int, patience: float) -> None:
        self._complete += more
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while await complete_count(self._arena.container) < self._complete:
                    await asyncio.sleep(0.5)


def _told(order: FaultOrder) -> str:
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
    """What the hosts' logs tell."""

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
