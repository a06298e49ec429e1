"""The fault matrix: what fails, at which stage, how often, and what has to come of it.

This table is the one place where expectations stand: the suite runs it, and docs/reliability.md shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.faults.storage_proxy import Operation, When

if TYPE_CHECKING:
    from collections.abc import Iterator


class Outcome(StrEnum):
    """What has to come of a recording."""

    ARCHIVED = "archived"
    WAITING = "waiting"
    REFUSED = "refused"
    TOLD = "told"


MEANINGS = {
    Outcome.ARCHIVED: "the archive is complete and byte for byte what the service had, everything in it once",
    Outcome.WAITING: "it is on the operator's list as announced and not archived, tries go on, "
    "and once the fault is gone it is archived by itself",
    Outcome.REFUSED: "it is on the operator's list with the reason, as something that no further try will mend",
    Outcome.TOLD: "whoever asked is told, in the answer or in the recording's state; no recording was made",
}


class Family(StrEnum):
    """The parts of the matrix, each a table of its own."""

    SOURCE = "The service's files"
    EVENT = "Events"
    CONTROL = "Control of recordings"
    STORAGE = "The archive's storage"
    CRASH = "The Functions host is killed (SIGKILL)"


class Stage(StrEnum):
    """Where it fails; the columns of the tables."""

    MEDIA = "media"
    METADATA = "metadata"
    DELIVERY = "event delivery"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    GET = "get"
    PLACE = "place"
    KEEPING = "event kept"
    ANNOUNCEMENT = "announcement"
    QUEUE = "queue, send"
    BLOCK = "block"
    COMMIT = "commit"
    SINGLE = "commit of a small file"
    METADATA_COMMIT = "metadata commit"
    MANIFEST = "manifest"
    LEDGER = "ledger"
    DEQUEUE = "queue, delete"


@dataclass(frozen=True, slots=True)
class Spot:
    """The request to storage at which a stage can be hit.

    Attributes
    ----------
    operation
        What it does.
    needle
        What its path or its message holds, where `{recording}`, `{call}` and `{document}` stand for the ids.
    passing
        How many such requests of the same recording belong to earlier stages.
    """

    operation: Operation
    needle: str
    passing: int = 0


SPOTS: dict[Stage, Spot] = {
    Stage.PLACE: Spot(Operation.PUT_BLOB, "/calls/call.{call}"),
    Stage.KEEPING: Spot(Operation.PUT_BLOB, "{recording}/events/"),
    Stage.ANNOUNCEMENT: Spot(Operation.PUT_BLOB, "{recording}/manifest.json"),
    Stage.QUEUE: Spot(Operation.PUT_MESSAGE, "{document}"),
    Stage.BLOCK: Spot(Operation.PUT_BLOCK, "{recording}/"),
    Stage.COMMIT: Spot(Operation.PUT_BLOCK_LIST, "{recording}/"),
    Stage.SINGLE: Spot(Operation.PUT_BLOB, "{recording}/0000.mp3"),
    Stage.METADATA_COMMIT: Spot(Operation.PUT_BLOB, "{recording}/0000.metadata.json"),
    Stage.MANIFEST: Spot(Operation.PUT_BLOB, "{recording}/manifest.json", passing=1),
    Stage.LEDGER: Spot(Operation.WRITE_ENTITY, "{recording}"),
    Stage.DEQUEUE: Spot(Operation.DELETE_MESSAGE, "{document}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One fault at one stage.

    Attributes
    ----------
    family, stage, fault
        Where it stands in the report.
    outcome
        What has to come of it.
    order
        For the ACS emulator: a fault for the recording's chunk.
    form
        For the ACS emulator: how the recording is announced.
    wanted
        What the recording is like.
    status, when, times
        For the storage proxy: what is answered (None: the connection is reset), whether the request is carried out all
        the same, and how often.
    """

    family: Family
    stage: Stage
    fault: str
    outcome: Outcome = Outcome.ARCHIVED
    order: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] = field(default_factory=dict)
    wanted: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    when: When = When.BEFORE
    times: float = 1

    @property
    def name(self) -> str:
        """Its name as a test's."""
        return f"{self.stage}: {self.fault}"


FOREIGN = "http://localhost:9/elsewhere"
"""A location at an origin that is not trusted; nothing listens there."""

SMALL, BLOCKS = 60_000, 1_600_000
"""Bytes of a file that is sent in one request, and of one that is staged in two blocks of 1 MiB."""

