"""The sweep, row by row, the return of poison messages, and reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.chunks import remove_row, write_incidents
from tests.model.operations import drop, merge, put, read, read_for_write, replace, send
from tests.model.state import NO_GENERATION, Event, Manifest, Row, closing, generation, waiting, with_generations

if TYPE_CHECKING:
    from tests.model.operations import Requests


def sweep_row(without: frozenset[str], prefix: str, ident: str) -> Requests:
    """Look at one open row that is due: drive what waits, close what can be closed."""
    row: Row | None = yield read_for_write(f"row:{prefix}")
    if row is None:
        return
    manifest: Manifest | None = yield read_for_write(f"manifest:{prefix}")
    if manifest is None:
        return
    if manifest.closed:
        yield from remove_row(without, prefix, tagged=True)
        return
    left = waiting(without, manifest)
    if left:
        yield from _drive(without, prefix, row, left, ident)
    else:
        yield from _close(without, prefix, manifest)


def _drive(without: frozenset[str], prefix: str, row: Row, left: tuple[str, ...], ident: str) -> Requests:
    """Send a message for each document that waits, then write their generations into the row as it was read."""
    if "sweep-drives" in without:
        return
    sent = tuple((document, generation(row, document)[0] + 1, ident) for document in left)
    new = with_generations(row, sent)
    if "message-before-generation" in without and not (yield replace(f"row:{prefix}", new)):
        return
    for message in sent:
        yield send("chunks", prefix, *message)
    if "generation-under-etag" in without:
        yield put(f"row:{prefix}", new)
    elif "message-before-generation" not in without:
        yield replace(f"row:{prefix}", new)


def _close(without: frozenset[str], prefix: str, manifest: Manifest) -> Requests:
    """Close a recording whose documents are all done; one that lacks some, once no event is expected any more."""
    late = bool((yield read("late")))
    closes = closing(without, manifest, late=late)
    if closes is None:
        return
    status, incidents = closes
    if "incident-first" not in without:
        yield from write_incidents(incidents)
    closed = manifest._replace(closed=status)
    if "manifest-under-etag" in without:
        yield put(f"manifest:{prefix}", closed)
    elif not (yield replace(f"manifest:{prefix}", closed)):
        return
    if "incident-first" in without:
        yield from write_incidents(incidents)
    yield from remove_row(without, prefix, tagged=True)


def sweep_poison(without: frozenset[str], event: Event, sent: bool) -> Requests:
    """Return a poison message to its queue; only then is it deleted."""
    if "poison-is-returned" in without:
        return
    if "poison-sent-before-deleted" in without:
        yield drop("poison", event, sent)
    yield send("events", event, sent)
    if "poison-sent-before-deleted" not in without:
        yield drop("poison", event, sent)


def reconcile(without: frozenset[str], prefix: str) -> Requests:
    """Restore what waits, or is not closed, and has no row: row and messages."""
    if "reconcile-restores" in without:
        return
    manifest: Manifest | None = yield read(f"manifest:{prefix}")
    if manifest is None:
        return
    left = waiting(without, manifest)
    if manifest.closed and not left:
        return
    if (yield read(f"row:{prefix}")) is not None:
        return
    yield merge(f"row:{prefix}", "open", None)
    for document in left:
        yield send("chunks", prefix, document, *NO_GENERATION)
