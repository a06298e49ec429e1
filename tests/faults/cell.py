"""What a cell of the fault matrix is: a fault, a stage, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.faults.storage_proxy import Operation, When


class Outcome(StrEnum):
    """What has to come of a recording."""

    ARCHIVED = "archived"
    UNFINISHED = "unfinished"
    WAITING = "waiting"
    REFUSED = "refused"
    REPORTED = "reported"


MEANINGS = {
    Outcome.ARCHIVED: "the archive is complete and byte for byte what the service had, everything in it once; it was "
    "announced, under one id, and the service's copy is deleted",
    Outcome.UNFINISHED: "the archive is complete and right; the announcement or the deletion is still to come, its "
    "tries are counted with the recording, and once the fault is gone it is done by itself",
    Outcome.WAITING: "it is on the operator's list as announced and not archived, tries go on, "
    "and once the fault is gone it is archived by itself",
    Outcome.REFUSED: "it is on the operator's list with the reason, as something that no retry fixes; "
    "the service's copy is left alone",
    Outcome.REPORTED: "the caller gets the error, in the answer or in the recording's state; there is no recording",
}


class Family(StrEnum):
    """The parts of the matrix, each a table of its own."""

    SOURCE = "The service's files"
    EVENT = "Events"
    CONTROL = "Control of recordings"
    FOLLOWING = "What follows: the announcement, and the deletion at the service"
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
    READBACK = "read back"
    NOTED = "deletion noted"
    DEQUEUE = "queue, delete"
    TOPIC = "topic"
    DELETE = "delete"


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
    Stage.READBACK: Spot(Operation.GET_BLOB, "{recording}/0000.mp3"),
    Stage.NOTED: Spot(Operation.PUT_BLOB, "{recording}/manifest.json", passing=2),
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
        For the ACS emulator: a fault for the recording's chunk. For the Event Grid emulator, at the topic: one for the
        recording's announcement.
    form
        For the ACS emulator: how the recording is announced.
    wanted
        What the recording is like.
    status, when, times, spoils
        For the storage proxy: what is answered (None: the connection is reset), whether the request is carried out all
        the same, and how often; or that what is read is another.
    deletes
        Whether the service's copy is gone in the end.
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
    spoils: bool = False
    deletes: bool = True

    @property
    def name(self) -> str:
        """Its name as a test's."""
        return f"{self.stage}: {self.fault}"