_ONCE: dict[str, Any] = {"times": 1}
# More than one try bears in place, so that the message goes back to the queue. Some are not borne in place at all.
_OFTEN: dict[str, Any] = {"times": 6}
_OFTEN_NOT_BORNE: dict[str, Any] = {"times": 3}
_NOT_BORNE = {"404", "a page with 200", "a page with 400", "an empty file", "Content-Length too small"}
_EVER: dict[str, Any] = {"times": None}

# A fault, what it takes at the media and at the metadata, and what comes of it when it never ends.
_SOURCE: dict[str, tuple[dict[str, Any], dict[str, Any], Outcome]] = {
    "503": ({"kind": "503"}, {}, Outcome.WAITING),
    "429 with Retry-After": ({"kind": "429", "retryAfter": 1}, {}, Outcome.WAITING),
    "500": ({"kind": "500"}, {}, Outcome.WAITING),
    "401": ({"kind": "401"}, {}, Outcome.WAITING),
    "404": ({"kind": "404"}, {}, Outcome.WAITING),
    "a page with 200": ({"kind": "html", "status": 200}, {}, Outcome.WAITING),
    "a page with 400": ({"kind": "html", "status": 400}, {}, Outcome.WAITING),
    "an empty file": ({"kind": "empty"}, {}, Outcome.WAITING),
    "connection reset": ({"kind": "reset"}, {}, Outcome.WAITING),
    "Content-Length too large": ({"kind": "wrong-length", "delta": 50}, {}, Outcome.WAITING),
    "Content-Length too small": ({"kind": "wrong-length", "delta": -50}, {}, Outcome.WAITING),
    # What breaks after it has begun goes on from there: each try brings the media further, but never the metadata.
    "body cut short": ({"kind": "cut", "afterBytes": 120_000}, {"afterBytes": 40}, Outcome.WAITING),
    "connection reset in mid-body": ({"kind": "reset", "afterBytes": 120_000}, {"afterBytes": 40}, Outcome.WAITING),
}
_GOES_ON = {"body cut short", "connection reset in mid-body"}
# These bend or slow answers down, and no more.
_MILD: dict[str, dict[str, Any]] = {
    "slow": {"kind": "rate", "bytesPerSecond": 200_000},
    "late": {"kind": "latency", "latencySeconds": 0.5},
    "stalls for 2 s": {"kind": "stall", "stallSeconds": 2},
    "range ignored": {"kind": "ignore-range"},
    "Content-Range with 200": {"kind": "range-200"},
    "redirect to another trusted origin": {"kind": "redirect"},
}


def _source_cells() -> Iterator[Cell]:
    for stage, target in ((Stage.MEDIA, "content"), (Stage.METADATA, "metadata")):
        common: dict[str, Any] = {"family": Family.SOURCE, "stage": stage, "wanted": {"sizeBytes": BLOCKS}}
        for name, (fault, at_metadata, ever) in _SOURCE.items():
            order = {**fault, **(at_metadata if stage is Stage.METADATA else {}), "target": target}
            goes_on = stage is Stage.MEDIA and name in _GOES_ON
            yield Cell(fault=name, order={**order, **_ONCE}, **common)
            often = _OFTEN_NOT_BORNE if name in _NOT_BORNE else _OFTEN
            yield Cell(fault=f"{name}, again and again", order={**order, **often}, **common)
            outcome = Outcome.ARCHIVED if goes_on else ever
            yield Cell(fault=f"{name}, for ever", order={**order, **_EVER}, outcome=outcome, **common)
        for name, fault in _MILD.items():
            yield Cell(fault=f"{name}, for ever", order={**fault, "target": target, **_EVER}, **common)
        yield Cell(fault="stalls until it is cut", order={"kind": "stall", "target": target, **_ONCE}, **common)
        order = {"kind": "redirect", "location": FOREIGN, "target": target, **_EVER}
        yield Cell(fault="redirect to a foreign origin, for ever", order=order, outcome=Outcome.REFUSED, **common)
    for delta, word in ((50, "large"), (-50, "small")):
        order = {"kind": "wrong-total", "delta": delta, "target": "content"}
        common = {"family": Family.SOURCE, "stage": Stage.MEDIA, "wanted": {"sizeBytes": BLOCKS}}
        yield Cell(fault=f"total in Content-Range too {word}", order={**order, **_ONCE}, **common)
    # A service that always says too small a size has a smaller file, as far as anybody can tell: no cell.
    order = {"kind": "wrong-total", "delta": 50, "target": "content", **_EVER}
    yield Cell(fault="total in Content-Range too large, for ever", order=order, outcome=Outcome.WAITING, **common)


