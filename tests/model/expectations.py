"""What must hold: at any time (`wrong`), and when all is quiet and only sweeps run (`lost`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.model.state import Manifest, Row, counting, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.scenarios import Scenario

type View = Callable[[str], Any]


def wrong(scenario: Scenario, view: View, without: frozenset[str]) -> str | None:
    """Return what must never be, if it is."""
    if view("overwritten"):
        return f"{view('overwritten')} was overwritten"
    blobs = [(key, view(key)) for key in scenario.all_keys() if key.startswith("blob:") and view(key)]
    contents = [content for _, content in blobs]
    if len(set(contents)) < len(contents):
        return "two archives of one document"
    for prefix, manifest in _manifests(scenario, view):
        for entry in manifest.entries:
            for name, size in entry.copies:
                if view(f"blob:{prefix}/{name}") != (entry.document, size):
                    return f"the manifest says that {entry.document} is archived, and its blob does not have it"
        if manifest.closed and waiting(without, manifest):
            return "closed while a document waits"
        start = dict(scenario.started).get(prefix)
        if scenario.started and manifest.started_by not in (None, start):
            return f"{prefix} says that {manifest.started_by} started it"
    return _misplaced(scenario, view)


def lost(scenario: Scenario, view: View) -> str | None:
    """Return what is missing in the end, if anything."""
    incidents = view("incidents") or frozenset()
    for prefix, manifest in _manifests(scenario, view):
        if "chunks" in scenario.queues:
            for problem in _unfinished(view(f"row:{prefix}"), manifest, incidents, view):
                return problem
        joined = scenario.must_join or any(
            view(f"by-recording:{e.recording}") for e in scenario.events if e.prefix == prefix
        )
        if scenario.started and joined and manifest.started_by is None:
            return f"{prefix} does not say who started it"
    if view("start-rows") not in (None, ()):
        return "the row of a start is left open"
    return _unannounced(scenario, view) or _uncounted(scenario, view)


def uncopied(scenario: Scenario, view: View) -> str | None:
    """Return which of the documents was not copied although only the table was away."""
    blobs = {view(key)[0] for key in scenario.all_keys() if key.startswith("blob:") and view(key)}
    for event in scenario.events:
        for document in event.documents:
            if document.name not in blobs:
                return f"{document.name} is not copied while the table is away"
    return None


def _manifests(scenario: Scenario, view: View) -> Iterator[tuple[str, Manifest]]:
    for prefix in dict.fromkeys(e.prefix for e in scenario.events):
        manifest = view(f"manifest:{prefix}")
        if manifest is not None:
            yield prefix, manifest


def _unfinished(row: Row | None, manifest: Manifest, incidents: frozenset[str], view: View) -> Iterator[str]:
    if row is not None:
        yield "a row is left open"
    if not manifest.closed:
        yield "a recording is left without `closed`"
    yield from _unexplained(manifest, incidents, view)


def _unexplained(manifest: Manifest, incidents: frozenset[str], view: View) -> Iterator[str]:
    for entry in manifest.entries:
        served = view(f"source:{entry.document}")
        if not entry.size and f"over {entry.document}" not in incidents:
            yield f"{entry.document} is not archived, and no incident says so"
        if served and entry.size < served:
            yield f"{entry.document} is archived with {entry.size} of {served}, and the source serves it"
        if len(entry.copies) > 1 and f"superseded {entry.number}" not in incidents:
            yield f"two copies of {entry.document}, and no incident"
    if manifest.closed == "partial" and not any(text.startswith("gap") for text in incidents):
        yield "a gap without an incident"
    shared = {
        e.number for e in manifest.entries if sum(o.number == e.number and o.size > 0 for o in manifest.entries) > 1
    }
    for index in shared:
        if f"superseded {index}" not in incidents:
            yield f"two documents of {index}, and no incident"


def _uncounted(scenario: Scenario, view: View) -> str | None:
    for prefix, manifest in _manifests(scenario, view):
        for index, said in manifest.counts:
            right = counting(manifest.entries, index)
            if right and said != right.document:
                return f"{said} counts for {index} in {prefix}, and the latest event named {right.document}"
    return None


def _unannounced(scenario: Scenario, view: View) -> str | None:
    known = {e.document for _, manifest in _manifests(scenario, view) for e in manifest.entries}
    coming = {a.name: {m[0].name for queue, m in a.sends if queue == "events"} for a in scenario.actions if a.sends}
    for event in scenario.events:
        happened = [view(f"did {name}") for name, names in coming.items() if event.name in names]
        if all(happened) and not {d.name for d in event.documents} <= known:
            return f"{event.name} was taken, and its documents are unknown"
    return None


def _misplaced(scenario: Scenario, view: View) -> str | None:
    """Return whether documents of one recording lie in two places, or those of two in one."""
    places = {e.document: prefix for prefix, manifest in _manifests(scenario, view) for e in manifest.entries}
    taken: dict[str, int] = {}
    for number, group in enumerate(scenario.one_place):
        for document in group:
            if document in places and taken.setdefault(places[document], number) != number:
                return f"two recordings lie in {places[document]}"
        if len({places[d] for d in group if d in places}) > 1:
            return f"the recording of {group} lies in two places"
    return None
