"""Runs the fault matrix: every cell has a recording of its own, and many go through the stack at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from local.acs.faults import FaultOrder
from local.eventgrid.faults import FaultOrder as TopicFaultOrder
from shared.core.blob_names import safe_name
from tests.faults.aftermath import ARCHIVED, Aftermath
from tests.faults.cell import SPOTS, Cell, Family, Outcome, Stage
from tests.faults.inspection import Inventory, each
from tests.faults.storage_proxy import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local.acs.ordered import Fault
    from local.eventgrid.faults import Fault as TopicFault
    from tests.faults.arena import Arena

LOG = logging.getLogger(__name__)

PATIENCE = 150.0
"""Seconds in which what recovers automatically has to be archived."""

AFTERWARDS = 60.0
"""Seconds in which what waits has to be archived once its fault is gone."""

CALLS_AT_ONCE = 12

STRIKE = 15.0
"""Seconds in which a host has to come to the point where it is killed."""


@dataclass(slots=True)
class Result:
    """What came of a cell.

    Attributes
    ----------
    outcome
        None where the recording was lost, or differs.
    hits
        How often the fault was met.
    notes
        What was found.
    """

    cell: Cell
    outcome: Outcome | None = None
    hits: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Trial:
    """A cell while it runs."""

    cell: Cell
    truth: dict[str, Any]
    count: Callable[[], int] = lambda: 0
    restarted: asyncio.Event = field(default_factory=asyncio.Event)
    reported: bool = False
    notes: list[str] = field(default_factory=list)


async def run_matrix(arena: Arena, cells: Iterable[Cell]) -> list[Result]:
    """Run cells, and return what came of each. Those of crashes and the others get a stack each: a crash hits all."""
    ran = {result.cell.name + result.cell.family: result for result in await _Matrix(arena).run(list(cells))}
    return [ran[cell.name + cell.family] for cell in cells]


class _Matrix:
    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._restarting = asyncio.Lock()

    async def run(self, cells: list[Cell]) -> list[Result]:
        began = time.monotonic()
        made = [cell for cell in cells if cell.family is not Family.CONTROL]
        truths = await self._arena.recordings([cell.wanted for cell in made])
        LOG.info("%d recordings were made after %.0f s", len(made), time.monotonic() - began)
        trials = [_Trial(cell, truth) for cell, truth in zip(made, truths, strict=True)]
        for trial in trials:
            trial.count = self._order(trial)
        calls = asyncio.create_task(self._control([cell for cell in cells if cell.family is Family.CONTROL]))
        # Tries get rarer: what is to go on by itself in the end begins last, and does not have to be waited for then.
        last = [trial for trial in trials if trial.cell.outcome is Outcome.UNFINISHED]
        for trial in sorted((trial for trial in trials if trial not in last), key=_slow_first):
            await self._arena.announce(trial.truth, **trial.cell.form)
            if trial.cell.family is Family.CRASH:
                await self._struck(trial)
        LOG.info("they were announced after %.0f s", time.monotonic() - began)
        trials += await calls
        await self._settle([trial for trial in trials if trial not in last], PATIENCE)
        for trial in last:
            await self._arena.announce(trial.truth, **trial.cell.form)
        await self._settle(last, PATIENCE)
        LOG.info("%d cells had settled after %.0f s", len(trials), time.monotonic() - began)
        results = await self._judge(trials)
        LOG.info("%d cells were judged after %.0f s", len(trials), time.monotonic() - began)
        return results

    # Ordering faults

    def _order(self, trial: _Trial) -> Callable[[], int]:
        cell, truth = trial.cell, trial.truth
        document = truth["chunks"][0]["documentId"]
        match cell.family:
            case Family.FOLLOWING if cell.stage is Stage.TOPIC:
                wanted = {"includedEventTypes": [ARCHIVED], "subjectEndsWith": f"/{safe_name(truth['recordingId'])}"}
                return _hits(
                    self._arena.topic_faults.add(TopicFaultOrder.model_validate({**cell.order, "filter": wanted}))
                )
            case Family.SOURCE | Family.FOLLOWING:
                fault = self._arena.stack.acs.faults.add(
                    FaultOrder.model_validate({**cell.order, "documentId": document})
                )
                return _hits(fault)
            case Family.STORAGE | Family.CRASH:
                spot = SPOTS[cell.stage]
                ids = {
                    "recording": safe_name(truth["recordingId"]),
                    "call": safe_name(truth["callId"]),
                    "document": document,
                }
                ordered = self._arena.proxy.order(
                    StorageFault(
                        operation=spot.operation,
                        needle=spot.needle.format(**ids),
                        status=cell.status,
                        when=cell.when,
                        times=cell.times,
                        passing=spot.passing,
                        strike=partial(self._crash, trial) if cell.family is Family.CRASH else None,
                        spoils=cell.spoils,
                    )
                )
                return lambda: ordered.hits
            case _:
                return lambda: 1

    async def _crash(self, trial: _Trial) -> None:
        async with self._restarting:
            await self._arena.stack.kill_host()
            await self._arena.stack.start_host()
        trial.restarted.set()

    async def _struck(self, trial: _Trial) -> None:
        """Wait until the host was killed, is back, and has the orders again that it had when it was killed.

        Kills in quick succession would only test Event Grid's patience.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STRIKE):
                await trial.restarted.wait()
        await self._arena.stack.eventgrid.wait_until_idle(STRIKE)

    # Recordings that are made through the app

    async def _control(self, cells: list[Cell]) -> list[_Trial]:
        slots = asyncio.Semaphore(CALLS_AT_ONCE)

        async def one(cell: Cell) -> _Trial:
            async with slots:
                return await self._call(cell)

        # Faults of the API meet whoever comes first. All that are survived may; the others have to be met alone.
        survived = [cell for cell in cells if cell.outcome is Outcome.ARCHIVED]
        trials = await asyncio.gather(*(one(cell) for cell in survived))
        return [*trials, *[await self._call(cell) for cell in cells if cell not in survived]]

    async def _call(self, cell: Cell) -> _Trial:
        """Record a call through the app, with the fault ordered just before its step."""
        async with self._arena.control.post("calls", json={"participants": ["8:acs:a", "8:acs:b"]}) as answer:
            call = await answer.json()
        trial = _Trial(cell, {"recordingId": "", "chunks": []})
        body = {"serverCallId": call["serverCallId"], "recordingContentType": "audio", "recordingFormatType": "mp3"}
        for step in ("start", "get", "pause", "get", "resume", "stop"):
            if step == cell.stage and trial.truth is not None and trial.count() == 0:
                fault = self._arena.stack.acs.faults.add(FaultOrder.model_validate(cell.order))
                trial.count = _hits(fault)
            status, said = await self._step(step, trial.truth["recordingId"], body)
            # Where the answer to stop is lost on a connection that was in use before, aiohttp asks again by itself, and
            # the answer is that the recording has ended: it was stopped, and must be archived.
            if status >= 400 and (step, status) != ("stop", HTTPStatus.CONFLICT):
                trial.reported = "type" in said and cell.outcome is Outcome.REPORTED
                trial.notes.append(f"{step} was answered {status}: {said.get('detail')}")
                return trial
            trial.truth["recordingId"] = said.get("recordingId") or trial.truth["recordingId"]
            if cell.outcome is Outcome.REPORTED:
                return await self._failed(trial)
            await self._arena.stack.clock.sleep(2)
        trial.truth = await self._truth(trial.truth["recordingId"])
        return trial

    async def _step(self, step: str, recording_id: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        path = f"recordings/{quote(recording_id, safe='')}"
        match step:
            case "start":
                request = self._arena.app.post("recordings", json=body)
            case "get":
                request = self._arena.app.get(path)
            case _:
                request = self._arena.app.post(f"{path}/{step}")
        async with request as answer:
            said: dict[str, Any] = await answer.json(content_type=None)
            return answer.status, said

    async def _failed(self, trial: _Trial) -> _Trial:
        """Wait until the app says that a recording has failed."""
        end = time.monotonic() + 15
        while time.monotonic() < end and not trial.reported:
            _, said = await self._step("get", trial.truth["recordingId"], {})
            trial.reported = said.get("state") == "failed"
            await asyncio.sleep(0.1)
        trial.notes.append(f"the app says that it is {said.get('state')}")
        return trial

    async def _truth(self, recording_id: str) -> dict[str, Any]:
        """Wait until the service has made the files, and return the truth about them."""
        while True:
            async with self._arena.control.get(f"recordings/{quote(recording_id, safe='')}") as answer:
                truth: dict[str, Any] = await answer.json()
            if truth["chunks"]:
                return truth
            await asyncio.sleep(0.1)

    # What came of it

    async def _settle(self, trials: list[_Trial], patience: float) -> None:
        """Wait until there is of these what there has to be, or the time is over."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            # Looking through the archive is dear, so it comes last.
            if all((trial.count() or trial.reported) and self._may_be_settled(trial) for trial in trials):
                inventory = await Inventory.of(self._arena.container)
                if all([await self._is_settled(trial, inventory) for trial in trials]):
                    return
            await asyncio.sleep(0.3)

    def _may_be_settled(self, trial: _Trial) -> bool:
        """Whether nothing that can be seen without looking through the archive is missing."""
        waited_for = trial.cell.outcome is Outcome.ARCHIVED and trial.cell.deletes
        return not waited_for or self._is_gone(trial)

    def _is_gone(self, trial: _Trial) -> bool:
        return all(self._arena.is_gone(chunk["documentId"]) for chunk in trial.truth["chunks"])

    async def _is_settled(self, trial: _Trial, inventory: Inventory) -> bool:
        match trial.cell.outcome:
            case Outcome.ARCHIVED:
                ended = inventory.is_complete(trial.truth) and not self._aftermath(trial, inventory).unfinished
                return ended or not trial.truth["chunks"]  # nothing comes of a call whose recording failed
            case Outcome.UNFINISHED:
                return inventory.is_complete(trial.truth) and await self._tries(trial) > 0
            case Outcome.WAITING:
                return inventory.prefix_of(trial.truth) is not None
            case _:
                return True

    def _aftermath(self, trial: _Trial, inventory: Inventory) -> Aftermath:
        return Aftermath.of(self._arena, inventory, trial.truth, deletes=trial.cell.deletes)

    async def _tries(self, trial: _Trial) -> int:
        """Return how many tries have failed, as the app says to whoever asks."""
        path = f"recordings/{quote(trial.truth['recordingId'], safe='')}"
        async with self._arena.app.get(path) as answer:
            said: dict[str, Any] = await answer.json()
        return sum(chunk["tries"] for chunk in said["chunks"])

    async def _judge(self, trials: list[_Trial]) -> list[Result]:
        before = await Inventory.of(self._arena.container)
        await self._arena.sweep_in(timedelta(minutes=20))
        findings = await self._arena.findings()
        refused = await self._refused_events({finding["id"] for finding in findings})
        results = [Result(trial.cell, hits=trial.count(), notes=trial.notes) for trial in trials]

        async def look(trial_and_result: tuple[_Trial, Result]) -> None:
            trial, result = trial_and_result
            prefix = before.prefix_of(trial.truth)
            about = _about(trial, findings, prefix, refused)
            result.notes += [f"{finding['kind']}: {finding['reason']}" for finding in about]
            result.outcome = await self._verdict(trial, before, {finding["kind"] for finding in about}, result.notes)

        judged = list(zip(trials, results, strict=True))
        await each(judged, look)
        waiting = [pair for pair in judged if pair[1].outcome in {Outcome.WAITING, Outcome.UNFINISHED}]
        after = await self._relieve([trial for trial, _ in waiting])
        for trial, result in waiting:
            aftermath = self._aftermath(trial, after)
            if found := [*await after.differences(trial.truth), *aftermath.wrong, *aftermath.unfinished]:
                result.outcome = None
                result.notes += [f"after the fault was gone: {difference}" for difference in found]
        return results

    async def _verdict(self, trial: _Trial, inventory: Inventory, kinds: set[str], notes: list[str]) -> Outcome | None:
        """Say what has come of a trial so far, whatever was expected; `kinds` are those of the findings about it."""
        if trial.reported:
            return Outcome.REPORTED
        aftermath = self._aftermath(trial, inventory)
        wrong = list(aftermath.wrong)
        if inventory.is_complete(trial.truth):
            wrong += await inventory.differences(trial.truth)
            outcome = await self._after_archiving(trial, aftermath, kinds, notes)
        elif kinds & {"chunk", "event"}:
            outcome = Outcome.REFUSED
        elif "waiting" in kinds:
            outcome = Outcome.WAITING
        else:
            wrong.append("it is neither archived nor on the operator's list")
        notes += wrong
        return None if wrong else outcome

    async def _after_archiving(
        self, trial: _Trial, aftermath: Aftermath, kinds: set[str], notes: list[str]
    ) -> Outcome | None:
        if not aftermath.unfinished:
            # Of what has recovered automatically nothing is left over, not even an incident.
            return None if notes else Outcome.ARCHIVED
        notes += aftermath.unfinished
        if "chunk" in kinds:
            return Outcome.REFUSED
        return Outcome.UNFINISHED if await self._tries(trial) else None

    async def _relieve(self, waiting: list[_Trial]) -> Inventory:
        """Take the faults back, and return the archive when what waited is done, with the help of the sweep only."""
        self._arena.clear_faults()
        await self._arena.sweep_in(timedelta(minutes=40))
        end = time.monotonic() + AFTERWARDS
        while True:
            over = time.monotonic() > end
            if over or all(self._is_gone(trial) for trial in waiting):
                inventory = await Inventory.of(self._arena.container)
                if over or all(
                    inventory.is_complete(trial.truth) and not self._aftermath(trial, inventory).unfinished
                    for trial in waiting
                ):
                    return inventory
            await asyncio.sleep(0.3)

    async def _refused_events(self, keys: set[str]) -> dict[str, str]:
        """Return the findings' keys by the recordingIds of the refused events they are about."""
        found = {}
        for key in sorted(key for key in keys if key.startswith("event.")):
            stream = await self._arena.container.download_blob(f"attention/{key}.json")
            event = json.loads(await stream.readall())["event"]
            found[event["data"]["recordingId"]] = key
        return found


def _hits(fault: Fault | TopicFault) -> Callable[[], int]:
    return lambda: fault.hits


def _slow_first(trial: _Trial) -> bool:
    """Sort first what is cut by time alone, so that the others go on meanwhile."""
    kind, seconds = trial.cell.order.get("kind"), trial.cell.order.get("latencySeconds", 0)
    return not ((kind == "stall" and "stallSeconds" not in trial.cell.order) or seconds > STRIKE)


def _about(
    trial: _Trial, findings: list[dict[str, Any]], prefix: str | None, refused: dict[str, str]
) -> list[dict[str, Any]]:
    documents = {chunk["documentId"] for chunk in trial.truth["chunks"]}
    return [
        finding
        for finding in findings
        if finding["id"] == refused.get(trial.truth["recordingId"])
        or (prefix is not None and finding.get("prefix") == prefix)
        or finding.get("documentId") in documents
    ]
