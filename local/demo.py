"""One recorded call from its start to its verified archive, on a local stack of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from local import archive
from local.choices import Moment
from local.listener import listening
from local.problems import LocalProblem
from local.provisioning import ARCHIVE_CONTAINER
from local.report import show_verification
from local.stack import PROJECT, Stack, StackOptions
from local.verification import verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from local.listener import Listener
    from local.progress import Progress

_CLOCK_RATE = 8.0
_CHUNK_SECONDS = 16.0
# Two stretches with a pause in between, in emulated seconds: 40 s recorded, which is three chunks.
_FIRST_STRETCH, _PAUSE, _SECOND_STRETCH = 20.0, 8.0, 20.0
# After a kill, messages come back after this, rather than the 10 minutes of Azure.
_QUEUE_LEASE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How the demo runs.

    Attributes
    ----------
    keep
        Keep the archive and the logs.
    kill_host_at
        Points, or seconds after the recording was stopped, at which the Functions host is killed and started again.
    patience
        Seconds to wait for the archive to be complete.
    """

    keep: bool = False
    kill_host_at: Sequence[Moment | float] = ()
    patience: float = 180.0


async def demo(options: DemoOptions, progress: Progress) -> int:
    """Run the demo; returns 0 when the archive is complete and correct.

    Raises
    ------
    LocalProblem
        Something differs, or could not be done; the archive and the logs are kept.
    """
    begin = time.monotonic()
    async with _folder(options, progress) as folder:
        stack_options = StackOptions(
            folder=folder,
            clock_rate=_CLOCK_RATE,
            chunk_seconds=_CHUNK_SECONDS,
            queue_lease=_QUEUE_LEASE_SECONDS if options.kill_host_at else None,
        )
        with progress.step("start the local stack") as report:
            stack = await Stack(stack_options, progress=report).__aenter__()
        try:
            differences = await _Demo(stack, options, progress).run()
        finally:
            with progress.step("stop the local stack"):
                await stack.__aexit__(None, None, None)
        if differences:
            raise LocalProblem("\n  ".join(["The archive differs from what was recorded:", *differences]))
    progress.line(f"Archived, whole and verified in {time.monotonic() - begin:.0f} s.")
    return 0


