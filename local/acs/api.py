"""The recording API: start, get, pause, resume, stop, and the result of what has ended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

from local.acs import versions
from local.acs.answers import broken_answer
from local.acs.calls import LOCATORS, CallNotFoundError
from local.acs.faults import FaultKind, Target
from local.acs.gate import HINT, RECORD, Gate, service_error
from local.acs.headers import CHAIN_ID
from local.acs.recordings import Processing, Recording, RecordingNotFoundError
from local.acs.startrequest import InvalidStartError, StartRequest, faults_in_words, recording_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from local.acs.calls import Call
    from local.acs.ordered import Faults, MetFaults
    from local.acs.service import RecordingService

type Handler = Callable[[web.Request, MetFaults], Awaitable[web.Response]]

_RECORDINGS = "/calling/recordings"
_ONE = f"{_RECORDINGS}/{{recording_id}}"
_OF_CALL = "/calling/serverCalls/{server_call_id}/recordings"
_ONE_OF_CALL = f"{_OF_CALL}/{{recording_id}}"

_NOT_ESTABLISHED = ("8501", "Action is invalid when call is not in Established state")
_UNKNOWN_CALL = ("8527", "Invalid join identity, cannot join call.")
_NOT_FOUND = ("8522", "Recording not found.")
_SECOND_START = ("8553", "Only one recording of a given type is supported in a call.")


class RecordingApi:
    """Routes under `/calling/recordings`, and those of the previews of 2021 under `/calling/serverCalls`."""

    def __init__(self, service: RecordingService, gate: Gate, faults: Faults) -> None:
        self._service = service
        self._gate = gate
        self._faults = faults

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        by_id = (*versions.CURRENT, *versions.WITH_SLASH)
        with_slash, by_call = versions.WITH_SLASH, versions.BY_SERVER_CALL
        for method, path, target, handler, known in (
            ("POST", _RECORDINGS, Target.START, self._start, by_id),
            ("GET", _ONE, Target.GET, self._get, by_id),
            ("DELETE", _ONE, Target.STOP, self._stop, by_id),
            ("POST", f"{_ONE}:pause", Target.PAUSE, self._pause, versions.CURRENT),
            ("POST", f"{_ONE}:resume", Target.RESUME, self._resume, versions.CURRENT),
            ("GET", f"{_ONE}/result", Target.RESULT, self._result, versions.WITH_RESULT),
            ("POST", f"{_ONE}/:pause", Target.PAUSE, self._pause, with_slash),
            ("POST", f"{_ONE}/:resume", Target.RESUME, self._resume, with_slash),
            ("POST", _OF_CALL, Target.START, self._start, by_call),
            ("GET", _ONE_OF_CALL, Target.GET, self._get, by_call),
            ("DELETE", _ONE_OF_CALL, Target.STOP, self._stop, by_call),
            ("POST", f"{_ONE_OF_CALL}/:pause", Target.PAUSE, self._pause, by_call),
            ("POST", f"{_ONE_OF_CALL}/:resume", Target.RESUME, self._resume, by_call),
        ):
            app.router.add_route(method, path, self._guarded(target, handler, known))
        # Without an id a recording's address is that of a start.
        app.router.add_post(f"{_RECORDINGS}/", self._guarded(Target.START, self._start, by_id))
        app.router.add_post(f"{_OF_CALL}/", self._guarded(Target.START, self._start, by_call))

    def _guarded(
        self, target: Target, handler: Handler, known: Collection[str]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            record = request[RECORD]
            record.target, record.recording_id = target, request.match_info.get("recording_id")
            problem = await self._gate.signature_problem(request, {request.headers.get("Host", "")})
            if problem is not None:
                refusal = service_error(401, "401", "HMAC-SHA256 validation failed")
                refusal.headers[HINT] = problem
                return refusal
            if (refused := _refuse_version(request, known)) is not None:
                return refused
            locator = await _locator(request) if target is Target.START else None
            met = record.met(self._faults.meet(target, locator=locator))
            await asyncio.sleep(met.latency(0.0))
            order = met.main
            if order is not None and not order.carried_out:
                broken = await broken_answer(request, order)
                if broken is not None:
                    return broken
            try:
                answer = await handler(request, met)
            except RecordingNotFoundError:
                answer = _not_found(request)
            if order is not None and order.carried_out:
                return await broken_answer(request, order) or answer
            return answer

        return guarded

    async def _start(self, request: web.Request, met: MetFaults) -> web.Response:
        repeatability = request.headers.get("Repeatability-Request-ID")
        version = request.query["api-version"]
        try:
            wanted = StartRequest.model_validate_json(await request.read() or b"{}")
            options = recording_options(wanted, version, preferred=self._service.options.start_without_types)
            kind, value = self._named_call(request, wanted)
        except ValidationError as exc:
            return service_error(400, "BadRequest", faults_in_words(exc))
        except InvalidStartError as exc:
            return service_error(400, "BadRequest", str(exc))
        by_connection = kind == "callConnectionId"
        recording = None if repeatability is None else self._service.recordings.repeated(repeatability)
        if recording is None:
            try:
                call = self._service.calls.locate(kind, value)
            except CallNotFoundError:
                # An unknown server call is recorded as 8527, an unknown group as 8501; the others are not recorded.
                unknown = _UNKNOWN_CALL if kind == "serverCallLocator" else _NOT_ESTABLISHED
                return service_error(400, *unknown)
            if (refusal := self._refuse_call(call)) is not None:
                return refusal
            fails = met.main is not None and met.main.kind is FaultKind.START_FAILED
            recording = self._service.start_recording(call, options, by_connection=by_connection, fails=fails)
            if repeatability is not None:
                self._service.recordings.remember_request(repeatability, recording)
        request[RECORD].recording_id = recording.recording_id
        headers = {"Repeatability-Result": "accepted"} if repeatability and versions.has_storage(version) else {}
        if versions.is_of_2021(version):
            return web.json_response({"recordingId": recording.recording_id})
        status = 202 if by_connection else 200
        return web.json_response(self._state(recording, version), status=status, headers=headers)

    def _named_call(self, request: web.Request, wanted: StartRequest) -> tuple[str, str]:
        """Return which id names the call, and the id; the previews that have it in the path take either kind."""
        in_path = request.match_info.get("server_call_id")
        if in_path is None:
            return wanted.locator()
        known = {call.server_call_id for call in self._service.calls}
        return ("serverCallLocator" if in_path in known else "groupCallLocator"), in_path

    async def _get(self, request: web.Request, _: MetFaults) -> web.Response:
        recording = self._going_on(request)
        version = request.query["api-version"]
        state = self._state(recording, version)
        if versions.is_of_2021(version):
            state = {"recordingState": state["recordingState"]}
        return web.json_response(state, headers=_chain(recording))

    async def _result(self, request: web.Request, _: MetFaults) -> web.Response:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        if recording.processing is not Processing.READY:
            raise RecordingNotFoundError(recording.recording_id)
        return web.json_response(self._service.result(recording))

    async def _pause(self, request: web.Request, _: MetFaults) -> web.Response:
        recording = self._going_on(request)
        self._service.pause(recording)
        return _done(request, 202, recording)

    async def _resume(self, request: web.Request, _: MetFaults) -> web.Response:
        recording = self._going_on(request)
        self._service.resume(recording)
        return _done(request, 202, recording)

    async def _stop(self, request: web.Request, _: MetFaults) -> web.Response:
        recording = self._going_on(request)
        self._service.stop(recording)
        return _done(request, 204, recording)

    def _refuse_call(self, call: Call) -> web.Response | None:
        if not call.established:
            return service_error(400, *_NOT_ESTABLISHED)
        options = self._service.options
        if options.one_recording_per_call and self._service.recordings.going_on(call):
            return service_error(options.second_start_status, *_SECOND_START)
        return None

    def _going_on(self, request: web.Request) -> Recording:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        if recording.ended is not None or recording.failed:
            raise RecordingNotFoundError(recording.recording_id)
        return recording

    def _state(self, recording: Recording, version: str) -> dict[str, Any]:
        state = {
            "recordingId": recording.recording_id,
            "recordingState": recording.state(self._service.now()),
        }
        if versions.has_storage(version):
            state["recordingKind"] = recording.call.recording_kind
        return state


def _done(request: web.Request, status: int, recording: Recording) -> web.Response:
    old = versions.is_of_2021(request.query["api-version"])
    return web.Response(status=200 if old else status, headers=_chain(recording))


def _chain(recording: Recording) -> dict[str, str]:
    return {CHAIN_ID: recording.call.correlation_id}


def _not_found(request: web.Request) -> web.Response:
    target = request.path if versions.has_target(request.query["api-version"]) else None
    return service_error(404, *_NOT_FOUND, target=target)


async def _locator(request: web.Request) -> str | None:
    """Return by which kind of id a start names its call, None where that cannot be read."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    if body.get("callConnectionId"):
        return "callConnectionId"
    locator = body.get("callLocator")
    kind = locator.get("kind") if isinstance(locator, dict) else None
    return kind if kind in LOCATORS else None


def _refuse_version(request: web.Request, known: Collection[str]) -> web.Response | None:
    version = request.query.get("api-version")
    if version in known:
        return None
    problem = "The api-version is missing." if version is None else f"The api-version {version} is not supported."
    return service_error(400, "UnsupportedApiVersion", f"{problem} Supported versions: {', '.join(known)}.")
