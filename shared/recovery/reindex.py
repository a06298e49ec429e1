"""The ledger rebuilt from the blobs, a page at a time; nothing that it holds is lost.

For each recording that is the prefix, the id, the deadline that its kept events give, and the consent; and the
operator's list, as far as the evidence under `attention/` still holds. The blobs do not have the commands and who gave
them, the service's reports, and recordings that were never announced.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from azure.core.exceptions import HttpResponseError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.catalogue.listing import day_folder
from shared.core import blob_names, limits, log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidEvent, InvalidRequest, ManifestUnreadable
from shared.core.times import iso_time
from shared.events.recording_files import parse_recording_files
from shared.incidents.restoration import Restoration, raised_at

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shared.catalogue.listing import Listing
    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger

_AT_ONCE = 8
_RECORDINGS, _FINDINGS = "r.", "a."


class ReindexReport(BaseModel):
    """The result of one request of a reindexing; `cursor` leads to the next one, until there is none."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    recordings: Annotated[int, Field(ge=0, description="Recordings that were read.")] = 0
    learnt: Annotated[int, Field(ge=0, description="Of those, how many the ledger lacked, wholly or in part.")] = 0
    findings: Annotated[int, Field(ge=0, description="Incidents that were restored to the operator's list.")] = 0
    unreadable: Annotated[
        tuple[str, ...], Field(description="Prefixes and blobs that cannot be read. Look at them: nothing was changed.")
    ] = ()
    cursor: str | None = None


@dataclass(slots=True)
class _Row:
    """What the blobs hold of one row of the ledger."""

    recording_id: str | None
    expires_at: datetime | None = None
    consent: str | None = None


