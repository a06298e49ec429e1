"""Routes under `/control`: make calls and recordings, order faults, move the clock, see what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

from local.acs.calls import CallNotFoundError
from local.acs.faults import FaultOrder
from local.acs.forms import AnnouncementForm, CamelModel
from local.acs.orders import CallbackChange, ClockChange, NewCall, NewParticipant, NewRecording, Reissue
from local.acs.recordings import RecordingNotFoundError
from local.acs.startrequest import InvalidStartError
from local.acs.timestamps import stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local.acs.ordered import Faults
    from local.acs.requests import RequestLog
    from local.acs.service import RecordingService


class Control:
    """The control routes. They need no signature: whoever reaches the emulator may use them."""

    def __init__(self, service: RecordingService, faults: Faults, log: RequestLog, about: dict[str, str]) -> None:
        self._service = service
        self._faults = faults
        self._log = log
        self._about = about

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        for method, path, handler in (
            ("GET", "", self._show_about),
            ("GET", "/calls", self._list_calls),
            ("POST", "/calls", self._start_call),
            ("GET", "/calls/{call_id}", self._show_call),
            ("DELETE", "/calls/{call_id}", self._end_call),
            ("POST", "/calls/{call_id}/participants", self._join),
            ("DELETE", "/calls/{call_id}/participants/{participant_id}", self._leave),
            ("GET", "/recordings", self._list_recordings),
            ("POST", "/recordings", self._make_recording),
            ("GET", "/recordings/{recording_id}", self._show_recording),
            ("POST", "/recordings/{recording_id}/announce", self._announce),
            ("POST", "/recordings/{recording_id}/chunks/{index}/reissue", self._reissue),
            ("GET", "/announcements", self._show_form),
            ("PUT", "/announcements", self._set_form),
            ("GET", "/callbacks", self._show_callbacks),
            ("PUT", "/callbacks", self._set_callbacks),
            ("GET", "/faults", self._list_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{fault_id}", self._remove_fault),
            ("GET", "/clock", self._show_clock),
            ("POST", "/clock", self._set_clock),
            ("GET", "/requests", self._list_requests),
            ("DELETE", "/requests", self._clear_requests),
            ("GET", "/events", self._list_events),
        ):
            app.router.add_route(method, f"/control{path}", _speaking(handler))

    async def _show_about(self, _: web.Request) -> web.Response:
        return web.json_response(self._about)

    # Calls

    async def _list_calls(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": [call.as_json() for call in self._service.calls]})

    async def _start_call(self, request: web.Request) -> web.Response:
        wanted = await _body(request, NewCall)
        call = self._service.start_call(
            wanted.participants, wanted.group_call_id, wanted.room_id, wanted.recording_kind
        )
        return web.json_response(call.as_json(), status=201)

    async def _show_call(self, request: web.Request) -> web.Response:
        return web.json_response(self._service.calls.get(request.match_info["call_id"]).as_json())

    async def _end_call(self, request: web.Request) -> web.Response:
        call = self._service.calls.get(request.match_info["call_id"])
        if call.established:
            self._service.end_call(call)
        return web.json_response(call.as_json())

    async def _join(self, request: web.Request) -> web.Response:
        call = self._service.calls.get(request.match_info["call_id"])
        wanted = await _body(request, NewParticipant)
        if not call.established:
            return _problem(409, f"Call {call.call_id} has ended.")
        self._service.join_call(call, wanted.participant_id or self._service.calls.new_user())
        return web.json_response(call.as_json(), status=201)

    async def _leave(self, request: web.Request) -> web.Response:
        call = self._service.calls.get(request.match_info["call_id"])
        self._service.leave_call(call, request.match_info["participant_id"])
        return web.json_response(call.as_json())

    # Recordings

    async def _list_recordings(self, _: web.Request) -> web.Response:
        now = self._service.now()
        listed = [recording.as_json(now, self._service.base_url) for recording in self._service.recordings]
        return web.json_response({"recordings": listed})

    async def _make_recording(self, request: web.Request) -> web.Response:
        wanted = await _body(request, NewRecording)
        form = wanted.form or self._service.announcement
        swap = form.swap_types if wanted.swap_types is None else wanted.swap_types
        recording = await self._service.make_recording(wanted.finished(swap_types=swap))
        if wanted.announce:
            self._service.announce(recording, form)
        return web.json_response(recording.as_json(self._service.now(), self._service.base_url), status=201)

    async def _show_recording(self, request: web.Request) -> web.Response:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        return web.json_response(recording.as_json(self._service.now(), self._service.base_url))

    async def _announce(self, request: web.Request) -> web.Response:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        form = await _body(request, AnnouncementForm, default=self._service.announcement)
        if not recording.chunks:
            return _problem(
                409, f"Recording {recording.recording_id} has no files yet; its processing is {recording.processing}."
            )
        self._service.announce(recording, form)
        return web.json_response(form.model_dump(mode="json", by_alias=True), status=202)

    async def _reissue(self, request: web.Request) -> web.Response:
        recording = self._service.recordings.get(request.match_info["recording_id"])
        wanted = await _body(request, Reissue)
        index = request.match_info["index"]
        if not index.isdecimal():
            return _problem(400, f"index must be a number, not {index}.")
        form = (wanted.form or self._service.announcement) if wanted.announce else None
        await self._service.reissue(recording, int(index), wanted.size_bytes, form)
        return web.json_response(recording.as_json(self._service.now(), self._service.base_url), status=201)

    # What is set for all that follows

    async def _show_form(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.announcement.model_dump(mode="json", by_alias=True))

    async def _set_form(self, request: web.Request) -> web.Response:
        self._service.announcement = await _body(request, AnnouncementForm)
        return await self._show_form(request)

    async def _show_callbacks(self, _: web.Request) -> web.Response:
        return web.json_response({"order": self._service.callback_order})

    async def _set_callbacks(self, request: web.Request) -> web.Response:
        self._service.callback_order = (await _body(request, CallbackChange)).order
        return await self._show_callbacks(request)

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": [fault.as_json() for fault in self._faults.all()]})

    async def _add_fault(self, request: web.Request) -> web.Response:
        fault = self._faults.add(await _body(request, FaultOrder))
        return web.json_response(fault.as_json(), status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"removed": self._faults.clear()})

    async def _remove_fault(self, request: web.Request) -> web.Response:
        fault_id = request.match_info["fault_id"]
        if not self._faults.remove(fault_id):
            return _problem(404, f"There is no fault {fault_id}.")
        return web.json_response({"removed": 1})

    async def _show_clock(self, _: web.Request) -> web.Response:
        return web.json_response({"now": stamp(self._service.now()), "rate": self._service.clock.rate})

    async def _set_clock(self, request: web.Request) -> web.Response:
        change = await _body(request, ClockChange)
        if change.rate is not None:
            self._service.clock.set_rate(change.rate)
        if change.advance_seconds is not None:
            self._service.clock.advance(change.advance_seconds)
        return await self._show_clock(request)

    # What happened

    async def _list_requests(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": [record.as_json() for record in self._log.all()]})

    async def _clear_requests(self, _: web.Request) -> web.Response:
        self._log.clear()
        return web.json_response({"requests": []})

    async def _list_events(self, _: web.Request) -> web.Response:
        return web.json_response({"events": [posted.as_json() for posted in self._service.publisher.log]})


class _BadBodyError(Exception):
    """The body is not what the route takes; carries the faults, one for each field."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__("The request is not valid.")
        self.faults = faults