_FORMS: dict[str, dict[str, Any]] = {
    "four times": {"duplicates": 3},
    "an event for each chunk, shuffled, three times": {"delivery": "per-chunk", "shuffle": True, "duplicates": 2},
    "merged into one": {"delivery": "merged"},
    "20 s late": {"delaySeconds": 20},
    "form of 2021": {"payload": "2021"},
    "form of 2021, subject with the call only": {"payload": "2021", "subject": "call"},
    "form of 2021, subject with call and serverCallId, three times": {
        "payload": "2021",
        "subject": "call-server",
        "duplicates": 2,
    },
    "subject with call and recordingId": {"subject": "call-recording"},
    "content and channel types swapped": {"swapTypes": True},
}
_NEEDED = ("documentId", "index", "metadataLocation")
_OPTIONAL = (
    "endReason",
    "deleteLocation",
    "recordingStartTime",
    "recordingDurationMs",
    "sessionEndReason",
    "recordingContentType",
    "recordingChannelType",
    "recordingFormatType",
    "recordingId",
    "storageType",
)


def _event_cells() -> Iterator[Cell]:
    common: dict[str, Any] = {"family": Family.EVENT, "stage": Stage.DELIVERY}
    for name, form in _FORMS.items():
        wanted = {"sizeBytes": SMALL, "chunks": 3, "swapTypes": form.get("swapTypes", False)}
        yield Cell(fault=name, form=form, wanted=wanted, **common)
    for name in _OPTIONAL:
        yield Cell(fault=f"without {name}", form={"omit": [name]}, wanted={"sizeBytes": SMALL}, **common)
    for name in _NEEDED:
        yield Cell(
            fault=f"without {name}",
            form={"omit": [name]},
            wanted={"sizeBytes": SMALL},
            outcome=Outcome.REFUSED,
            **common,
        )


def _control_cells() -> Iterator[Cell]:
    faults: dict[str, dict[str, Any]] = {
        "503": {"kind": "503"},
        "429 with Retry-After": {"kind": "429", "retryAfter": 1},
        "500": {"kind": "500"},
        "connection reset": {"kind": "reset"},
        "late": {"kind": "latency", "latencySeconds": 1},
    }
    for stage in (Stage.START, Stage.PAUSE, Stage.RESUME, Stage.STOP, Stage.GET):
        for name, fault in faults.items():
            yield Cell(family=Family.CONTROL, stage=stage, fault=name, order={**fault, "target": stage.value})
    yield Cell(
        family=Family.CONTROL,
        stage=Stage.START,
        fault="accepted, and fails a second later",
        order={"kind": "start-failed", "target": "start"},
        outcome=Outcome.TOLD,
    )
    yield Cell(
        family=Family.CONTROL,
        stage=Stage.START,
        fault="401",
        order={"kind": "401", "target": "start"},
        outcome=Outcome.TOLD,
    )


_STORAGE: dict[str, dict[str, Any]] = {
    "500, not carried out": {"status": 500},
    "500, carried out": {"status": 500, "when": When.AFTER},
    "503, not carried out": {"status": 503},
    "503, carried out": {"status": 503, "when": When.AFTER},
    "connection reset, not carried out": {},
    "connection reset, carried out": {"when": When.AFTER},
    "429": {"status": 429},
    "403, 3 times": {"status": 403, "times": 3},
}
# Without these a recording cannot go on, but it is announced, so it is found.
_NEEDED_STAGES = (Stage.BLOCK, Stage.COMMIT, Stage.SINGLE, Stage.METADATA_COMMIT, Stage.MANIFEST)


def _storage_cells() -> Iterator[Cell]:
    for stage in SPOTS:
        for name, fault in _STORAGE.items():
            yield _storage_cell(Family.STORAGE, stage, name, **fault)
    for stage in _NEEDED_STAGES:
        yield _storage_cell(
            Family.STORAGE, stage, "403, for ever", status=403, times=float("inf"), outcome=Outcome.WAITING
        )
    yield _storage_cell(Family.STORAGE, Stage.LEDGER, "403, for ever", status=403, times=float("inf"))


def _crash_cells() -> Iterator[Cell]:
    for stage in SPOTS:
        for when in When:
            yield _storage_cell(Family.CRASH, stage, f"{when} the request is carried out", when=when)


def _storage_cell(family: Family, stage: Stage, fault: str, **more: Any) -> Cell:
    blocks = stage in {Stage.BLOCK, Stage.COMMIT}
    return Cell(family=family, stage=stage, fault=fault, wanted={"sizeBytes": BLOCKS if blocks else SMALL}, **more)


CELLS: tuple[Cell, ...] = (
    *_source_cells(),
    *_event_cells(),
    *_control_cells(),
    *_storage_cells(),
    *_crash_cells(),
)
