"""The fault matrix: what fails, at which stage, how often, and what has to come of it.

This table is the one place where expectations stand: the suite runs it, and docs/reliability.md shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.faults.cell import SPOTS, Cell, Family, Outcome, Stage
from tests.faults.storage_proxy import When

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    # A service that always says too small a size has a smaller file, and no client can see the difference: no cell.
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
        # The form of 2021 does not say where to delete.
        yield Cell(fault=name, form=form, wanted=wanted, deletes=form.get("payload") != "2021", **common)
    for name in _OPTIONAL:
        wanted, deletes = {"sizeBytes": SMALL}, name != "deleteLocation"
        yield Cell(fault=f"without {name}", form={"omit": [name]}, wanted=wanted, deletes=deletes, **common)
    for name in _NEEDED:
        yield Cell(
            fault=f"without {name}",
            form={"omit": [name]},
            wanted={"sizeBytes": SMALL},
            outcome=Outcome.REFUSED,
            **common,
        )


_TOPIC: dict[str, dict[str, Any]] = {
    "401": {"kind": "401"},
    "403": {"kind": "403"},
    "404": {"kind": "404"},
    "429 with Retry-After": {"kind": "429", "retryAfter": 1},
    "500": {"kind": "500"},
    "503": {"kind": "503"},
    "connection reset": {"kind": "reset"},
    "500, carried out": {"kind": "500", "taken": True},
    "connection reset, carried out": {"kind": "reset", "taken": True},
}
_BORNE_BY_SDK = {"429 with Retry-After", "500", "503"}
_DELETE: dict[str, dict[str, Any]] = {
    "401": {"kind": "401"},
    "403": {"kind": "403"},
    "409": {"kind": "409"},
    "429 with Retry-After": {"kind": "429", "retryAfter": 1},
    "500": {"kind": "500"},
    "503": {"kind": "503"},
    "a page with 400": {"kind": "html", "status": 400},
    "a page with 200": {"kind": "html", "status": 200},
    "connection reset": {"kind": "reset"},
    "500, carried out": {"kind": "500", "carriedOut": True},
    "connection reset, carried out": {"kind": "reset", "carriedOut": True},
}


def _following_cells() -> Iterator[Cell]:
    for stage, faults, target in ((Stage.TOPIC, _TOPIC, {}), (Stage.DELETE, _DELETE, {"target": "delete"})):
        common: dict[str, Any] = {"family": Family.FOLLOWING, "stage": stage, "wanted": {"sizeBytes": SMALL}}
        for name, fault in faults.items():
            order = {**fault, **target}
            yield Cell(fault=name, order={**order, **_ONCE}, **common)
            # What is carried out at the service is done, however often its answer fails: the next one is a 404.
            if stage is Stage.DELETE and "carriedOut" in fault:
                continue
            often = _OFTEN if stage is Stage.TOPIC and name in _BORNE_BY_SDK else _OFTEN_NOT_BORNE
            yield Cell(fault=f"{name}, again and again", order={**order, **often}, **common)
            yield Cell(fault=f"{name}, for ever", order={**order, **_EVER}, outcome=Outcome.UNFINISHED, **common)
        late = {"kind": "latency", "latencySeconds": 0.5, **target}
        yield Cell(fault="late, for ever", order={**late, **_EVER}, **common)
    topic: dict[str, Any] = {"family": Family.FOLLOWING, "stage": Stage.TOPIC, "wanted": {"sizeBytes": SMALL}}
    yield Cell(fault="no answer until it is cut", order={"kind": "stall", **_ONCE}, **topic)
    yield Cell(fault="no answer until it is cut, carried out", order={"kind": "stall", "taken": True, **_ONCE}, **topic)
    delete: dict[str, Any] = {"family": Family.FOLLOWING, "stage": Stage.DELETE, "wanted": {"sizeBytes": SMALL}}
    order = {"kind": "latency", "latencySeconds": 600, "target": "delete"}
    yield Cell(fault="no answer until it is cut", order={**order, **_ONCE}, **delete)
    # An answer that there is no such file cannot be distinguished from a deletion.
    yield Cell(fault="404", order={"kind": "404", "target": "delete", **_ONCE}, deletes=False, **delete)
    order = {"kind": "redirect", "target": "delete"}
    yield Cell(fault="redirect to another trusted origin", order={**order, **_ONCE}, **delete)
    order |= {"location": FOREIGN, **_EVER}
    yield Cell(fault="redirect to a foreign origin, for ever", order=order, outcome=Outcome.REFUSED, **delete)


def _control_cells() -> Iterator[Cell]:
    faults: dict[str, dict[str, Any]] = {
        "503": {"kind": "503"},
        "429 with Retry-After": {"kind": "429", "retryAfter": 1},
        "500": {"kind": "500"},
        "connection reset": {"kind": "reset"},
        "late": {"kind": "latency", "latencySeconds": 1},
    }
    carried_out: dict[str, dict[str, Any]] = {
        "500, carried out": {"kind": "500", "carriedOut": True},
        "connection reset, carried out": {"kind": "reset", "carriedOut": True},
    }
    for stage in (Stage.START, Stage.PAUSE, Stage.RESUME, Stage.STOP, Stage.GET):
        for name, fault in (faults | ({} if stage is Stage.GET else carried_out)).items():
            yield Cell(family=Family.CONTROL, stage=stage, fault=name, order={**fault, "target": stage.value})
    yield Cell(
        family=Family.CONTROL,
        stage=Stage.START,
        fault="accepted, and fails a second later",
        order={"kind": "start-failed", "target": "start"},
        outcome=Outcome.REPORTED,
    )
    yield Cell(
        family=Family.CONTROL,
        stage=Stage.START,
        fault="401",
        order={"kind": "401", "target": "start"},
        outcome=Outcome.REPORTED,
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
    for stage in (Stage.READBACK, Stage.NOTED):
        yield _storage_cell(
            Family.STORAGE, stage, "403, for ever", status=403, times=float("inf"), outcome=Outcome.UNFINISHED
        )
    for stage in _NEEDED_STAGES:
        yield _storage_cell(
            Family.STORAGE, stage, "403, for ever", status=403, times=float("inf"), outcome=Outcome.WAITING
        )
    yield _storage_cell(Family.STORAGE, Stage.LEDGER, "403, for ever", status=403, times=float("inf"))
    yield _storage_cell(
        Family.STORAGE, Stage.READBACK, "another byte than was written", spoils=True, outcome=Outcome.REFUSED
    )


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
    *_following_cells(),
    *_storage_cells(),
    *_crash_cells(),
)
