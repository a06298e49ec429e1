"""Cases that run the whole app on the local stack, or only load it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from bench.counting import counting
from bench.indexing import EMPTY_APP
from bench.processes import Usage, forget_peak
from bench.runs import RunFailed
from bench.services import PROJECT
from local import ports
from local.provisioning import ARCHIVE_CONTAINER, CHUNK_QUEUE
from local.stack import EVENT_FUNCTION, Stack, StackOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from local.functions_host import FunctionsHost

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
COUNTED = 50
"""Recordings whose storage requests are counted; the proxy that counts would slow down the rest."""

HOSTS_RATE = 1_000_000
"""Bytes a second for each connection in the case of several hosts: so few that the machine is not what limits them."""

_PATIENCE = 300.0

type Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender showed in one round.

    Attributes
    ----------
    contender
        Who.
    wall_s, cpu_s
        Seconds; CPU seconds of the app's processes.
    peak_mib
        Peak memory of the app's largest process above what it held when idle.
    size
        Bytes that were archived.
    requests
        To storage, where they were counted.
    more
        Figures that only this case has.
    """

    contender: str
    wall_s: float
    cpu_s: float | None = None
    peak_mib: float | None = None
    size: int = 0
    requests: int | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppCase:
    """A case of the whole app.

    Attributes
    ----------
    name, title
        What it is called, and what it is.
    run
        One round.
    """

    name: str
    title: str
    run: Callable[[Path, bool, Report], AsyncIterator[Outcome]]


async def small(folder: Path, quick: bool, report: Report) -> AsyncIterator[Outcome]:
    """Announce many small recordings at once, and wait until all are archived; then count requests for a few."""
    count, size = (100 if quick else 1000), 200 * KIB
    async with _stack(folder) as stack:
        warm = await _warm_up(stack, 1)
        made = await _record(stack, count, size)
        pid = _pid(stack.host)
        before = Usage.of(pid)
        forget_peak(pid)
        began = time.perf_counter()
        await _announce(stack, made)
        await _until_archived(stack)
        wall = time.perf_counter() - began
        after = Usage.of(pid)
        await _check(stack, warm + count)
        report(f"{count} recordings in {wall:.1f} s: {count / wall:.1f} a second")
        asked = await _count_requests(stack, size)
        report(f"{sum(asked.values()):g} storage requests a recording")
    yield Outcome(
        "ours",
        wall,
        after.cpu_s - before.cpu_s,
        after.peak_mib - before.mib,
        count * size,
        round(sum(asked.values()) * count),
        {
            "recordings": count,
            "recordings_s": round(count / wall, 1),
            "requests_per_recording": round(sum(asked.values()), 2),
            "requests_by_kind": asked,
        },
    )


async def events(folder: Path, quick: bool, report: Report) -> AsyncIterator[Outcome]:
    """Post many events to the app's webhook at once, each in a request of its own, and time the answers."""
    count = 100 if quick else 1000
    async with _stack(folder) as stack:
        warm = await _warm_up(stack, 1)
        posted = await _events(stack, count)
        pid = _pid(stack.host)
        before = Usage.of(pid)
        forget_peak(pid)
        url = f"{stack.url}/runtime/webhooks/EventGrid"
        query = {"functionName": EVENT_FUNCTION, "code": stack.keys.event_grid_key}
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"aeg-event-type": "Notification"}) as session:

            async def post(event: dict[str, Any]) -> float:
                began = time.perf_counter()
                async with session.post(url, params=query, json=[event]) as answer:
                    if not answer.ok:
                        raise RunFailed(f"an event was answered with {answer.status}")
                return time.perf_counter() - began

            began = time.perf_counter()
            took = sorted(await asyncio.gather(*[post(event) for event in posted]))
            wall = time.perf_counter() - began
        after = Usage.of(pid)
        await _until_archived(stack)
        await _check(stack, warm + count)
    p50, p99 = (took[min(count - 1, round(count * share))] for share in (0.5, 0.99))
    report(f"{count} events answered in {wall:.1f} s: p50 {p50:.2f} s, p99 {p99:.2f} s, slowest {took[-1]:.2f} s")
    yield Outcome(
        "ours",
        wall,
        after.cpu_s - before.cpu_s,
        after.peak_mib - before.mib,
        more={
            "events": count,
            "p50_s": round(p50, 3),
            "p99_s": round(p99, 3),
            "slowest_s": round(took[-1], 3),
        },
    )


