"""What a random run does, made from a seed: recordings, what goes wrong with each, and when hosts are killed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.faults.cell import SPOTS, Stage
from tests.faults.storage_proxy import When

DELIVERIES = 3
"""How often each event is delivered."""

REQUESTS_A_RECORDING = 25
"""About how many requests to storage one takes, to spread the kills over the run."""

_SIZES = (20_000, 60_000, 150_000, 400_000, 1_300_000)
_SHARES = (30, 30, 20, 15, 5)
_SOURCE_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "503"},
    {"kind": "429", "retryAfter": 1},
    {"kind": "500"},
    {"kind": "401"},
    {"kind": "404"},
    {"kind": "html", "status": 200},
    {"kind": "html", "status": 400},
    {"kind": "empty"},
    {"kind": "reset"},
    {"kind": "cut", "afterBytes": 60},
    {"kind": "stall", "stallSeconds": 1},
    {"kind": "latency", "latencySeconds": 0.3},
    {"kind": "redirect"},
    {"kind": "wrong-length", "delta": 20},
    {"kind": "ignore-range"},
    {"kind": "range-200"},
)
# What the service answers to a deletion; a 404 or a page with 200 would mean that it is done.
_DELETE_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "503"},
    {"kind": "429", "retryAfter": 1},
    {"kind": "401"},
    {"kind": "reset"},
    {"kind": "redirect"},
    {"kind": "500", "carriedOut": True},
    {"kind": "reset", "carriedOut": True},
)
_TOPIC_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "503"},
    {"kind": "429", "retryAfter": 1},
    {"kind": "401"},
    {"kind": "reset"},
    {"kind": "500", "taken": True},
    {"kind": "reset", "taken": True},
)
# 403 comes back at once; after 5xx and resets the SDK waits 15 s, which is what most of a run's time is spent on.
_STORAGE_FAULTS: tuple[tuple[int | None, When], ...] = (
    (403, When.BEFORE),
    (403, When.BEFORE),
    (429, When.BEFORE),
    (500, When.BEFORE),
    (500, When.AFTER),
    (503, When.AFTER),
    (None, When.BEFORE),
    (None, When.AFTER),
)
_STAGES = tuple(SPOTS)


@dataclass(frozen=True, slots=True)
class PlannedRecording:
    """A recording, how it is announced, and what goes wrong with it.

    Attributes
    ----------
    source
        Faults of the service, each with the index of the chunk that it is for.
    storage
        Faults of the archive's storage.
    topic
        Faults of the topic that it is announced at.
    """

    wanted: dict[str, Any]
    form: dict[str, Any]
    source: tuple[tuple[int, dict[str, Any]], ...]
    storage: tuple[tuple[Stage, int | None, When], ...]
    topic: tuple[dict[str, Any], ...]

    @property
    def deletes(self) -> bool:
        """Whether the event says where the service's copy is deleted."""
        return bool(self.form["payload"] == "current")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done in one run.

    Attributes
    ----------
    kills
        After how many requests to storage which of the two hosts is killed.
    """

    seed: int
    recordings: tuple[PlannedRecording, ...]
    kills: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, seed: int, *, recordings: int, kills: int) -> Plan:
        """Make the plan of a seed."""
        random = Random(seed)
        planned = tuple(_recording(random) for _ in range(recordings))
        last = recordings * REQUESTS_A_RECORDING
        moments = sorted(random.randint(last // 20, last) for _ in range(kills))
        return cls(seed, planned, tuple((moment, random.randrange(2)) for moment in moments))


def _recording(random: Random) -> PlannedRecording:
    chunks = random.choices((1, 2, 3), (70, 20, 10))[0]
    wanted = {
        "chunks": chunks,
        "format": random.choice(("mp3", "wav")),
        "durationSeconds": 0.5 * chunks,
        "sizeBytes": random.choices(_SIZES, _SHARES)[0],
    }
    form = {
        "delivery": random.choice(("merged", "per-chunk")),
        "shuffle": True,
        "duplicates": DELIVERIES - 1,
        "payload": random.choice(("current", "current", "2021")),
        "delaySeconds": random.choice((0, 0, 5, 30)),
    }
    source = []
    for index in range(chunks):
        if random.random() < 0.3:
            fault = random.choice(_SOURCE_FAULTS)
            target = random.choice(("content", "metadata"))
            source.append((index, {**fault, "target": target, "times": random.choice((1, 1, 2, 3))}))
    storage = []
    if random.random() < 0.15:
        storage.append((random.choice(_STAGES), *random.choice(_STORAGE_FAULTS)))
    # What follows fails where nothing failed before: each failed try doubles the wait for the next one.
    topic: tuple[dict[str, Any], ...] = ()
    if not source and not storage and random.random() < 0.25:
        # More often than the event is delivered, or the next delivery would do what a failed try left undone.
        topic = ({**random.choice(_TOPIC_FAULTS), "times": random.choice((1, 4, 5))},)
    elif not source and not storage and random.random() < 0.35:
        source.append((random.randrange(chunks), {**random.choice(_DELETE_FAULTS), "target": "delete", "times": 1}))
    return PlannedRecording(wanted, form, tuple(source), tuple(storage), topic)
