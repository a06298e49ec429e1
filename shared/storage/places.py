"""Where recordings lie in the archive."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

from azure.storage.blob.aio import BlobPrefix

from shared.core import blob_names
from shared.core.times import iso_time
from shared.storage.blobs import json_bytes
from shared.storage.ledger import best_effort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from azure.storage.blob.aio import ContainerClient

    from shared.events.recording_files import RecordingFiles
    from shared.storage.blobs import Blobs
    from shared.storage.ledger import Ledger

_NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_~.-]{0,299}")
_YEAR, _MONTH_OR_DAY = re.compile(r"\d{4}"), re.compile(r"\d\d")
_AT_ONCE = 16


class EventPlaces:
    """Settles where the recording of an event lies: the first event of a recording decides."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def settle(self, files: RecordingFiles) -> tuple[str, bool]:
        """Return the prefix of an event's recording, and whether this call settled it.

        Older forms of the event have no recordingId. What every form has is the call and the recording's start, so the
        first event of a recording leaves a blob under those that says where the recording lies, and all others follow.
        """
        key, own = _place(files)
        if key is None:
            return own, False
        record = json_bytes({"callId": files.call_id, "startTime": iso_time(files.start_time), "prefix": own})
        settled = await self._blobs.put_first(blob_names.call_blob(key), record)
        return str(json.loads(settled)["prefix"]), settled is record

    async def find(self, files: RecordingFiles) -> str | None:
        """Return the prefix that `settle` gave an event's recording; None where it never did."""
        key, own = _place(files)
        if key is None:
            return own
        settled = await self._blobs.read(blob_names.call_blob(key))
        return str(json.loads(settled)["prefix"]) if settled is not None else None


def _place(files: RecordingFiles) -> tuple[str | None, str]:
    """Return the name of an event's call, where it has one, and the prefix of its recording without one."""
    key = blob_names.call_key(files.call_id, files.start_time) if files.call_id else None
    name = blob_names.safe_name(files.recording_id) if files.recording_id else str(key)
    return key, blob_names.recording_prefix(name, files.start_time)


class RecordingPlaces:
    """Finds recordings by their ids: in the ledger, else in the archive's container."""

    def __init__(self, container: ContainerClient, ledger: Ledger) -> None:
        self._container = container
        self._ledger = ledger

    async def find(self, recording: str) -> str | None:
        """Return a recording's prefix, or None where there is no such recording.

        Parameters
        ----------
        recording
            The service's id, or the last part of the recording's prefix: older events name no id.
        """
        # Version 0.1 kept the padding of an id that was announced with it.
        candidates = [blob_names.safe_name(name) for name in dict.fromkeys((blob_names.unpadded(recording), recording))]
        if _NAME.fullmatch(recording) and recording not in candidates:
            candidates.append(recording)
        for name in candidates:
            facts = await best_effort(self._ledger.read(name))
            if facts is not None and (prefix := facts.text("prefix")):
                return prefix
        days = [day async for day in self.days()]
        return await self.search(candidates, reversed(days))

    async def search(self, candidates: Iterable[str], days: Iterable[str]) -> str | None:
        """Return the first place that has blobs, for a recording that the ledger does not know.

        Parameters
        ----------
        candidates
            Names that the recording may have.
        days
            Where to look, as `yyyy/mm/dd`, the most likely first.
        """
        names = list(candidates)
        folders = [f"{day}/{name}" for day in days for name in names]
        for begin in range(0, len(folders), _AT_ONCE):
            some = folders[begin : begin + _AT_ONCE]
            for folder, is_there in zip(some, await asyncio.gather(*map(self._has, some)), strict=True):
                if is_there:
                    return folder
        return None

    async def days(self, since: str = "") -> AsyncIterator[str]:
        """Yield the days that have recordings, as `yyyy/mm/dd`, in order.

        Parameters
        ----------
        since
            The first day of interest, as `yyyy/mm/dd`; all by default.
        """
        for year in await self._folders("", _YEAR):
            if year < since[:4]:
                continue
            for month in await self._folders(year, _MONTH_OR_DAY):
                if month < since[:7]:
                    continue
                for day in await self._folders(month, _MONTH_OR_DAY):
                    if day >= since:
                        yield day

    async def _has(self, folder: str) -> bool:
        async for _ in self._container.list_blobs(name_starts_with=f"{folder}/", results_per_page=1):
            return True
        return False

    async def _folders(self, folder: str, pattern: re.Pattern[str]) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        entries = self._container.walk_blobs(name_starts_with=prefix, delimiter="/")
        names_below = [entry.name.rstrip("/") async for entry in entries if isinstance(entry, BlobPrefix)]
        return sorted(name for name in names_below if pattern.fullmatch(name.removeprefix(prefix)))