async def hosts(folder: Path, quick: bool, report: Report) -> AsyncIterator[Outcome]:
    """Let 1, 2 and 4 hosts work on one queue while the source limits each connection."""
    count, size = (12, 8 * MIB) if quick else (48, 8 * MIB)
    alone: float | None = None
    for number in (1, 2) if quick else (1, 2, 4):
        # A host that found nothing looks again within this time; in host.json it is longer.
        often = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.500"}
        async with _stack(folder, settings=often) as stack:
            all_hosts = [stack.host, *[await stack.add_host() for _ in range(number - 1)]]
            warm = await _warm_up(stack, number)
            fault = {"kind": "rate", "target": "content", "bytesPerSecond": HOSTS_RATE, "times": None}
            await _control(stack, "POST", "/control/faults", fault)
            made = await _record(stack, count, size)
            pids = [_pid(host) for host in all_hosts]
            before = [Usage.of(pid) for pid in pids]
            for pid in pids:
                forget_peak(pid)
            began = time.perf_counter()
            await _announce(stack, made)
            await _until_archived(stack)
            wall = time.perf_counter() - began
            after = [Usage.of(pid) for pid in pids]
            await _check(stack, warm + count)
        alone = alone or wall
        report(f"{number} host(s): {count * size / 1e6 / wall:.0f} MB/s, {alone / wall:.2f} times one host")
        yield Outcome(
            f"ours-{number}-host{'s' if number > 1 else ''}",
            wall,
            sum(then.cpu_s - now.cpu_s for now, then in zip(before, after, strict=True)),
            max(then.peak_mib - now.mib for now, then in zip(before, after, strict=True)),
            count * size,
            more={"hosts": number, "recordings": count, "times_one_host": round(alone / wall, 2)},
        )


async def cold_start(
    folder: Path, quick: bool, report: Report, *, against: Path | None = None
) -> AsyncIterator[Outcome]:
    """Index the app and an empty one, in turns, each in a process of its own.

    Parameters
    ----------
    against
        Another checkout of the project, which takes turns too.
    """
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "function_app.py").write_text(EMPTY_APP, "utf-8")
    roots = {"ours": PROJECT, "empty-app": empty} | ({"against": against} if against else {})
    took: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for _ in range(2 if quick else 7):
        for name, root in roots.items():
            took[name].append(await _index(root))
    wall = {name: statistics.median(one["wall_s"] for one in all_) for name, all_ in took.items()}
    ratio = wall["ours"] / wall["empty-app"]
    report(f"{wall['ours'] * 1000:.0f} ms, an empty app {wall['empty-app'] * 1000:.0f} ms: {ratio:.2f} times")
    if against:
        report(f"{against}: {wall['against'] * 1000:.0f} ms; this is {wall['ours'] / wall['against']:.2f} times that")
    for name, all_ in took.items():
        yield Outcome(
            name,
            wall[name],
            statistics.median(one["cpu_s"] for one in all_),
            max(one["mib"] for one in all_),
            more={
                "functions": int(all_[0]["functions"]),
                "processes": len(all_),
                "cpu_s": round(statistics.median(one["cpu_s"] for one in all_), 3),
                "times_empty_app": round(wall[name] / wall["empty-app"], 2),
            },
        )


COLD_START = AppCase("cold-start", "the worker's library imports and indexes the app", cold_start)

APP_CASES = (
    AppCase("small-1000", "recordings of 200 KiB announced at once, through the whole app", small),
    AppCase("hosts", f"one queue, {HOSTS_RATE / 1e6:g} MB/s per connection to the source", hosts),
    AppCase("events-1000", "Event Grid events posted at once; the time from sending each to its answer", events),
    COLD_START,
)


@contextlib.asynccontextmanager
async def _stack(folder: Path, settings: dict[str, str] | None = None) -> AsyncIterator[Stack]:
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        options = StackOptions(folder=Path(own), settings=settings or {}, media_folder=folder / "media")
        async with Stack(options) as stack:
            yield stack


def _pid(host: FunctionsHost) -> int:
    if host.pid is None:
        raise RunFailed("a Functions host has ended")
    return host.pid


