"""The emulated resource: calls, their recordings, and what happens by itself afterwards."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.acs import callbacks
from local.acs.calls import Call, Calls, RecordingKind
from local.acs.chunks import Span, even_lengths, recorded_spans, split
from local.acs.events import Event, EventFactory
from local.acs.options import CallbackOrder
from local.acs.production import Production
from local.acs.publisher import Publisher
from local.acs.recordings import Processing, Recording, RecordingOptions, Recordings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from local.acs.clock import Clock
    from local.acs.documents import Chunk
    from local.acs.forms import AnnouncementForm
    from local.acs.options import AcsOptions

_LOG = logging.getLogger(__name__)

CALL_ENDED = "CallEnded"


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """A recording that is to exist without having been made: lengths and pauses in ms, size in bytes for each chunk."""

    length: int
    chunks: int
    options: RecordingOptions
    participants: tuple[str, ...] = ()
    pauses: tuple[Span, ...] = ()
    size: int | None = None
    session_end_reason: str = CALL_ENDED
    swap_types: bool = False


class RecordingService:
    """What the servers show over HTTP.

    Parameters
    ----------
    options
        The emulator's options; announcement form and callback order may be changed later.
    clock
        Emulated time.
    base_url
        The first media origin, for the addresses of stored objects.
    """

    def __init__(self, options: AcsOptions, clock: Clock, base_url: str) -> None:
        self.options = options
        self.clock = clock
        self.base_url = base_url
        self.resource_id = str(uuid4())
        self.announcement = options.announcement
        self.callback_order = options.callback_order
        self.calls = Calls(self.resource_id)
        self.recordings = Recordings()
        self.publisher = Publisher(options.topic, options.topic_key, options.publish_patience)
        self._events = EventFactory(options.azure_id, base_url)
        self._callbacks = callbacks.CallbackSender()
        self._production = Production(options, self.resource_id, self.recordings, self.now)
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> int:
        """Return emulated time in ms since the epoch."""
        return round(self.clock.time() * 1000)

    def forget_old_media(self) -> None:
        """Delete generated media that has not been used for long."""
        self._production.forget_old()

    async def close(self) -> None:
        """Stop everything that goes on in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.publisher.close()
        await self._callbacks.close()
        self._production.close()

    # Calls

    def start_call(
        self,
        participants: Sequence[str],
        group_call_id: str | None,
        room_id: str | None,
        recording_kind: RecordingKind = RecordingKind.ACS,
    ) -> Call:
        """Begin a call and publish that it began and who is in it."""
        now = self.now()
        call = self.calls.start(
            now, participants, group_call_id=group_call_id, room_id=room_id, recording_kind=recording_kind
        )
        added = [self._events.participant_added(call, participant, now) for participant in call.participants]
        self._publish([self._events.call_started(call), *added])
        return call

    def join_call(self, call: Call, raw_id: str) -> None:
        """Add a participant."""
        now = self.now()
        participant = self.calls.join(call, raw_id, now)
        if participant is not None:
            self._publish([self._events.participant_added(call, participant, now)])

    def leave_call(self, call: Call, raw_id: str) -> None:
        """Remove a participant; the call goes on."""
        now = self.now()
        participant = self.calls.leave(call, raw_id, now)
        self._publish([self._events.participant_removed(call, participant, now)])

    def end_call(self, call: Call) -> None:
        """End a call and with it its recordings."""
        now = self.now()
        for recording in self.recordings.going_on(call):
            self._end(recording, now, CALL_ENDED)
        left = [self._events.participant_removed(call, p, now) for p in self.calls.end(call, now)]
        self._publish([*left, self._events.call_ended(call, now)])

    # Recordings

    def start_recording(
        self, call: Call, options: RecordingOptions, *, by_connection: bool = False, fails: bool = False
    ) -> Recording:
        """Begin to record.

        Parameters
        ----------
        call, options
            What is recorded, and how.
        by_connection
            Whether the client named the call by its callConnectionId.
        fails
            Whether the start is accepted and fails a moment later.
        """
        now = self.now()
        active_from = now + round(self.options.activation_delay * 1000)
        recording = self.recordings.start(call, options, now, active_from, by_connection=by_connection)
        if fails or options.callback_uri is not None:
            self._spawn(self._begin(recording, fails=fails))
        return recording

    def pause(self, recording: Recording) -> None:
        """Pause a recording."""
        if recording.pause(self.now()):
            self._call_back(recording)

    def resume(self, recording: Recording) -> None:
        """Resume a recording."""
        if recording.resume(self.now()):
            self._call_back(recording)

    def stop(self, recording: Recording) -> None:
        """Stop a recording; its files follow by themselves."""
        self._end(recording, self.now(), self.options.stop_reason)

    async def make_recording(self, wanted: FinishedRecording) -> Recording:
        """Make a recording of a call that has just ended, files included.

        Raises
        ------
        ValueError
            When media of that size or length cannot be made.
        """
        end = self.now()
        begin = end - wanted.length - sum(pause.length for pause in wanted.pauses)
        pauses = [Span(begin + pause.begin, begin + pause.end) for pause in wanted.pauses]
        total = sum(span.length for span in recorded_spans(begin, end, pauses))
        plans = split(begin, end, pauses, even_lengths(total, wanted.chunks))
        call = self.calls.start(begin, wanted.participants)
        self.calls.end(call, end)
        recording = self.recordings.start(call, wanted.options, begin, active_from=begin)
        recording.pauses = [(pause.begin, pause.end) for pause in pauses]
        recording.end(end, wanted.session_end_reason)
        try:
            await self._production.produce(recording, plans, size=wanted.size, swap_types=wanted.swap_types)
        except ValueError:
            self.recordings.discard(recording)
            raise
        return recording

    def announce(self, recording: Recording, form: AnnouncementForm) -> None:
        """Publish the events about a recording's files in a given form, after its delay."""
        if form.swap_types:
            for chunk in recording.chunks:
                self._production.write_metadata(recording, chunk, swap_types=True)
        self._spawn(self._announce(recording, form))

    async def reissue(self, recording: Recording, index: int, size: int | None, form: AnnouncementForm | None) -> None:
        """Store a chunk again under another document; announce that one alone, where a form is given.

        Raises
        ------
        ValueError
            When there is no such chunk, or media of `size` bytes cannot be made.
        """
        if not 0 <= index < len(recording.chunks):
            raise ValueError(f"Recording {recording.recording_id} has {len(recording.chunks)} chunks and no {index}.")
        chunk = await self._production.reissue(recording, index, size)
        if form is not None:
            self._spawn(self._announce(recording, form, [chunk]))

    def result(self, recording: Recording) -> dict[str, Any]:
        """Return what the service answers about a finished recording."""
        return self._events.result(recording)

    def _end(self, recording: Recording, now: int, reason: str) -> None:
        recording.end(now, reason)
        if self.options.closing_callback:
            self._call_back(recording)
        if recording.call.recording_kind is RecordingKind.ACS:
            self._spawn(self._finish(recording))
        else:
            recording.processing = Processing.DELIVERED_ELSEWHERE

    async def _begin(self, recording: Recording, *, fails: bool) -> None:
        uri = recording.options.callback_uri
        if fails:
            await self.clock.sleep_until(recording.active_from / 1000)
            recording.failed = True
            if uri is not None:
                await self._callbacks.send(uri, [callbacks.start_failed(recording, self.now())])
            return
        if uri is None:
            return
        waiting = callbacks.state_changed(recording, "inactive", self.now(), begun=False)
        reversed_ = self.callback_order is CallbackOrder.REVERSED and not recording.options.pause_on_start
        if not reversed_:
            await self._callbacks.send(uri, callbacks.arranged([waiting], self.callback_order))
        if recording.options.pause_on_start:
            return
        await self.clock.sleep_until(recording.active_from / 1000)
        active = callbacks.state_changed(recording, "active", self.now(), begun=True)
        events = [active, waiting] if reversed_ else callbacks.arranged([active], self.callback_order)
        await self._callbacks.send(uri, events)

    def _call_back(self, recording: Recording) -> None:
        uri = recording.options.callback_uri
        if uri is None:
            return
        now = self.now()
        event = callbacks.state_changed(recording, recording.state(now), now, begun=True)
        self._spawn(self._callbacks.send(uri, callbacks.arranged([event], self.callback_order)))

    async def _finish(self, recording: Recording) -> None:
        if recording.ended is None:
            raise RuntimeError("only an ended recording is finished")
        length = repeat(round(self.options.chunk_duration * 1000))
        plans = split(recording.started, recording.ended, recording.closed_pauses(recording.ended), length)
        if not plans:
            recording.processing = Processing.NOTHING_RECORDED
            return
        form = self.announcement
        due = self.clock.time() + self.options.finalize_delay
        try:
            await self._production.produce(recording, plans, swap_types=form.swap_types)
        except (ValueError, OSError) as exc:
            recording.processing = Processing.FAILED
            recording.problem = str(exc)
            return
        await self.clock.sleep_until(due)
        await self._announce(recording, form)

    async def _announce(
        self, recording: Recording, form: AnnouncementForm, chunks: Sequence[Chunk] | None = None
    ) -> None:
        if form.delay_seconds:
            await self.clock.sleep(form.delay_seconds)
        events = self._events.files_available(recording, form, self.now(), chunks=chunks)
        recording.events_sent += await self.publisher.publish(events)

    # In the background

    def _publish(self, events: Sequence[Event]) -> None:
        async def publish() -> None:
            await self.publisher.publish(events)

        self._spawn(publish())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _LOG.error("work in the background failed", exc_info=problem)
