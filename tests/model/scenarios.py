"""What happens in the world: events, messages, what goes wrong and how often, and what must hold then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model import expectations
from tests.model.state import Document, Event, announced

if TYPE_CHECKING:
    from collections.abc import Callable

type Message = tuple[str, tuple[Any, ...]]


class Action(NamedTuple):
    """Something that happens once at any time (or when a process asks for it): what it stores, and what it sends.

    `eventually`: in the end it happens in any case; where it is false, it may also never happen.
    """

    name: str
    sets: tuple[tuple[str, Any], ...] = ()
    sends: tuple[Message, ...] = ()
    after: str = ""
    eventually: bool = False
    asked: bool = False
    result: Any = None


class Starter(NamedTuple):
    """A process that begins at any time, as often as its budget says; `repairs`: a sweep's, which comes again."""

    process: str
    arguments: tuple[Any, ...]
    budget: str
    needs: str | None = None
    with_id: bool = False
    repairs: bool = True


@dataclass(frozen=True)
class Scenario:
    """A part of the protocol with what can go wrong in it. `budget` says how often, `at_once` how many are at work."""

    name: str
    events: tuple[Event, ...]
    budget: dict[str, int]
    messages: tuple[Message, ...] = ()
    stored: tuple[tuple[str, Any], ...] = ()
    actions: tuple[Action, ...] = ()
    starters: tuple[Starter, ...] = ()
    at_once: int = 2
    started: tuple[tuple[str, str], ...] = ()
    """Which start each recording comes from: prefix and start."""
    must_join: bool = True
    """Whether that can be found out in the end, whatever happens; if not, it must only never be wrong."""
    queues: tuple[str, ...] = ("events", "chunks", "callbacks")
    """The queues whose messages are delivered here: a scenario of places or starts can do without the copies."""
    copies_without_table: bool = False
    one_place: tuple[tuple[str, ...], ...] = ()
    """Documents that belong into one place, a group a recording; those of different groups into different ones."""

    def all_keys(self) -> tuple[str, ...]:
        """All keys that this scenario's storage can have."""
        prefixes = sorted({e.prefix for e in self.events})
        documents = {d.name: d for e in self.events for d in e.documents}
        keys = ["table away", "late", "incidents", "overwritten", "start-rows"]
        keys += [f"did {a.name}" for a in self.actions]
        keys += [f"source:{d}" for d in documents]
        keys += [f"{kind}:{p}" for p in prefixes for kind in ("manifest", "row")]
        names = {f"{d.number:04}{v}" for d in documents.values() for v in ("", *(f"~{n}" for n in documents))}
        keys += [f"blob:{p}/{n}{v}" for p in prefixes for n in sorted(names) for v in ("", "~v2", "~v3", "~v4")]
        keys += [f"by-call:{c}" for c in sorted({e.call for e in self.events if e.call})]
        recordings = sorted({e.recording for e in self.events if e.recording})
        keys += [f"{kind}:{r}" for r in recordings for kind in ("by-id", "by-recording")]
        keys += [f"start:{s}" for _, s in self.started]
        return tuple(dict.fromkeys(keys))

    def may_be_lost(self, queue: str, message: tuple[Any, ...], view: Callable[[str], Any]) -> bool:
        """Whether a loss must be made up for: an event's only once it is in the manifest, and where reconcile runs."""
        if queue != "events":
            return True
        reconciled = any(s.process == "reconcile" for s in self.starters)
        manifest = view(f"manifest:{message[0].prefix}") if reconciled else None
        return manifest is not None and all(manifest.entry(d.name) for d in message[0].documents)

    def wrong(self, view: Callable[[str], Any], without: frozenset[str]) -> str | None:
        """What must never be: see `expectations`."""
        return expectations.wrong(self, view, without)

    def lost(self, view: Callable[[str], Any]) -> str | None:
        """What must not be left in the end."""
        return expectations.lost(self, view)

    def uncopied(self, view: Callable[[str], Any]) -> str | None:
        """Which document was not copied while the table was away."""
        return expectations.uncopied(self, view)


def _sources(*documents: str) -> tuple[tuple[str, Any], ...]:
    return tuple((f"source:{d}", 1) for d in documents)


