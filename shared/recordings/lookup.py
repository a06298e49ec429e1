"""Everything that is known of a recording: from the ledger, the service and the archive, each of which may fail."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, NamedTuple

from shared.core import blob_names
from shared.core.errors import ManifestUnreadable, RecordingNotFound, ServiceError, StorageUnavailable
from shared.core.times import Now, iso_time
from shared.recordings.patience import STORAGE_PATIENCE, within_patience
from shared.recordings.states import Seen
from shared.recordings.views import View, seen_in
from shared.storage.ledger import Facts, Operation, Report

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from shared.recordings.acs_client import AcsClient, Recording
    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import Manifest
    from shared.storage.places import RecordingPlaces

RECORDING_ID = r"[A-Za-z0-9_=+/.~-]{1,1024}"
"""A recordingId: base64url as far as is known, and further characters that have been seen in ids."""

LOOK_BACK = 7
"""Days back from today in which the archive is searched for a recording that the ledger does not know."""

_LEDGER_UNREAD = "the ledger could not be read: what this app did is not taken into account"
_ARCHIVE_UNREAD = "the archive could not be read: what is archived is not taken into account"
_UNREADABLE = "an operator must look; until then, what is archived is not taken into account"


class _Archived(NamedTuple):
    """Where a recording lies, its manifest, and what is wrong with that."""

    prefix: str | None = None
    manifest: Manifest | None = None
    fault: str | None = None


class Lookup:
    """Collects what is known of recordings; `retention` is how long the service keeps their files."""

    def __init__(
        self,
        control: AcsClient,
        ledger: Ledger,
        archive: Archive,
        places: RecordingPlaces,
        *,
        retention: timedelta,
        now: Now,
    ) -> None:
        self._control = control
        self._ledger = ledger
        self._archive = archive
        self._places = places
        self._retention = retention
        self._now = now

    async def view(self, recording_id: str) -> View:
        """Return all that is known of a recording.

        Raises
        ------
        RecordingNotFound
            The id is none that the service gives out.
        ServiceError
            The recording is not known, or only the service could know it and does not answer.
        StorageUnavailable
            The service does not know the recording any more, and ledger or archive cannot be read now.
        """
        if re.fullmatch(RECORDING_ID, recording_id) is None or not recording_id.strip("."):
            raise RecordingNotFound
        name = blob_names.safe_name(recording_id)
        facts, service = await asyncio.gather(_or_none(self._ledger.read(name)), self._asked(recording_id))
        known, notes = facts or Facts(name), [_LEDGER_UNREAD] if facts is None else []
        archived = _Archived(known.text("prefix"))
        try:
            archived = await within_patience(self._archived(known, searching=seen_in(service)))
        except StorageUnavailable:
            if seen_in(service) is Seen.GONE:
                raise
            notes.append(_ARCHIVE_UNREAD)
        if archived.fault is not None:
            notes.append(f"{archived.fault}: {_UNREADABLE}")
        if isinstance(service, ServiceError) and not (known or archived.manifest or archived.fault):
            if facts is None and service.status == 404:
                raise StorageUnavailable(
                    "the service knows no such recording, and the ledger, which may know it, cannot be read now; "
                    "try again later",
                    retry_after=STORAGE_PATIENCE,
                )
            raise service
        view = View(
            recording_id,
            known,
            service,
            archived.prefix,
            archived.manifest,
            self._now(),
            self._retention,
            manifest_unreadable=archived.fault is not None,
            notes=tuple(notes),
        )
        if facts is not None:
            await self._remember(view)
        return view

    async def _asked(self, recording_id: str) -> Recording | ServiceError:
        try:
            return await self._control.get(recording_id)
        except ServiceError as error:
            return error

    async def _archived(self, facts: Facts, *, searching: Seen) -> _Archived:
        """Find the recording in the archive.

        Where the ledger does not know the place, the recording is looked for under the days it may have begun on; while
        the service has the recording there is no need to, unless the ledger knows nothing of it at all.
        """
        prefix = facts.text("prefix")
        if prefix is None and (not facts or searching not in {Seen.ACTIVE, Seen.INACTIVE}):
            prefix = await self._places.search([facts.name], self._days(facts))
        if prefix is None:
            return _Archived()
        try:
            return _Archived(prefix, (await self._archive.manifests.read(prefix)).manifest)
        except ManifestUnreadable as error:
            return _Archived(prefix, fault=str(error))

    def _days(self, facts: Facts) -> list[str]:
        """Return the days on which the recording may have begun, by clocks that may differ from ours."""
        started = facts.moment("startedAt")
        about = (started if started is not None else self._now()).astimezone(UTC)
        offsets = (0, 1, -1) if started is not None else (0, -1, *range(-2, -LOOK_BACK - 1, -1), 1)
        return [blob_names.day_prefix(about + timedelta(days=offset)).rstrip("/") for offset in offsets]

    async def _remember(self, view: View) -> None:
        """Write to the ledger what it did not know, so that the recording is found faster, or at all."""
        facts, learnt = view.facts, dict[str, str]()
        if view.prefix is not None and facts.text("prefix") is None:
            learnt.update(recordingId=view.recording_id, prefix=view.prefix)
        ended = facts.last(Operation.STOP, Report.CALL_ENDED) is not None or facts.text("goneSince") is not None
        if facts and view.seen is Seen.GONE and not ended:
            learnt["goneSince"] = iso_time(view.now)
        if learnt:
            await _or_none(self._ledger.learn(facts.name, **learnt))


async def _or_none[T](work: Awaitable[T]) -> T | None:
    try:
        return await within_patience(work)
    except StorageUnavailable:
        return None