async def _control(stack: Stack, method: str, path: str, body: dict[str, Any]) -> Any:
    url = f"{stack.acs.endpoint.rstrip('/')}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
        if not answer.ok:
            raise RunFailed(f"the ACS emulator answered {answer.status}: {await answer.text()}")
        return await answer.json()


async def _record(stack: Stack, count: int, size: int) -> list[str]:
    """Make finished recordings that are not announced yet; return their ids."""
    kind = {"contentType": "audio", "channelType": "mixed", "format": "mp3"}
    body = {**kind, "durationSeconds": 2, "chunks": 1, "sizeBytes": size, "announce": False}
    return [(await _control(stack, "POST", "/control/recordings", body))["recordingId"] for _ in range(count)]


async def _warm_up(stack: Stack, number: int) -> int:
    """Archive some recordings, so that what hosts import at first use counts as idle; return how many."""
    recordings = 8 * number
    await _announce(stack, await _record(stack, recordings, 200 * KIB))
    await _until_archived(stack)
    return recordings


async def _announce(stack: Stack, recordings: list[str]) -> None:
    gate = asyncio.Semaphore(32)

    async def announce(recording: str) -> None:
        async with gate:
            await _control(stack, "POST", f"/control/recordings/{recording}/announce", {})

    await asyncio.gather(*[announce(recording) for recording in recordings])


async def _until_archived(stack: Stack) -> None:
    """Wait until all events are delivered and the queue is empty."""
    async with asyncio.timeout(_PATIENCE), stack.queue_service() as service:
        queue = service.get_queue_client(CHUNK_QUEUE)
        while True:
            delivered = stack.eventgrid.idle
            if (await queue.get_queue_properties()).approximate_message_count == 0 and delivered:
                return
            await asyncio.sleep(0.1)


async def _check(stack: Stack, count: int) -> None:
    """See that so many recordings are complete.

    Raises
    ------
    RunFailed
        They are not.
    """
    complete = 0
    async with stack.blob_service() as service:
        container = service.get_container_client(ARCHIVE_CONTAINER)
        async for name in container.list_blob_names():
            if name.endswith("/manifest.json"):
                manifest = json.loads(await (await container.download_blob(name)).readall())
                complete += manifest["status"] == "complete"
    if complete != count:
        raise RunFailed(f"{complete} of {count} recordings are complete")


async def _count_requests(stack: Stack, size: int) -> dict[str, float]:
    """Return storage requests a recording, by kind, without those of the queue trigger."""
    blob, queue, table = stack.azurite.ports
    async with counting(blob, queue, table) as count:
        await stack.stop_host()
        host = await stack.add_host(settings={"ARCHIVE_STORAGE": count.connection_string})
        await stack.subscribe(host=host)
        # The first recording brings what happens once in a process's life, such as making the ledger's table.
        await _announce(stack, await _record(stack, 1, size))
        await _until_archived(stack)
        made = await _record(stack, COUNTED, size)
        count.asked.clear()
        await _announce(stack, made)
        await _until_archived(stack)
        await host.stop()
        return {kind: round(number / COUNTED, 2) for kind, number in sorted(count.of_the_app.items())}


async def _events(stack: Stack, count: int) -> list[dict[str, Any]]:
    """Return the events of recordings, as Event Grid delivers them, before the app has seen them."""
    caught: list[dict[str, Any]] = []
    all_caught = asyncio.Event()

    async def catch(request: web.Request) -> web.Response:
        caught.extend(
            {"topic": "/subscriptions/bench", "metadataVersion": "1", **event}
            for event in await request.json()
            if event["eventType"].endswith("RecordingFileStatusUpdated")
        )
        if len(caught) == count:
            all_caught.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", catch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    topic, port = stack.acs.topic, ports.free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stack.acs.topic = f"http://127.0.0.1:{port}/"
        await _announce(stack, await _record(stack, count, 32 * KIB))
        async with asyncio.timeout(60):
            await all_caught.wait()
    finally:
        stack.acs.topic = topic
        await runner.cleanup()
    return caught


async def _index(root: Path) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.indexing", str(root)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise RunFailed(f"{root.name} could not be indexed: {errors.decode('utf-8', 'replace')[-300:].strip()}")
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found