class _Demo:
    def __init__(self, stack: Stack, options: DemoOptions, progress: Progress) -> None:
        self._stack = stack
        self._options = options
        self._progress = progress
        self._killed: set[Moment | float] = set()

    async def run(self) -> Sequence[str]:
        headers = {"x-functions-key": self._stack.function_key}
        async with (
            aiohttp.ClientSession(headers=headers) as self._app,
            aiohttp.ClientSession() as self._acs,
            self._stack.blob_service() as blobs,
            listening(self._stack) as listener,
        ):
            recording_id = await self._record()
            self._container = blobs.get_container_client(ARCHIVE_CONTAINER)
            with self._progress.step("archive it") as report:
                await self._archived(recording_id, report)
            truth = await self._control("GET", f"recordings/{quote(recording_id, safe='')}")
            with self._progress.step("receive the event Recording.Archived") as report:
                await self._announced(listener, recording_id, report)
            with self._progress.step("read the archive back and recompute its digests"):
                verification = await verify(self._container, truth)
            show_verification(self._progress, verification)
            return verification.differences

    async def _record(self) -> str:
        clock, step = self._stack.clock, self._progress.step
        with step("start a call with two participants"):
            call = await self._control("POST", "calls", {})
            while len(call["participants"]) < 2:
                call = await self._control("POST", f"calls/{call['callId']}/participants", {})
        with step("start a recording: POST /api/recordings"):
            started = await self._request("POST", "", {"serverCallId": call["serverCallId"]})
            recording_id = str(started["recordingId"])
        path = "/" + quote(recording_id, safe="")
        await self._reached(Moment.STARTED)
        with step(f"record {_FIRST_STRETCH:g} s of the call, {_CLOCK_RATE:g} times as fast"):
            await clock.sleep(_FIRST_STRETCH)
        with step("pause: POST /api/recordings/{recordingId}/pause"):
            await self._request("POST", f"{path}/pause")
        await self._reached(Moment.PAUSED)
        await clock.sleep(_PAUSE)
        with step("resume: POST /api/recordings/{recordingId}/resume"):
            await self._request("POST", f"{path}/resume")
        await self._reached(Moment.RESUMED)
        with step(f"record {_SECOND_STRETCH:g} s more"):
            await clock.sleep(_SECOND_STRETCH)
        with step("stop: POST /api/recordings/{recordingId}/stop"):
            await self._request("POST", f"{path}/stop")
        await self._reached(Moment.STOPPED)
        return recording_id

    async def _archived(self, recording_id: str, report: Callable[[str], None]) -> None:
        begin = time.monotonic()
        report("waiting for the service to finish the files")
        while (elapsed := time.monotonic() - begin) < self._options.patience:
            for moment in self._options.kill_host_at:
                if not isinstance(moment, Moment) and elapsed >= moment:
                    await self._reached(moment)
            found = await archive.manifest_of(self._container, recording_id)
            if found is not None:
                await self._reached(Moment.ANNOUNCED)
                folder, manifest = found
                report(_state(manifest, await archive.listing(self._container, folder)))
                if any(chunk.get("archivedAt") for chunk in manifest["chunks"]):
                    await self._reached(Moment.FIRST_CHUNK)
                if manifest["status"] == "complete":
                    return
            await asyncio.sleep(0.1)
        raise LocalProblem(
            f"the archive was not complete after {self._options.patience:.0f} s; the logs in {self._stack.logs} say "
            "why, and --patience waits longer"
        )

    async def _announced(self, listener: Listener, recording_id: str, report: Callable[[str], None]) -> None:
        def is_ours(event: dict[str, Any]) -> bool:
            return bool(event["type"] == "Recording.Archived" and event["data"]["recordingId"] == recording_id)

        try:
            event = await listener.heard(is_ours, within=self._options.patience)
        except TimeoutError:
            raise LocalProblem(f"no Recording.Archived event came; the logs in {self._stack.logs} say why") from None
        report(f"{event['data']['chunks']} chunks, {event['data']['bytes'] / 1e6:.1f} MB")

    async def _reached(self, moment: Moment | float) -> None:
        if moment not in self._options.kill_host_at or moment in self._killed:
            return
        self._killed.add(moment)
        name = str(moment) if isinstance(moment, Moment) else f"{moment:g} s after the stop"
        with self._progress.step(f"kill the Functions host ({name}) and start it again"):
            await self._stack.kill_host()
            await self._stack.start_host()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._app.request(method, f"{self._stack.url}/api/recordings{path}", json=body) as answer:
            return await _answered(answer, f"{method} /api/recordings{path}")

    async def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._acs.request(method, f"{self._stack.acs.endpoint}/control/{path}", json=body) as answer:
            return await _answered(answer, f"{method} /control/{path} of the ACS emulator")


def _state(manifest: dict[str, Any], blobs: dict[str, int]) -> str:
    chunks = manifest["chunks"]
    media = [chunk["content"]["blob"] for chunk in chunks if chunk.get("content")]
    size = sum(blobs.get(name, 0) for name in media)
    states = ", ".join(
        f"chunk {chunk['index']} {'archived' if chunk.get('archivedAt') else 'on its way'}" for chunk in chunks
    )
    return f"{states} ({size / 1e6:.1f} MB, {manifest['status']})"


async def _answered(answer: aiohttp.ClientResponse, request: str) -> dict[str, Any]:
    text = await answer.text()
    if not answer.ok:
        raise LocalProblem(f"{request} was answered {answer.status}: {text[:500]}")
    if not text:
        return {}
    value: dict[str, Any] = await answer.json(content_type=None)
    return value


@asynccontextmanager
async def _folder(options: DemoOptions, progress: Progress) -> AsyncIterator[Path]:
    parent = PROJECT / ".local" / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=parent))
    keep = options.keep
    try:
        yield folder
    except Exception:
        keep = True
        raise
    finally:
        if keep:
            progress.line(
                f"Kept in {folder}; to look at the archive again: "
                f".venv/bin/python -m local azurite --folder {folder / 'azurite'}"
            )
        else:
            shutil.rmtree(folder, ignore_errors=True)
