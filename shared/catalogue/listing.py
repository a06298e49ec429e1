"""A listing of the archive by day, a page at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobPrefix

from shared.core import limits
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidRequest, ManifestUnreadable
from shared.core.models import ResponseModel

if TYPE_CHECKING:
    from shared.storage.archive import Archive
    from shared.storage.places import RecordingPlaces

_AT_ONCE = 16


class ArchivedRecording(ResponseModel):
    """A recording in the archive, as its manifest describes it.

    Attributes
    ----------
    recording_id
        None where no event has named it; `name` identifies the recording then.
    name
        The last part of its prefix.
    status
        `partial`, `complete`, or `unreadable` where there is no manifest that can be read.
    chunks
        How many there are, announced or archived.
    bytes
        Of the files that are archived.
    """

    recording_id: str | None
    name: str
    prefix: str
    status: str
    start_time: str | None = None
    chunks: int = 0
    bytes: int = 0


class ArchiveListing(ResponseModel):
    """A page of the archive's recordings, by day and name; `cursor` leads to the next page, where there may be one."""

    recordings: tuple[ArchivedRecording, ...]
    cursor: str | None = None


class Listing:
    """Lists what the archive holds."""

    def __init__(self, archive: Archive, places: RecordingPlaces) -> None:
        self._archive = archive
        self._places = places

    async def page(
        self, since: str | None = None, cursor: str | None = None, limit: str | None = None
    ) -> ArchiveListing:
        """Return a page.

        Parameters
        ----------
        since
            The first day of interest, `YYYY-MM-DD` in UTC, by the recordings' start; all by default.
        cursor
            Of the page before; it knows `since`.
        limit
            Most recordings on the page, 1 to 200.

        Raises
        ------
        InvalidRequest
            A parameter is wrong.
        StorageUnavailable
            The archive could not be read.
        """
        size = _limit(limit)
        day, marker = _decoded(cursor) if cursor else (day_folder(since), None)
        with storage_errors_translated():
            return await self._page(day, marker, size)

    async def _page(self, since: str, marker: str | None, size: int) -> ArchiveListing:
        """Take days until the page is full; the cursor is where the next one begins."""
        found: list[ArchivedRecording] = []
        async for day in self._places.days(since):
            marker = marker if day == since else None
            while True:
                if len(found) == size:
                    return ArchiveListing(recordings=tuple(found), cursor=_encoded(day, marker))
                folders, marker = await self._folders(day, marker, size - len(found))
                found += await self._described(folders)
                if marker is None:
                    break
        return ArchiveListing(recordings=tuple(found))

    async def _folders(self, day: str, marker: str | None, most: int) -> tuple[list[str], str | None]:
        """Return some of a day's recordings, and the service's marker for the rest."""
        pages = self._archive.container.walk_blobs(f"{day}/", delimiter="/", results_per_page=most).by_page(marker)
        try:
            page = await anext(pages, None)
        except HttpResponseError as error:
            if marker is not None and error.status_code == HTTPStatus.BAD_REQUEST:
                raise _no_cursor() from None
            raise
        if page is None:
            return [], None
        folders = [entry.name.rstrip("/") async for entry in page if isinstance(entry, BlobPrefix)]
        # The SDK's pager has the marker, and its type does not say so.
        return folders, getattr(pages, "continuation_token", None) or None

    async def _described(self, folders: list[str]) -> list[ArchivedRecording]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def described(folder: str) -> ArchivedRecording:
            async with gate:
                return await self._describe(folder)

        return list(await asyncio.gather(*map(described, folders)))

    async def _describe(self, folder: str) -> ArchivedRecording:
        name = folder.rpartition("/")[2]
        try:
            manifest = (await self._archive.manifests.read(folder)).manifest
        except ManifestUnreadable:
            manifest = None
        if manifest is None:
            return ArchivedRecording(recording_id=None, name=name, prefix=folder, status="unreadable")
        files = [file for chunk in manifest.chunks for file in (chunk.content, chunk.metadata) if file is not None]
        return ArchivedRecording(
            recording_id=manifest.recording_id,
            name=name,
            prefix=folder,
            status=manifest.status,
            start_time=manifest.start_time,
            chunks=len(manifest.chunks),
            bytes=sum(file.size for file in files),
        )


def _limit(text: str | None) -> int:
    if not text:
        return limits.PAGE
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= limits.LARGEST_PAGE:
        raise InvalidRequest(f"limit takes a number from 1 to {limits.LARGEST_PAGE}", field="limit")
    return int(text)


def day_folder(since: str | None) -> str:
    """Return the archive's folder of a day, such as 2026/11/22 for 2026-11-22; empty where no day is given.

    Raises
    ------
    InvalidRequest
        It is no day.
    """
    try:
        return date.fromisoformat(since).isoformat().replace("-", "/") if since else ""
    except ValueError:
        raise InvalidRequest("since takes a day such as 2026-11-22", field="since") from None


def _encoded(day: str, marker: str | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([day, marker]).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[str, str | None]:
    try:
        position: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        position = None
    match position:
        case [str(day), str() | None as marker] if re.fullmatch(r"[0-9]{4}/[0-9]{2}/[0-9]{2}", day):
            return day, marker
    raise _no_cursor()


def _no_cursor() -> InvalidRequest:
    return InvalidRequest("cursor is not one that this list returned: leave it out to begin anew", field="cursor")
