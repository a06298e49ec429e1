"""A start: what is written before the service is asked, and how its recording is joined to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.model.operations import (
    StorageError,
    Then,
    ask,
    create,
    delete,
    merge,
    put,
    read,
    read_for_write,
    replace,
)

if TYPE_CHECKING:
    from tests.model.operations import Program, Requests
    from tests.model.state import Manifest


def start(without: frozenset[str], name: str) -> Program:
    """Start a recording, or repeat that request: blob and row first, then the service is asked."""
    if "written-before-asked" not in without:
        yield from _written(name)
    recording: str | None = yield ask(f"service {name}")
    if "written-before-asked" in without:
        yield from _written(name)
    if recording is None:
        yield from _changed("start gone", name)
        return None
    return Then("join", (name, recording))


def _written(name: str) -> Requests:
    with suppress(StorageError):
        yield create(f"start:{name}", name)
    yield from _changed("start opens", name)


def _changed(change: str, argument: Any) -> Requests:
    """Change the start's row; what cannot be changed now is left to the sweep."""
    with suppress(StorageError):
        yield merge("start-rows", change, argument)


def join(without: frozenset[str], name: str, recording: str) -> Program:
    """Join a start with its recording: by-recording first, then the row knows the outcome, then the manifest."""
    if "outcome-after-by-recording" in without:
        yield from _changed("start joined", (name, recording))
    key = f"by-recording:{recording}"
    if "by-recording-first-wins" in without:
        yield put(key, name)
    elif not (yield create(key, name)):
        joined = yield read(key)
        if joined not in (None, name):
            return None
    if not {"outcome-after-by-recording", "row-names-recording"} & without:
        yield from _changed("start joined", (name, recording))
    prefix = yield read(f"by-id:{recording}")
    if prefix is None:
        if "start-row-waits" in without:
            yield from _changed("start gone", name)
        return None
    return Then("join_manifest", (name, prefix))


def join_manifest(without: frozenset[str], name: str, prefix: str) -> Program:
    """Write `startedBy` into a manifest that has none; only then the start's row goes."""
    key = f"manifest:{prefix}"
    manifest: Manifest | None = yield read_for_write(key)
    if manifest is None:
        if "start-row-waits" in without:
            yield from _changed("start gone", name)
        return None
    known = manifest.started_by or (yield read(f"start:{name}")) is None
    if not known and not (yield replace(key, manifest._replace(started_by=name))):
        return Then("join_manifest", (name, prefix))
    yield from _changed("start gone", name)
    return None


def sweep_start(without: frozenset[str], name: str) -> Program:
    """Look at one start whose row is open."""
    rows = dict((yield read("start-rows")) or ())
    if name not in rows or "sweep-joins" in without:
        return None
    recording = rows[name]
    if recording is None:
        if (yield read("late")):
            yield from _changed("start gone", name)
        return None
    prefix = yield read(f"by-id:{recording}")
    if prefix is None:
        return None
    return Then("join_manifest", (name, prefix))


def clean_up(without: frozenset[str], prefix: str, name: str, recording: str) -> Requests:
    """Delete the blobs of a joined start, once its recording is closed and the manifest has what they say."""
    manifest: Manifest | None = yield read(f"manifest:{prefix}")
    if manifest is None or not manifest.closed:
        return
    if manifest.started_by is None and "start-kept-until-in-manifest" not in without:
        return
    for key in (f"start:{name}", f"by-recording:{recording}"):
        if (yield read_for_write(key)) is not None:
            yield delete(key)


def reconcile_start(without: frozenset[str], recording: str) -> Program:
    """Look at a joined start's blob, whose row may be missing because the table was away."""
    name = yield read(f"by-recording:{recording}")
    prefix = yield read(f"by-id:{recording}")
    if name is None or prefix is None or "reconcile-reads-starts" in without:
        return None
    return Then("join_manifest", (name, prefix))
