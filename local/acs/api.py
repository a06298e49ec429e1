"""The recording API: start, get, pause, resume, stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

from local.acs.calls import CallNotFoundError
from local.acs.faults import FaultKind, Faults, Mischief, Target
from local.acs.gate import RECORD, Gate, service_error
from local.acs.objects import mischievous_answer
from local.acs.recordings import Recording, RecordingNotFoundError
from local.acs.startrequest import InvalidStartError, StartRequest, faults_in_words, recording_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local.acs.calls import Call
    from local.acs.service import RecordingService

#: Every version of the service's API that has a recording part.
API_VERSIONS = (
    "2023-03-06",
    "2023-10-15",
    "2024-04-15",
    "2024-09-15",
    "2025-05-15",
    "2025-06-15",
    "2026-03-12",
)
#: From here on pauseOnStart, externalStorage and recordingKind exist.
_STORAGE_VERSION = "2024-04-15"
#: From here on a start is answered with 202. Clients have to take both.
_ACCEPTED_VERSION = "2025-05-15"

_NOT_FOUND = ("8522", "Recording not found.")


class RecordingApi:
    """Routes under `/calling/recordings`."""

    def __init__(self, service: RecordingService, gate: Gate, faults: Faults) -> None:
        self._service = service
        self._gate = gate
        self._faults = faults

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        one = "/calling/recordings/{recording_id}"
        app.router.add_post("/calling/recordings", self._guarded(Target.START, self._start))
        app.router.add_post(f"{one}:pause", self._guarded(Target.PAUSE, self._pause))
        app.router.add_post(f"{one}:resume", self._guarded(Target.RESUME, self._resume))
        app.router.add_get(one, self._guarded(Target.GET, self._get), allow_head=False)
        app.router.add_delete(one, self._guarded(Target.STOP, self._stop))

    def _guarded(
        self, target: Target, handler: Callable[[web.Request, Mischief], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            record = request[RECORD]
            record.target, record.recording_id = target, request.match_info.get("recording_id")
            refusal = await self._gate.refuse_unsigned(request, {request.headers.get("Host", "")})
            refusal = refusal or _refuse_version(request)
            if refusal is not None:
                return refusal
            mischief = record.met(self._faults.meet(target))
            await asyncio.sleep(mischief.latency(0.0))
            order = mischief.main
            fault = None if order is None else mischievous_answer(request, order)
            if fault is not None and order is not None and not order.carried_out:
                return fault
            try:
                answer = await handler(request, mischief)
            except RecordingNotFoundError:
                answer = service_error(404, *_NOT_FOUND)
            return answer if fault is None else fault

        return guarded

    async def _start(self, request: web.Request, mischief: Mischief) -> web.Response:
        repeatability = request.headers.get("Repeatability-Request-ID")
        if repeatability is not None and (earlier := self._service.recordings.repeated(repeatability)) is not None:
            return self._state(request, earlier, started=True)
        newer = request.query["api-version"] >= _STORAGE_VERSION
        try:
            wanted = StartRequest.model_validate_json(await request.read())
            options = recording_options(wanted, with_storage=newer)
            call = self._service.calls.locate(*wanted.locator())
        except ValidationError as exc:
            return service_error(400, "BadRequest", faults_in_words(exc))
        except InvalidStartError as exc:
            return service_error(400, "BadRequest", str(exc))
        except CallNotFoundError as exc:
            return service_error(404, "8522", str(exc))
        if (refusal := self._refuse_call(call)) is not None:
            return refusal
        fails = mischief.main is not None and mischief.main.kind is FaultKind.START_FAILED
        recording = self._service.start_recording(call, options, fails=fails)
        request[RECORD].recording_id = recording.recording_id
        if repeatability is not None:
            self._service.recordings.remember_request(repeatability, recording)
        return self._state(request, recording, started=True)

    async def _get(self, request: web.Request, _: Mischief) -> web.Response:
        return self._state(request, self._going_on(request))

    async def _pause(self, request: web.Request, _: Mischief) -> web.Response:
        self._service.pause(self._going_on(request))
        return web.Response(status=202)

    async def _resume(self, request: web.Request, _: Mischief) -> web.Response:
        self._service.resume(self._going_on(request))
        return web.Response(status=202)

    async def _stop(self, request: web.Request, _: Mischief) -> web.Response:
        self._service.stop(self._going_on(request))
        return web.Response(status=204)

    def _refuse_call(self, call: Call) -> web.Response | None:
        if not call.established:
            return service_error(400, "8501", "Action is invalid when call is not in Established state.")
        if self._service.options.one_recording_per_call and self._service.recordings.going_on(call):
            return service_error(
                400, "8553", "Recording is already in progress, one recording can be active at one time."
            )
        return None

    def _going_on(self, request: web.Request) -> Recording:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        if recording.ended is not None or recording.failed:
            raise RecordingNotFoundError(recording.recording_id)
        return recording

    def _state(self, request: web.Request, recording: Recording, *, started: bool = False) -> web.Response:
        version = request.query["api-version"]
        answer: dict[str, Any] = {
            "recordingId": recording.recording_id,
            "recordingState": recording.state(self._service.now()),
        }
        if version >= _STORAGE_VERSION:
            answer["recordingKind"] = "azureCommunicationServices"
        return web.json_response(answer, status=202 if started and version >= _ACCEPTED_VERSION else 200)


def _refuse_version(request: web.Request) -> web.Response | None:
    version = request.query.get("api-version")
    if version in API_VERSIONS:
        return None
    problem = "The api-version is missing." if version is None else f"The api-version {version} is not supported."
    return service_error(400, "UnsupportedApiVersion", f"{problem} Supported versions: {', '.join(API_VERSIONS)}.")