def _sweeps(*prefixes: str) -> tuple[Starter, ...]:
    return tuple(Starter("sweep_row", (p,), "sweep", f"row:{p}", with_id=True) for p in prefixes)


FIRST = Event("e1", 1, "P", (Document("a", 0, "chunk"),))
LAST = Event("e2", 2, "P", (Document("b", 1),))
ONLY = Event("e1", 1, "P", (Document("a", 0),))
AGAIN = Event("e2", 2, "P", (Document("a", 0),))
OTHER = Event("e2", 2, "P", (Document("b", 0),))
AWAY = (
    Action("the table goes away", (("table away", True),)),
    Action("the table is back", (("table away", None),), after="the table goes away", eventually=True),
)
LATE = Action("no event is expected any more", (("late", True),), eventually=True)
LARGER = Action("the service has a larger file", (("source:a", 2),), (("events", (AGAIN, False)),))


def _events(*events: Event) -> tuple[Message, ...]:
    return tuple(("events", (event, False)) for event in events)


def _service(start: str, recording: str, event: Event) -> Action:
    sends = (("callbacks", (start, recording)), *_events(event))
    return Action(f"service {start}", (), sends, asked=True, result=recording)


def _starts(start: str) -> tuple[Starter, ...]:
    return (Starter("start", (start,), "start", repairs=False),)


EARLY = Event("e1", 1, "P", (Document("a", 0),), "c1", "X")
MIDNIGHT = Event("e2", 2, "P2", (Document("b", 1),), "c2", "X")
NAMELESS = Event("e3", 3, "P3", (Document("c", 2),), "c1")
TWIN = Event("e4", 4, "P4", (Document("d", 0),), "c1", "Y")
STARTED = EARLY
SECOND = Event("e2", 2, "Q", (Document("b", 0),), "c1", "Y")
MORE = Event("e3", 3, "P", (Document("c", 1),), "c1", "X")

