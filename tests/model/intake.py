"""The intake: place, start, manifest, the chunk messages, and the open row last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model.operations import (
    Operation,
    StorageError,
    Then,
    batch,
    create,
    merge,
    put,
    read,
    read_for_write,
    replace,
    send,
)
from tests.model.state import NO_GENERATION, Event, Manifest, announced, waiting

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.model.operations import Program, Requests


class Found(NamedTuple):
    """The start of a recording, if there is one; `looked` is false where the table could not be asked."""

    by: str | None
    looked: bool


class Taken(NamedTuple):
    """An event that the manifest has: where, which start is its, and whether the recording is closed."""

    event: Event
    prefix: str
    found: Found
    closed: bool


def intake(without: frozenset[str], event: Event, sent: bool) -> Program:
    """Take an event: find its place, then go on. `sent`: its chunk messages are out."""
    try:
        prefix = event.prefix if event.call is None else (yield from place(without, event))
    except StorageError:
        return (yield from again(without, event, sent))
    if event.recording and event.call:
        return Then("intake_start", (event, sent, prefix))
    return Then("intake_manifest", (event, sent, prefix, Found(None, looked=True)))


def again(without: frozenset[str], event: Event, sent: bool) -> Program:
    """Send the intake's own message again, and succeed; where that fails too, the queue delivers this one again."""
    if "intake-sends-itself-again" in without:
        raise StorageError
    yield send("events", event, sent)
    return None


def place(without: frozenset[str], event: Event) -> Generator[Operation, Any, str]:
    """Find or settle the place of an event's recording."""
    by_call = f"by-call:{event.call}"
    if (yield create(by_call, (event.prefix, event.recording))):
        prefix, owner = event.prefix, event.recording
    else:
        prefix, owner = yield read_for_write(by_call)
        if event.recording and owner is None and "id-claims-by-call" not in without:
            if not (yield replace(by_call, (prefix, event.recording))):
                prefix, owner = yield read(by_call)
            else:
                owner = event.recording
    if event.recording and "by-call-with-its-id" not in without and owner not in (None, event.recording):
        prefix = event.prefix
    return (yield from _by_id(without, event, prefix, owner))


def _by_id(without: frozenset[str], event: Event, prefix: str, owner: str | None) -> Generator[Operation, Any, str]:
    recording = event.recording or owner
    if recording is None or "by-id-wins" in without:
        return prefix
    by_id = f"by-id:{recording}"
    if event.recording is None and "follower-writes-by-id" in without:
        return (yield read(by_id)) or prefix
    if (yield create(by_id, prefix)):
        return prefix
    return str((yield read(by_id)))


def intake_start(without: frozenset[str], event: Event, sent: bool, prefix: str) -> Program:
    """Look for the start that this recording comes from; by call only where exactly one has an unknown outcome."""
    found = Found(None, looked=True)
    if sent and "sent-leaves-out-messages-only" in without:
        return Then("intake_manifest", (event, sent, prefix, found))
    try:
        by = yield read(f"by-recording:{event.recording}")
        if by is not None:
            found = Found(by, looked=True)
        elif "joined-by-call" not in without:
            found = yield from _by_call(without, event, prefix)
        if found.by is not None and (yield read(f"start:{found.by}")) is None:
            found = Found(None, looked=True)
    except StorageError:
        return (yield from again(without, event, sent))
    return Then("intake_manifest", (event, sent, prefix, found))


def _by_call(without: frozenset[str], event: Event, prefix: str) -> Generator[Operation, Any, Found]:
    try:
        rows = (yield read("start-rows")) or ()
    except StorageError:
        return Found(None, looked="looked-again" in without)
    unknown = [start for start, recording in rows if recording is None]
    if not unknown or (len(unknown) > 1 and "exactly-one" not in without):
        return Found(None, looked=True)
    if "no-start-twice" not in without:
        manifest = yield read(f"manifest:{prefix}")
        if manifest and manifest.started_by:
            return Found(None, looked=True)
    key = f"by-recording:{event.recording}"
    if "by-recording-first-wins" in without:
        yield put(key, unknown[0])
        return Found(unknown[0], looked=True)
    if (yield create(key, unknown[0])):
        return Found(unknown[0], looked=True)
    return Found((yield read(key)), looked=True)


def intake_manifest(without: frozenset[str], event: Event, sent: bool, prefix: str, found: Found) -> Program:
    """Announce the event's documents in the manifest, under its ETag."""
    key = f"manifest:{prefix}"
    try:
        if "manifest-before-row" in without:
            yield merge(f"row:{prefix}", "open", None)
        manifest: Manifest | None = yield read_for_write(key)
        new = announced(without, manifest, event, found.by)
        if new != manifest:
            if "manifest-under-etag" in without:
                yield put(key, new)
            elif not (yield create(key, new) if manifest is None else replace(key, new)):
                return Then("intake_manifest", (event, sent, prefix, found))
    except StorageError:
        return (yield from again(without, event, sent))
    names = {d.name for d in event.documents}
    left = tuple(d for d in waiting(without, new) if d in names)
    return Then("intake_messages", (Taken(event, prefix, found, new.closed is not None), sent, left))


def intake_messages(without: frozenset[str], taken: Taken, sent: bool, left: tuple[str, ...]) -> Program:
    """Send the chunk messages, then write the open row."""
    row_first = "messages-before-row" in without
    try:
        if row_first:
            yield from _row(without, taken)
        if not sent or "sent-is-kept" in without:
            for document in left:
                yield send("chunks", taken.prefix, document, *NO_GENERATION)
    except StorageError:
        return (yield from again(without, taken.event, sent))
    if row_first or "manifest-before-row" in without:
        return None
    try:
        yield from _row(without, taken)
    except StorageError:
        return (yield from again(without, taken.event, sent=True))
    if not taken.found.looked:
        return (yield from again(without, taken.event, sent=True))
    return None


def _row(without: frozenset[str], taken: Taken) -> Requests:
    """Write the open row; the start's row takes the recording in the same transaction."""
    opened = merge(f"row:{taken.prefix}", "open", None)
    if taken.found.by is not None and "row-names-recording" not in without:
        yield batch(opened, merge("start-rows", "start joined", (taken.found.by, taken.event.recording)))
    elif not taken.closed:
        yield opened
