"""Looks through a whole archive at once, and compares each recording with what the service had."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

MANIFEST = "/manifest.json"
_READERS = 16
_EVENT = re.compile(r"events/[^/]+\.json")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a container holds.

    Attributes
    ----------
    blobs
        Names, with sizes in bytes.
    manifests
        By prefix, without a slash at the end.
    prefixes
        Of each documentId that a manifest names: where it says so.
    """

    container: ContainerClient
    blobs: dict[str, int]
    manifests: dict[str, dict[str, Any]]
    prefixes: dict[str, list[str]]

    @classmethod
    async def of(cls, container: ContainerClient) -> Inventory:
        """Look through a container."""
        blobs = {blob.name: blob.size or 0 async for blob in container.list_blobs()}
        names = [name for name in blobs if name.endswith(MANIFEST)]
        contents: list[bytes] = await each(names, lambda name: _read(container, name))
        manifests = {
            name.removesuffix(MANIFEST): json.loads(content) for name, content in zip(names, contents, strict=True)
        }
        prefixes: dict[str, list[str]] = {}
        for prefix, manifest in manifests.items():
            for chunk in manifest["chunks"]:
                prefixes.setdefault(chunk["documentId"], []).append(prefix)
        return cls(container, blobs, manifests, prefixes)

    def prefix_of(self, truth: dict[str, Any]) -> str | None:
        """Return where a recording lies; None where no manifest names its chunks."""
        found = {prefix for chunk in truth["chunks"] for prefix in self.prefixes.get(chunk["documentId"], [])}
        return min(found, default=None)

    def is_complete(self, truth: dict[str, Any]) -> bool:
        """Whether the manifest says so; `differences` says whether that is true."""
        prefix = self.prefix_of(truth)
        return prefix is not None and self.manifests[prefix]["status"] == "complete"

    async def differences(self, truth: dict[str, Any]) -> list[str]:
        """Return how a recording in the archive differs from what the service had; empty when it is all there, once."""
        places = {prefix for chunk in truth["chunks"] for prefix in self.prefixes.get(chunk["documentId"], [])}
        if len(places) != 1:
            return [f"it lies in {len(places)} places: {sorted(places)}"]
        [prefix] = places
        manifest = self.manifests[prefix]
        found = []
        if manifest["status"] != "complete":
            missing = [chunk["index"] for chunk in manifest["chunks"] if not chunk["archivedAt"]]
            return [f"it is {manifest['status']}; announced and not archived are the chunks {missing}"]
        documents = [chunk["documentId"] for chunk in manifest["chunks"]]
        if documents != [chunk["documentId"] for chunk in truth["chunks"]]:
            found.append(f"the manifest names the documents {documents}")
        expected = {f"{prefix}{MANIFEST}"}
        for chunk, true_chunk in zip(manifest["chunks"], truth["chunks"], strict=False):
            expected |= {chunk["content"]["blob"], chunk["metadata"]["blob"]}
            found += await self._chunk(chunk, true_chunk)
        there = {name for name in self.blobs if name.startswith(f"{prefix}/")}
        events = {name for name in there if _EVENT.fullmatch(name.removeprefix(f"{prefix}/"))}
        if there - events != expected:
            found.append(f"besides its events it consists of {sorted(there - events)}, not of {sorted(expected)}")
        return found if events else [*found, "no event is kept with it"]

    async def _chunk(self, chunk: dict[str, Any], truth: dict[str, Any]) -> list[str]:
        found = []
        for part, digest in (("content", truth["sha256"]), ("metadata", truth["metadataSha256"])):
            content = await _read(self.container, chunk[part]["blob"])
            stored = (chunk[part]["size"], chunk[part]["sha256"])
            if (len(content), hashlib.sha256(content).hexdigest()) != stored:
                found.append(f"chunk {chunk['index']}'s {part} is not what the manifest says")
            if stored[1] != digest:
                found.append(f"chunk {chunk['index']}'s {part} is not what the service had")
        return found


async def all_differences(inventory: Inventory, truths: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return, by recordingId, how recordings differ from what the service had; those that do not are left out."""
    found: list[list[str]] = await each(truths, inventory.differences)
    return {truth["recordingId"]: differences for truth, differences in zip(truths, found, strict=True) if differences}


async def complete_count(container: ContainerClient) -> int:
    """Return how many manifests say that they are complete: a listing shows it, so this is cheap."""
    blobs = container.list_blobs(include=["metadata"])
    return sum(
        [blob.name.endswith(MANIFEST) and (blob.metadata or {}).get("status") == "complete" async for blob in blobs]
    )


async def _read(container: ContainerClient, name: str) -> bytes:
    stream = await container.download_blob(name)
    return bytes(await stream.readall())


async def each[T, R](items: list[T], work: Any) -> list[R]:
    """Do something with each item, several at once, and return what came of each."""
    slots = asyncio.Semaphore(_READERS)

    async def one(item: T) -> R:
        async with slots:
            result: R = await work(item)
            return result

    return await asyncio.gather(*(one(item) for item in items))