SCENARIOS = (
    Scenario(
        "two events of a recording, each of which could be its last",
        (ONLY, LAST),
        {"crash": 1, "lose": 1, "sweep": 1},
        _events(ONLY, LAST),
        _sources("a", "b"),
        starters=_sweeps("P"),
    ),
    Scenario(
        "one event delivered twice, a doubled message, three at work",
        (ONLY,),
        {"crash": 1, "double": 1, "sweep": 1},
        _events(ONLY, ONLY),
        _sources("a"),
        starters=_sweeps("P"),
        at_once=3,
    ),
    Scenario(
        "sweeps that overlap, and lost messages",
        (ONLY,),
        {"lose": 1, "sweep": 3},
        _events(ONLY),
        _sources("a"),
        starters=_sweeps("P"),
        at_once=3,
    ),
    Scenario(
        "the table is away for a while, a request fails",
        (ONLY,),
        {"error": 1, "crash": 1, "sweep": 1},
        _events(ONLY),
        _sources("a"),
        AWAY,
        _sweeps("P"),
        copies_without_table=True,
    ),
    Scenario(
        "a request fails or its answer is lost, a crash",
        (ONLY,),
        {"error": 2, "crash": 1, "sweep": 1},
        _events(ONLY),
        _sources("a"),
        starters=_sweeps("P"),
    ),
    Scenario(
        "an event becomes poison and is returned",
        (ONLY,),
        {"poison": 2, "crash": 1, "sweep": 2},
        _events(ONLY),
        _sources("a"),
        starters=_sweeps("P"),
    ),
    Scenario(
        "two documents of one index",
        (ONLY, OTHER),
        {"crash": 1, "sweep": 1},
        _events(ONLY, OTHER),
        _sources("a", "b"),
        starters=_sweeps("P"),
    ),
    Scenario(
        "a document is named again, with a larger file",
        (ONLY, AGAIN),
        {"crash": 1, "lose": 1, "sweep": 1},
        _events(ONLY),
        _sources("a"),
        (LARGER,),
        _sweeps("P"),
    ),
    Scenario(
        "the source no longer has a document",
        (FIRST, LAST),
        {"crash": 1, "sweep": 1},
        _events(FIRST, LAST),
        _sources("a", "b"),
        (Action("the source no longer has a", (("source:a", None),)),),
        _sweeps("P"),
    ),
    Scenario(
        "the last event comes late, or never",
        (FIRST, LAST),
        {"crash": 1, "sweep": 1},
        _events(FIRST),
        _sources("a", "b"),
        (LATE, Action("the last event comes", (), _events(LAST))),
        _sweeps("P"),
    ),
    Scenario(
        "reconcile restores what has no row",
        (ONLY,),
        {"lose": 2, "crash": 1, "reconcile": 1, "sweep": 1},
        _events(ONLY),
        _sources("a"),
        starters=(*_sweeps("P"), Starter("reconcile", ("P",), "reconcile")),
    ),
    Scenario(
        "events of one recording with two start times, and one without its id",
        (EARLY, MIDNIGHT, NAMELESS),
        {"crash": 1},
        _events(EARLY, MIDNIGHT, NAMELESS),
        (("by-call:c1", ("P", "X")),),
        queues=("events",),
        one_place=(("a", "b", "c"),),
    ),
    Scenario(
        "two recordings of one call with one start time, and an event without an id",
        (NAMELESS, EARLY, TWIN),
        {"crash": 1},
        _events(NAMELESS, EARLY, TWIN),
        queues=("events",),
        one_place=(("a",), ("d",)),
    ),
    Scenario(
        "a start that is joined by its answer, a callback, or the call",
        (STARTED,),
        {"crash": 1, "lose": 1, "start": 2, "sweep": 1},
        actions=(_service("A", "X", STARTED), LATE._replace(asked=True)),
        starters=(*_starts("A"), Starter("sweep_start", ("A",), "sweep", "start-rows")),
        queues=("events", "callbacks"),
        started=(("P", "A"),),
    ),
    Scenario(
        "a start while the table is away",
        (STARTED,),
        {"start": 1, "sweep": 1},
        actions=(*AWAY, _service("A", "X", STARTED), LATE._replace(asked=True)),
        starters=(
            *_starts("A"),
            Starter("sweep_start", ("A",), "sweep", "start-rows"),
            Starter("reconcile_start", ("X",), "sweep", "by-recording:X"),
        ),
        queues=("events", "callbacks"),
        started=(("P", "A"),),
    ),
    Scenario(
        "an event joins by call while the table is away",
        (STARTED,),
        {"crash": 1, "sweep": 1},
        _events(STARTED),
        (("start:A", "A"), ("start-rows", (("A", None),))),
        (*AWAY, LATE._replace(asked=True)),
        (Starter("sweep_start", ("A",), "sweep", "start-rows"),),
        queues=("events",),
        started=(("P", "A"),),
    ),
    Scenario(
        "two starts of one call",
        (STARTED, SECOND),
        {"crash": 1, "start": 1, "start B": 1},
        actions=(_service("A", "X", STARTED), _service("B", "Y", SECOND), LATE._replace(asked=True)),
        starters=(
            *_starts("A"),
            Starter("start", ("B",), "start B", repairs=False),
            *(Starter("sweep_start", (name,), "sweep", "start-rows") for name in "AB"),
        ),
        queues=("events", "callbacks"),
        started=(("P", "A"), ("Q", "B")),
        must_join=False,
    ),
    Scenario(
        "the blobs of a joined start are deleted",
        (STARTED,),
        {"crash": 1, "clean": 1},
        (*_events(STARTED), ("callbacks", ("A", "X"))),
        (*_sources("a"), ("start:A", "A"), ("start-rows", (("A", None),))),
        (LATE._replace(asked=True),),
        (
            *_sweeps("P"),
            Starter("sweep_start", ("A",), "sweep", "start-rows"),
            Starter("clean_up", ("P", "A", "X"), "clean", "by-recording:X"),
        ),
        started=(("P", "A"),),
    ),
    Scenario(
        "a late event of a recording whose start is known, and another start of its call",
        (STARTED, MORE, SECOND),
        {"crash": 1},
        _events(MORE, SECOND),
        (
            ("by-call:c1", ("P", "X")),
            ("by-id:X", "P"),
            ("manifest:P", announced(frozenset(), None, STARTED, "A")),
            ("start:B", "B"),
            ("start-rows", (("B", None),)),
        ),
        (LATE._replace(asked=True),),
        (Starter("sweep_start", ("B",), "sweep", "start-rows"),),
        queues=("events",),
        started=(("P", "A"), ("Q", "B")),
    ),
)
