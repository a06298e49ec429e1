"""The intake of the service's events: what must be archived.

`Intake.announce` keeps the event, adds its chunks to the manifest, and returns one message a chunk. It can be repeated,
run twice concurrently, or be interrupted anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core import blob_names, log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidEvent, ManifestUnreadable, UntrustedOrigin
from shared.core.times import Now, iso_time, utc_now
from shared.events.chunk_message import ChunkMessage
from shared.events.recording_files import check_event, parse_recording_files
from shared.incidents.incidents import Incident, manifest_incident
from shared.incidents.kinds import IncidentKind
from shared.storage.consent import keep_consent
from shared.storage.ledger import best_effort
from shared.storage.manifest import Manifest
from shared.storage.manifests import NO_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from shared.core.errors import ArchiverError
    from shared.core.trusted_origins import TrustedOrigins
    from shared.events.recording_files import Chunk, RecordingFiles
    from shared.incidents.incidents import Incidents
    from shared.storage.archive import Archive
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import ConsentFile


class Intake:
    """Takes events in.

    Parameters
    ----------
    origins
        Where files may be read from.
    retention
        How long the service keeps files.
    resource_id
        Azure id of the resource whose events are taken; None takes those of every resource.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        incidents: Incidents,
        *,
        origins: TrustedOrigins,
        retention: timedelta,
        resource_id: str | None = None,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._incidents = incidents
        self._origins = origins
        self._retention = retention
        self._resource_id = resource_id
        self._now = now

    async def announce(
        self,
        event: Mapping[str, Any],
        received_at: datetime | None = None,
        *,
        parent: str | None = None,
        cut: str | None = None,
    ) -> list[str]:
        """Note what an event announces, and return a message for each chunk that is not archived yet.

        An event, or a chunk of one, that cannot be archived becomes an incident. `received_at` is now by default,
        `parent` the trace of its delivery, and `cut` says why this is only the head of an event.

        Raises
        ------
        StorageUnavailable
            The event must be taken in again.
        """
        # A publisher's trace (CloudEvents' extension of that name) comes before the platform's for the delivery.
        caused_by = event.get("traceparent")
        parent = caused_by if isinstance(caused_by, str) else parent
        with storage_errors_translated(), telemetry.span("recording.announce", parent=parent):
            return await self._announce(event, received_at or self._now(), cut=cut)

    async def _announce(self, event: Mapping[str, Any], received_at: datetime, *, cut: str | None) -> list[str]:
        try:
            check_event(event, self._resource_id, cut=cut)
            files = parse_recording_files(event, received_at)
        except InvalidEvent as error:
            await self._refuse(event, error, **({"cut": True} if cut is not None else {}))
            return []
        with log.fields(recordingId=files.recording_id, callId=files.call_id, eventId=files.event_id):
            refused = {chunk.document_id: fault for chunk in files.chunks if (fault := self._untrusted(chunk))}
            if refused:
                await self._refuse(event, next(iter(refused.values())), documents=list(refused))
            chunks = [chunk for chunk in files.chunks if chunk.document_id not in refused]
            if not chunks:
                return []
            files = replace(files, chunks=tuple(chunks))
            prefix, is_new = await self._archive.places.settle(files)
            await self._archive.events.keep(prefix, files.event_id, event)
            consent = await self._consent(files, prefix)
            try:
                manifest = await self._archive.manifests.update(
                    prefix, lambda known: known.announced(files, consent), NO_MANIFEST if is_new else None
                )
            except ManifestUnreadable as error:
                # The files expire, so they are archived before an operator fixes the manifest.
                await self._incidents.report(manifest_incident(prefix, error))
                manifest = Manifest()
            messages = [self._message(prefix, files, chunk) for chunk in chunks if not manifest.holds(chunk)]
            log.info("recording.announced", prefix=prefix, chunks=len(chunks), waiting=len(messages))
            return [message.to_json() for message in messages]

    async def _consent(self, files: RecordingFiles, prefix: str) -> ConsentFile | None:
        """Write the recording's place to the ledger, then read the consent of its start there.

        In this order, so that a start that is written at the same time either is read here, or reads the place
        (`shared.storage.consent`).
        """
        name = blob_names.ledger_name(files.recording_id, prefix)
        expires_at = iso_time(files.event_time + self._retention)
        await best_effort(self._ledger.learn(name, recordingId=files.recording_id, prefix=prefix, expiresAt=expires_at))
        facts = await best_effort(self._ledger.read(name))
        if facts is None:
            await self._report_unread(files, prefix)
            return None
        consent = facts.text("consent")
        return await keep_consent(self._archive, prefix, consent) if consent is not None else None

    async def _report_unread(self, files: RecordingFiles, prefix: str) -> None:
        """Report that a consent may be missing; the media is archived without waiting for the ledger."""
        await self._incidents.report(
            Incident(
                kind=IncidentKind.CONSENT,
                identifier=files.recording_id or prefix,
                reason="the ledger could not be read, so a consent that came with the start is not archived: "
                "retry this incident when the ledger is available again",
                recording_id=files.recording_id,
                prefix=prefix,
                evidence={"eventId": files.event_id},
            )
        )

    def _untrusted(self, chunk: Chunk) -> UntrustedOrigin | None:
        try:
            for location in (chunk.content_location, chunk.metadata_location, chunk.delete_location):
                if location is not None:
                    self._origins.check(location)
        except UntrustedOrigin as error:
            return error
        return None

    def _message(self, prefix: str, files: RecordingFiles, chunk: Chunk) -> ChunkMessage:
        return ChunkMessage(
            prefix=prefix,
            recording_id=files.recording_id,
            call_id=files.call_id,
            chunk=chunk,
            format=files.format,
            expires_at=files.event_time + self._retention,
            due_at=self._now(),
            traceparent=telemetry.traceparent(),
        )

    async def _refuse(self, event: Mapping[str, Any], error: ArchiverError, **marks: Any) -> None:
        await self._incidents.refuse_event(event, error, expires_at=self._now() + self._retention, **marks)