class Reindex:
    """Rebuilds the ledger.

    It can be repeated, run twice concurrently, and run while recordings are being archived. `retention` is how long the
    service keeps a recording's files.
    """

    def __init__(
        self, archive: Archive, ledger: Ledger, restoration: Restoration, *, listing: Listing, retention: timedelta
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._listing = listing
        self._retention = retention
        self._restoration = restoration

    async def step(
        self, since: str | None = None, cursor: str | None = None, limit: str | None = None
    ) -> ReindexReport:
        """Read one page: first of recordings, then of incidents.

        Parameters
        ----------
        since
            The first day of interest, `YYYY-MM-DD` in UTC, by the start of recordings and by when incidents were
            raised; all by default. The same with each cursor.
        cursor
            Of the step before.
        limit
            Most recordings in one step, 1 to 200.

        Raises
        ------
        InvalidRequest
            A parameter is wrong.
        StorageUnavailable
            The archive could not be read, or the ledger not be written.
        """
        kind, rest = (cursor[:2], cursor[2:]) if cursor else (_RECORDINGS, "")
        if kind not in {_RECORDINGS, _FINDINGS}:
            raise _no_cursor()
        with storage_errors_translated():
            if kind == _RECORDINGS:
                report = await self._recordings(since, rest or None, limit)
            else:
                report = await self._findings(day_folder(since), rest)
        counts = report.model_dump(exclude={"cursor", "unreadable"})
        log.info("ledger.reindexed", **counts, unreadable=len(report.unreadable))
        return report

    async def _recordings(self, since: str | None, cursor: str | None, limit: str | None) -> ReindexReport:
        page = await self._listing.page(since, cursor, limit)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def restored(prefix: str) -> bool | None:
            async with gate:
                return await self._restore(prefix)

        prefixes = [recording.prefix for recording in page.recordings]
        outcomes = await asyncio.gather(*map(restored, prefixes))
        return ReindexReport(
            recordings=len(prefixes),
            learnt=sum(outcome is True for outcome in outcomes),
            unreadable=tuple(prefix for prefix, known in zip(prefixes, outcomes, strict=True) if known is None),
            cursor=f"{_RECORDINGS}{page.cursor}" if page.cursor else _FINDINGS,
        )

    async def _restore(self, prefix: str) -> bool | None:
        """Return whether something was added to a recording's row; None where its blobs cannot be read."""
        try:
            manifest = (await self._archive.manifests.read(prefix)).manifest
        except ManifestUnreadable:
            manifest = None
        rows = await self._rows_of_events(prefix)
        if manifest is not None:
            rows.setdefault(blob_names.ledger_name(manifest.recording_id, prefix), _Row(manifest.recording_id))
        if not rows:
            return None
        if (consent := await self._consent(prefix)) is not None:
            # A start that brings a consent has an id.
            next((row for row in rows.values() if row.recording_id), next(iter(rows.values()))).consent = consent
        return any([await self._add(name, prefix, row) for name, row in rows.items()])

    async def _rows_of_events(self, prefix: str) -> dict[str, _Row]:
        """Return what the kept events hold, by the ledger's name of each event's recording."""
        rows: dict[str, _Row] = {}
        async for blob in self._archive.blobs.list(f"{prefix}/events/"):
            try:
                event = json.loads(await self._archive.blobs.read(blob.name) or b"")
                files = parse_recording_files(event, blob.last_modified) if isinstance(event, dict) else None
            except (ValueError, RecursionError, InvalidEvent):
                files = None
            if files is None:
                log.warning("event.unread", blob=blob.name)
                continue
            row = rows.setdefault(blob_names.ledger_name(files.recording_id, prefix), _Row(files.recording_id))
            expires_at = files.event_time + self._retention
            row.expires_at = max(row.expires_at or expires_at, expires_at)
        return rows

    async def _consent(self, prefix: str) -> str | None:
        content = await self._archive.blobs.read(blob_names.consent_blob(prefix))
        return None if content is None else content.decode(errors="replace")

    async def _add(self, name: str, prefix: str, row: _Row) -> bool:
        """Merge what a row lacks; an event that comes meanwhile is newer, so no deadline becomes earlier."""
        facts = await self._ledger.read(name)
        known = facts.moment("expiresAt")
        expires_at = max((moment for moment in (known, row.expires_at) if moment is not None), default=None)
        wanted = {
            "recordingId": row.recording_id,
            "prefix": prefix,
            "expiresAt": iso_time(expires_at) if expires_at else None,
            "consent": facts.text("consent") or row.consent,
        }
        missing = {key: value for key, value in wanted.items() if value is not None and facts.text(key) != value}
        if missing:
            await self._ledger.learn(name, **missing)
        return bool(missing)

    async def _findings(self, since: str, marker: str) -> ReindexReport:
        blobs = self._archive.container.list_blobs(
            name_starts_with=blob_names.ATTENTION, include=["metadata"], results_per_page=limits.PAGE
        ).by_page(_decoded(marker))
        try:
            page = await anext(blobs, None)
        except HttpResponseError as error:
            if marker and error.status_code == 400:
                raise _no_cursor() from None
            raise
        restored, unreadable = 0, list[str]()
        if page is not None:
            async for blob in page:
                if f"{raised_at(blob):%Y/%m/%d}" < since:
                    continue
                is_back = await self._restoration.restore(blob)
                if is_back is None:
                    unreadable.append(blob.name)
                restored += bool(is_back)
        following = getattr(blobs, "continuation_token", None) if page is not None else None
        cursor = f"{_FINDINGS}{_encoded(following)}" if following else None
        return ReindexReport(findings=restored, unreadable=tuple(unreadable), cursor=cursor)


def _encoded(marker: str) -> str:
    return base64.urlsafe_b64encode(marker.encode()).decode().rstrip("=")


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode() or None
    except (ValueError, binascii.Error):
        raise _no_cursor() from None


def _no_cursor() -> InvalidRequest:
    return InvalidRequest(
        "cursor is not one that a reindexing returned: leave it out to begin from the start", field="cursor"
    )
