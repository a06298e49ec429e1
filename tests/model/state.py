"""What is stored, and the pure functions over it: a manifest, a row, the generations in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Document(NamedTuple):
    """A document as an event names it. `ends`: ended, chunk (another follows) or unsaid."""

    name: str
    number: int
    ends: str = "ended"


class Event(NamedTuple):
    """An event as it comes from the service; `time` orders events, `prefix` is the place it would make."""

    name: str
    time: int
    prefix: str
    documents: tuple[Document, ...]
    call: str | None = None
    recording: str | None = None

    def __repr__(self) -> str:
        return self.name


class Entry(NamedTuple):
    """A document in the manifest.

    `named` is the time of the latest event that named it; `asked` the `named` that the manifest had when the source was
    last asked for the document: where a later event has named it since, the source has to be asked again.
    """

    document: str
    number: int
    ends: str
    blob: str
    named: int
    asked: int = 0
    size: int = 0
    over: bool = False
    copies: tuple[tuple[str, int], ...] = ()

    def __repr__(self) -> str:
        state = "over" if self.over else f"archived with {self.size}" if self.size else "waits"
        return f"{self.document} as {self.blob}: {state}, named {self.named}, asked {self.asked}"


class Manifest(NamedTuple):
    """A recording's manifest.

    `closed` is the status it was closed with, `counts` the document that counts for an index.
    """

    entries: tuple[Entry, ...] = ()
    closed: str | None = None
    started_by: str | None = None
    counts: tuple[tuple[int, str], ...] = ()

    def entry(self, document: str) -> Entry | None:
        """The entry of a document."""
        return next((e for e in self.entries if e.document == document), None)


NO_GENERATION = (0, "")
type Row = tuple[tuple[str, tuple[int, str]], ...]


def generation(row: Row | None, document: str) -> tuple[int, str]:
    """The generation of a document's message that a row knows."""
    return dict(row or ()).get(document, NO_GENERATION)


def superseded(without: frozenset[str], row: Row | None, document: str, counter: int, ident: str) -> bool:
    """Whether a message ends itself: a newer one of its document is known to have been sent."""
    if row is None:
        return False
    stored, other = generation(row, document)
    if "equal-generation-of-another-id" in without:
        return stored >= counter > 0
    return stored > counter or (stored == counter and other != ident)


def with_generations(row: Row, sent: tuple[tuple[str, int, str], ...]) -> Row:
    """The row after messages of these generations were sent."""
    known = dict(row)
    known.update({document: (counter, ident) for document, counter, ident in sent})
    return tuple(sorted(known.items()))


def waits(without: frozenset[str], entry: Entry) -> bool:
    """Whether a document has something left to do: it is neither archived nor over, or was named again since."""
    if not entry.size and not entry.over:
        return True
    return entry.asked < entry.named and "named-again-waits" not in without


def waiting(without: frozenset[str], manifest: Manifest) -> tuple[str, ...]:
    """The documents that wait."""
    return tuple(e.document for e in manifest.entries if waits(without, e))


def announced(without: frozenset[str], manifest: Manifest | None, event: Event, started_by: str | None) -> Manifest:
    """The manifest with what an event says; unchanged where that is known already."""
    manifest = manifest or Manifest()
    entries = list(manifest.entries)
    for document in event.documents:
        known = manifest.entry(document.name)
        if known is None:
            first = not any(e.number == document.number for e in entries)
            blob = (
                f"{document.number:04}"
                if first or "name-a-document" in without
                else f"{document.number:04}~{document.name}"
            )
            entries.append(Entry(document.name, document.number, document.ends, blob, event.time))
        elif known.named < event.time:
            entries[entries.index(known)] = known._replace(named=event.time, over=False)
    entries.sort()
    new = manifest._replace(entries=tuple(entries), started_by=manifest.started_by or started_by)
    if waiting(without, new) and "event-removes-closed" not in without:
        new = new._replace(closed=None)
    return new


def counting(entries: tuple[Entry, ...], index: int) -> Entry | None:
    """The document that counts for an index: the latest event's of those that are archived."""
    archived = [e for e in entries if e.number == index and e.size]
    return max(archived, key=lambda e: (e.named, e.document), default=None)


def closing(without: frozenset[str], manifest: Manifest, *, late: bool) -> tuple[str, tuple[str, ...]] | None:
    """The status with which a recording can be closed, and the incidents for that; None while it cannot be."""
    if waiting(without, manifest) and "waits-for-every-document" not in without:
        return None
    chosen: dict[int, Entry | None] = {e.number: counting(manifest.entries, e.number) for e in manifest.entries}
    if any(not e.size and not e.over for e in manifest.entries if chosen[e.number] is None):
        return None
    last = max(chosen)
    ends = next(e.ends for e in manifest.entries if e.number == last)
    missing = tuple(str(i) for i in range(last) if i not in chosen)
    if not late and (missing or ends != "ended"):
        return None
    if any(entry is None for entry in chosen.values()):
        return "failed", ()
    if missing or ends == "chunk":
        return "partial", tuple(f"gap {i}" for i in (*missing, *([str(last + 1)] if ends == "chunk" else [])))
    return "complete", ()


def with_copy(
    without: frozenset[str], manifest: Manifest, document: str, copied: tuple[str, int], asked: int
) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest with a copy of a document, and the incidents for what that supersedes."""
    entry, (blob, size) = manifest.entry(document), copied
    if entry is None:
        raise AssertionError("a chunk message follows its manifest")
    copies = tuple(sorted({*entry.copies, (blob, size)}))
    larger = max(copies, key=lambda copy: copy[1])
    new = entry._replace(
        blob=larger[0] if entry.size else blob, size=larger[1], copies=copies, asked=max(entry.asked, asked), over=False
    )
    entries = tuple(sorted(new if e is entry else e for e in manifest.entries))
    chosen = None if "latest-event-counts" in without else counting(entries, entry.number)
    counts = {**dict(manifest.counts), entry.number: chosen.document if chosen else document}
    changed = manifest._replace(entries=entries, counts=tuple(sorted(counts.items())))
    others = any(e.size for e in manifest.entries if e.number == entry.number and e is not entry)
    supersedes = others and not entry.size
    return changed, (f"superseded {entry.number}",) if supersedes or len(copies) > 1 else ()


def given_up(manifest: Manifest, document: str, asked: int) -> Manifest:
    """The manifest with a document that the source no longer has: over, or as archived before."""
    return manifest._replace(
        entries=tuple(
            e._replace(over=not e.size, asked=max(e.asked, asked)) if e.document == document else e
            for e in manifest.entries
        )
    )


def _joined(rows: tuple[tuple[str, str | None], ...] | None, argument: tuple[str, str | None]) -> Any:
    return tuple(sorted({**dict(rows or ()), argument[0]: argument[1]}.items()))


def _joined_if_open(rows: tuple[tuple[str, str | None], ...] | None, argument: tuple[str, str | None]) -> Any:
    return _joined(rows, argument) if argument[0] in dict(rows or ()) else rows


def _open(rows: tuple[tuple[str, str | None], ...] | None, start: str) -> Any:
    return rows if start in dict(rows or ()) else _joined(rows, (start, None))


def _gone(rows: tuple[tuple[str, str | None], ...] | None, start: str) -> Any:
    return tuple(row for row in rows or () if row[0] != start)


CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "open": lambda row, _: row or (),
    "add": lambda texts, text: (texts or frozenset()) | {text},
    "start opens": _open,
    "start joined": _joined_if_open,
    "start gone": _gone,
}
"""What `merge` can do to a value in one request."""
