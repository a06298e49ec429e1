"""The intake: takes the service's events in, and sends one message a chunk that must be archived.

`Intake.take` handles one message of queue `recording-events`: it keeps the event, notes in the manifest what must
arrive, and sends the chunks' messages. It can be repeated, run twice at once, or be cut off anywhere. A failure of the
app's own storage never ends the tries: the message is then sent again, to show up later, without an end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core import blob_names, limits, log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import InvalidEvent, ManifestUnreadable, StorageUnavailable, UntrustedOrigin
from shared.core.retry_policy import FIRST_EVENT_DELAY, event_delay
from shared.core.times import Now, iso_time, utc_now
from shared.events.chunk_message import ChunkMessage
from shared.events.event_message import EventMessage
from shared.events.recording_files import check_event, parse_recording_files
from shared.incidents.incidents import Incident, manifest_incident, message_incident
from shared.incidents.kinds import IncidentKind
from shared.storage.consent import keep_consent
from shared.storage.ledger import best_effort
from shared.storage.manifest import Manifest
from shared.storage.manifests import NO_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.errors import ArchiverError
    from shared.core.trusted_origins import TrustedOrigins
    from shared.events.recording_files import Chunk, RecordingFiles
    from shared.incidents.incidents import Incidents
    from shared.storage.archive import Archive
    from shared.storage.large_events import LargeEvents
    from shared.storage.ledger import Ledger
    from shared.storage.manifest import ConsentFile
    from shared.storage.message_queue import MessageQueue


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
    events, chunks
        The queue that events come from and go back to, and the one that chunks go to.
    large
        Has the events that are too large for a message.
    first_delay
        How long an event waits after the first time that it could not be taken in.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        incidents: Incidents,
        *,
        events: MessageQueue,
        chunks: MessageQueue,
        large: LargeEvents,
        origins: TrustedOrigins,
        retention: timedelta,
        resource_id: str | None = None,
        first_delay: timedelta = FIRST_EVENT_DELAY,
        now: Now = utc_now,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._incidents = incidents
        self._events = events
        self._chunks = chunks
        self._large = large
        self._origins = origins
        self._retention = retention
        self._resource_id = resource_id
        self._first_delay = first_delay
        self._now = now

    async def take(self, body: str) -> None:
        """Take in the event of one queue message, and send a message for each chunk that is not archived yet.

        Raises
        ------
        AzureError
            The app's storage failed, and so did sending the message once more: the platform hands it over again.
        """
        try:
            message = EventMessage.from_json(body)
        except InvalidEvent as error:
            log.error("message.refused", reason=str(error))
            await self._incidents.report(message_incident(body, error))
            return
        try:
            with storage_errors_translated():
                await self._take(message)
        except (StorageUnavailable, ManifestUnreadable, TimeoutError) as error:
            delay = event_delay(message.tries, self._first_delay)
            log.warning("event.postponed", tries=message.tries + 1, seconds=delay.total_seconds(), reason=str(error))
            again = message.model_copy(update={"tries": message.tries + 1})
            await self._events.send(again.to_json(), delay)

    async def _take(self, message: EventMessage) -> None:
        event = message.event if message.blob is None else await self._large.get(message.blob)
        if event is None:
            return  # another delivery of this message took it in, and dropped the blob
        for chunk in await self.announce(event, message.received_at, parent=message.traceparent, cut=message.cut):
            await self._chunks.send(chunk, timedelta())
        if message.blob is not None:
            await self._large.drop(message.blob)

    async def announce(
        self,
        event: Mapping[str, Any],
        received_at: datetime | None = None,
        *,
        parent: str | None = None,
        cut: str | None = None,
    ) -> list[str]:
        """Note what an event announces, and return a message for each chunk that is not archived yet.

        An event, or a chunk of one, that cannot be archived becomes an incident.

        Parameters
        ----------
        event
            The event's JSON object, in either schema.
        received_at
            When it came; now by default.
        parent
            The trace that its delivery belongs to.
        cut
            Why this is only the head of an event.

        Raises
        ------
        StorageUnavailable
            Event Grid delivers the event again, so nothing is lost.
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
            await self._refuse(event, error, cut=cut is not None)
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

    async def _refuse(
        self, event: Mapping[str, Any], error: ArchiverError, documents: list[str] | None = None, *, cut: bool = False
    ) -> None:
        """Report an event that cannot be archived, or only those of its `documents`."""
        identifier, kept = limits.identifier_of(event), limits.evidence_of(event)
        log.error("event.refused", eventId=identifier, documents=len(documents or ()) or None, reason=str(error))
        await self._incidents.report(
            Incident(
                kind=IncidentKind.EVENT,
                identifier=identifier,
                reason=str(error),
                error=type(error).__name__,
                expires_at=self._now() + self._retention,
                evidence={
                    **({"documents": documents} if documents else {}),
                    **({"cut": True} if cut or kept is not event else {}),
                    "event": kept,
                },
            )
        )
