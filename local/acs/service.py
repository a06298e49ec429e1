"""The emulated resource: calls, their recordings, and what happens by itself afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.acs import callbacks, identifiers
from local.acs.calls import Call, Calls
from local.acs.chunks import ChunkPlan, Span, even_lengths, recorded_spans, split
from local.acs.events import Event, EventFactory
from local.acs.media import MediaSpec
from local.acs.metadata import metadata_file
from local.acs.publisher import Publisher
from local.acs.recordings import (
    MAX_CHANNELS,
    ChannelType,
    Chunk,
    Processing,
    Recording,
    RecordingOptions,
    Recordings,
)
from local.acs.store import MediaStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from local.acs.clock import Clock
    from local.acs.forms import AnnouncementForm
    from local.acs.options import AcsOptions

_LOG = logging.getLogger(__name__)

CALL_ENDED = "CallEnded"
#: What is told as the reason when a recording is stopped through the API.
STOPPED = "InitiatorLeft"


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
        The emulator's own origin, for the addresses of stored objects.
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
        self._store = MediaStore(options.media_dir)
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> int:
        """Return emulated time in ms since the epoch."""
        return round(self.clock.time() * 1000)

    def forget_old_media(self) -> None:
        """Delete generated media that has not been used for long."""
        self._store.forget_old()

    async def close(self) -> None:
        """Stop everything that goes on in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.publisher.close()
        await self._callbacks.close()
        self._store.close()

    # Calls

    def start_call(self, participants: Sequence[str], group_call_id: str | None, room_id: str | None) -> Call:
        """Begin a call and publish that it began and who is in it."""
        now = self.now()
        call = self.calls.start(now, participants, group_call_id=group_call_id, room_id=room_id)
        added = [self._events.participant_added(call, participant, now) for participant in call.participants]
        self._publish([self._events.call_started(call), *added])
        return call

    def join_call(self, call: Call, raw_id: str) -> None:
        """Let somebody join."""
        now = self.now()
        participant = self.calls.join(call, raw_id, now)
        if participant is not None:
            self._publish([self._events.participant_added(call, participant, now)])

    def leave_call(self, call: Call, raw_id: str) -> None:
        """Let somebody leave; the call goes on."""
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

    def start_recording(self, call: Call, options: RecordingOptions, *, fails: bool = False) -> Recording:
        """Begin to record; with `fails` the start is accepted and fails a moment later."""
        now = self.now()
        recording = self.recordings.start(
            call, options, now, active_from=now + round(self.options.activation_delay * 1000)
        )
        if fails or options.callback_uri is not None:
            self._spawn(self._begin(recording, fails=fails))
        return recording

    def pause(self, recording: Recording) -> None:
        """Pause a recording."""
        if recording.pause(self.now()):
            self._tell_state(recording)

    def resume(self, recording: Recording) -> None:
        """Resume a recording."""
        if recording.resume(self.now()):
            self._tell_state(recording)

    def stop(self, recording: Recording) -> None:
        """Stop a recording; its files follow by themselves."""
        self._end(recording, self.now(), STOPPED)

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
            await self._produce(recording, plans, size=wanted.size, swap_types=wanted.swap_types)
        except ValueError:
            self.recordings.discard(recording)
            raise
        return recording

    def announce(self, recording: Recording, form: AnnouncementForm) -> None:
        """Publish the events about a recording's files in a given form, after its delay."""
        if form.swap_types:
            for chunk in recording.chunks:
                self._write_metadata(recording, chunk, swap_types=True)
        self._spawn(self._announce(recording, form))

    def _end(self, recording: Recording, now: int, reason: str) -> None:
        recording.end(now, reason)
        self._tell_state(recording)
        self._spawn(self._finish(recording))

    async def _begin(self, recording: Recording, *, fails: bool) -> None:
        uri = recording.options.callback_uri
        if fails:
            await self.clock.sleep_until(recording.active_from / 1000)
            recording.failed = True
            if uri is not None:
                await self._callbacks.send(uri, [callbacks.start_failed(recording, self.now())])
            return
        waiting = callbacks.state_changed(recording, "inactive", self.now(), begun=False)
        batch = [waiting]
        if not recording.options.pause_on_start:
            # Both are put in order together, so that a reversed order can be had; the service posts them 0.1 s apart.
            await self.clock.sleep_until(recording.active_from / 1000)
            batch.append(callbacks.state_changed(recording, "active", self.now(), begun=True))
        if uri is not None:
            await self._callbacks.send(uri, callbacks.arranged(batch, self.callback_order))

    def _tell_state(self, recording: Recording) -> None:
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
            await self._produce(recording, plans, swap_types=form.swap_types)
        except (ValueError, OSError) as exc:
            recording.processing = Processing.FAILED
            recording.problem = str(exc)
            return
        await self.clock.sleep_until(due)
        await self._announce(recording, form)

    async def _announce(self, recording: Recording, form: AnnouncementForm) -> None:
        if form.delay_seconds:
            await self.clock.sleep(form.delay_seconds)
        recording.events_sent += await self.publisher.publish(self._events.files_available(recording, form, self.now()))

    async def _produce(
        self, recording: Recording, plans: Sequence[ChunkPlan], *, size: int | None = None, swap_types: bool = False
    ) -> None:
        recording.processing = Processing.RUNNING
        options = recording.options
        on_channel = recording.channels() if options.channel_type is ChannelType.UNMIXED else {}
        channels = max(on_channel.values(), default=0) + 1

        async def made(plan: ChunkPlan) -> Chunk:
            heard = recording.call.heard(plan.begin, plan.end)
            origin = recording.call.started
            spec = MediaSpec(
                format=options.format,
                spans=tuple(Span(span.begin - origin, span.end - origin) for span in plan.recorded),
                channels=channels,
                voices=max(min(len(heard), MAX_CHANNELS), 1) if channels == 1 else channels,
                frame_rate=self.options.frame_rate,
                title=f"call {recording.call.call_id}",
                lines=tuple(heard[:MAX_CHANNELS]),
            )
            document_id = identifiers.document_id()
            content, digest = await self._store.body(spec, document_id, size)
            chunk = Chunk(
                plan=plan,
                document_id=document_id,
                content=content,
                content_sha256=digest,
                metadata=b"",
                metadata_sha256="",
                participants=[(raw_id, on_channel.get(raw_id)) for raw_id in heard],
                channels=channels,
                available=0,
                expires=0,
            )
            self._write_metadata(recording, chunk, swap_types=swap_types)
            return chunk

        chunks = await asyncio.gather(*(made(plan) for plan in plans))
        now = self.now()
        for chunk in chunks:
            chunk.available, chunk.expires = now, now + round(self.options.retention * 1000)
            self.recordings.store(chunk)
        recording.chunks = list(chunks)
        recording.processing = Processing.READY

    def _write_metadata(self, recording: Recording, chunk: Chunk, *, swap_types: bool) -> None:
        chunk.metadata = metadata_file(
            resource_id=self.resource_id,
            call_id=recording.call.call_id,
            document_id=chunk.document_id,
            plan=chunk.plan,
            options=recording.options,
            channels=chunk.channels,
            frame_rate=self.options.frame_rate,
            participants=chunk.participants,
            swap_types=swap_types,
        )
        chunk.metadata_sha256 = hashlib.sha256(chunk.metadata).hexdigest()

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