async def _body[Model: CamelModel](request: web.Request, model: type[Model], default: Model | None = None) -> Model:
    raw = await request.read()
    if not raw.strip():
        if default is not None:
            return default
        raw = b"{}"
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        raise _BadBodyError([_fault(dict(fault)) for fault in exc.errors()]) from exc


def _fault(fault: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "field": ".".join(str(part) for part in fault["loc"]) or "body",
        "message": str(fault["msg"]).removeprefix("Value error, "),
    }
    if (accepted := fault.get("ctx", {}).get("expected")) is not None:
        shown["accepted"] = accepted
    return shown


def _problem(status: int, message: str, faults: list[dict[str, Any]] | None = None) -> web.Response:
    error: dict[str, Any] = {"message": message}
    if faults:
        error["fields"] = faults
    return web.json_response({"error": error}, status=status)


def _speaking(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Turn what a control route raises into an answer that names the field and what it takes."""

    async def speaking(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except _BadBodyError as exc:
            words = "; ".join(f"{fault['field']}: {fault['message']}" for fault in exc.faults)
            return _problem(400, words, exc.faults)
        except (InvalidStartError, ValueError) as exc:
            return _problem(400, str(exc))
        except (CallNotFoundError, RecordingNotFoundError) as exc:
            return _problem(404, str(exc))

    return speaking
