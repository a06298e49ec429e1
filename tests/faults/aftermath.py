"""What follows an archived recording: it is announced under one id, and only then may the service's copy be gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.arena import Arena
    from tests.faults.inspection import Inventory

ARCHIVED = "Recording.Archived"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What became of a recording besides its archive.

    Attributes
    ----------
    unfinished
        What is still to come.
    wrong
        What must never be.
    """

    unfinished: tuple[str, ...]
    wrong: tuple[str, ...]

    @classmethod
    def of(cls, arena: Arena, inventory: Inventory, truth: dict[str, Any], *, deletes: bool) -> Aftermath:
        """Look at a recording.

        Parameters
        ----------
        arena
            Knows which events were received, and what the service has.
        inventory
            The archive.
        truth
            What the service had.
        deletes
            Whether the service's copy is to be deleted.
        """
        prefix = inventory.prefix_of(truth)
        manifest = inventory.manifests.get(prefix or "", {"chunks": []})
        archived = {chunk["documentId"]: chunk for chunk in manifest["chunks"] if chunk["archivedAt"]}
        unfinished, wrong = _announced(arena, prefix, truth)
        for chunk in truth["chunks"]:
            index, document = chunk["index"], chunk["documentId"]
            gone = arena.is_gone(document)
            if gone and document not in archived:
                wrong.append(f"the service's copy of chunk {index} is gone, and it is not archived")
            elif gone:
                files = [archived[document][part]["blob"] for part in ("content", "metadata")]
                if not all(arena.was_read_back(blob, arena.deleted[document]) for blob in files):
                    wrong.append(f"the service's copy of chunk {index} was deleted before the archive's was read back")
            if gone and not deletes:
                wrong.append(f"the service's copy of chunk {index} was deleted, but should not have been")
            if deletes and not gone:
                unfinished.append(f"the service still has chunk {index}")
            elif deletes and "sourceDeletedAt" not in archived.get(document, {}):
                unfinished.append(f"the manifest does not say that the service's copy of chunk {index} is gone")
        return cls(tuple(unfinished), tuple(wrong))


def announcements(arena: Arena) -> dict[str, list[dict[str, Any]]]:
    """Return the received announcements of archived recordings, repetitions too, by their prefix."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in arena.listener.deliveries:
        if event["type"] == ARCHIVED:
            found.setdefault(event["subject"], []).append(event)
    return found


def _announced(arena: Arena, prefix: str | None, truth: dict[str, Any]) -> tuple[list[str], list[str]]:
    events = announcements(arena).get(prefix or "", [])
    if not events:
        return ["it was not announced as archived"], []
    wrong = []
    ids = {event["id"] for event in events}
    if len(ids) > 1:
        wrong.append(f"it was announced under {len(ids)} ids")
    chunks = truth["chunks"]
    said = {(event["data"]["chunks"], event["data"]["bytes"]) for event in events}
    if said != {(len(chunks), sum(chunk["contentLength"] for chunk in chunks))}:
        wrong.append(f"it was announced with other chunks and bytes: {said}")
    return [], wrong
