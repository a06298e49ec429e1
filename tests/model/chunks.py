"""The chunk archiver: one message, one document."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model.operations import (
    Operation,
    StorageError,
    Then,
    create,
    delete,
    incident,
    put,
    read,
    read_for_write,
    replace,
)
from tests.model.state import Manifest, closing, given_up, superseded, waits, with_copy

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.model.operations import Program, Requests


class Job(NamedTuple):
    """A document to copy: to which blob, and the latest event that the manifest had before the source was asked."""

    prefix: str
    document: str
    blob: str
    named: int


def worker(without: frozenset[str], prefix: str, document: str, counter: int, ident: str) -> Program:
    """See whether the message still has something to do."""
    try:
        row = yield read(f"row:{prefix}")
    except StorageError:
        if "unreadable-row-goes-on" in without:
            raise
        row = None
    if row is None and "no-row-goes-on" in without:
        return None
    if superseded(without, row, document, counter, ident):
        return None
    manifest: Manifest = yield read(f"manifest:{prefix}")
    entry = manifest.entry(document)
    if entry is None or not waits(without, entry):
        return None
    return Then("copy", (Job(prefix, document, entry.blob, entry.named), 1))


def copy(without: frozenset[str], job: Job, number: int) -> Program:
    """Ask the source, and copy under the first free name, unless the same bytes are committed there already."""
    first = job.blob.partition("~v")[0]
    job = job._replace(blob=first if number == 1 else f"{first}~v{number}")
    key = f"blob:{job.prefix}/{job.blob}"
    there = yield read(key)
    if there is not None and there[0] == job.document and "ask-the-size" in without:
        return Then("record", (job, there[1]))
    size = yield read(f"source:{job.document}")
    if size is None:
        return Then("record", (job, None))
    if there is not None:
        same = there == (job.document, size) and "compare-digests" not in without
        return Then("record", (job, size)) if same else Then("copy", (job, number + 1))
    if "commit-if-none-match" in without:
        yield put(key, (job.document, size))
    elif not (yield create(key, (job.document, size))):
        return Then("copy", (job, number))
    return Then("record", (job, size))


def record(without: frozenset[str], job: Job, size: int | None) -> Program:
    """Write the outcome into the manifest, close the recording where that can be, and delete its row then.

    `size` is None where the source no longer has the document. The row is read before the manifest.
    """
    key = f"manifest:{job.prefix}"
    tagged = "row-before-manifest" not in without and (yield from _row(job.prefix))
    manifest: Manifest = yield read_for_write(key)
    new, incidents = outcome(without, manifest, job, size)
    if "incident-first" not in without:
        yield from write_incidents(incidents)
    if "manifest-under-etag" in without:
        yield put(key, new)
    elif not (yield replace(key, new)):
        return Then("record", (job, size))
    if "incident-first" in without:
        yield from write_incidents(incidents)
    if new.closed and "row-before-manifest" in without:
        tagged = yield from _row(job.prefix)
    if new.closed:
        yield from remove_row(without, job.prefix, tagged)
    return None


def outcome(
    without: frozenset[str], manifest: Manifest, job: Job, size: int | None
) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest after a copy, or after the source had none, and the incidents for it."""
    entry = manifest.entry(job.document)
    named = entry.named if entry and "seen-before-asking" in without else job.named
    incidents: tuple[str, ...] = (f"over {job.document}",)
    if size is None:
        new = given_up(manifest, job.document, named)
    else:
        new, incidents = with_copy(without, manifest, job.document, (job.blob, size), named)
    closes = closing(without, new, late=False)
    return new._replace(closed=closes[0] if closes else manifest.closed), incidents


def write_incidents(incidents: tuple[str, ...]) -> Requests:
    """Write each incident."""
    for text in incidents:
        yield incident(text)


def _row(prefix: str) -> Generator[Operation, Any, bool]:
    """Read the row for its ETag; False where there is none, or where it cannot be read."""
    try:
        return (yield read_for_write(f"row:{prefix}")) is not None
    except StorageError:
        return False


def remove_row(without: frozenset[str], prefix: str, tagged: bool) -> Requests:
    """Delete the row as it was read before the manifest; what cannot be deleted is left to the sweep."""
    with suppress(StorageError):
        if "row-under-etag" in without:
            yield put(f"row:{prefix}", None)
        elif tagged:
            yield delete(f"row:{prefix}")
