"""The archive's own events: a recording is completely archived; an incident needs an operator.

They are CloudEvents on an Event Grid topic of the owner's, delivered at least once: an event that is published again
after a crash has the same id, so subscribers can recognise it. docs/events.md describes them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent

from shared.core import blob_names, log, telemetry
from shared.core.azure_errors import reason
from shared.core.errors import TopicUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.eventgrid.aio import EventGridPublisherClient

    from shared.storage.manifest import Manifest

RECORDING_ARCHIVED = "Recording.Archived"
RECORDING_ATTENTION = "Recording.Attention"


class Publisher:
    """Publishes the archive's events.

    Parameters
    ----------
    topic
        Client of the topic, which takes CloudEvents.
    source
        The archive container's address, the events' `source`.
    """

    def __init__(self, topic: EventGridPublisherClient, source: str) -> None:
        self._topic = topic
        self._source = source

    async def archived(self, prefix: str, manifest: Manifest) -> None:
        """Publish that a recording is completely archived; the same archive always gives the same event.

        Raises
        ------
        TopicUnavailable
            The event may not have been published: try again.
        """
        data = _archived(prefix, manifest)
        await self._publish(
            RECORDING_ARCHIVED,
            prefix,
            data,
            identity=[prefix, *(chunk.content.sha256 for chunk in manifest.chunks if chunk.content)],
            time=datetime.fromisoformat(data["archivedAt"]) if data["archivedAt"] else None,
        )

    async def attention(self, incident: Mapping[str, Any]) -> None:
        """Publish an incident; the same incident at the same severity always gives the same event.

        Parameters
        ----------
        incident
            A row of `GET /api/attention`: `id`, `kind`, `severity`, `reason` and what is known besides.

        Raises
        ------
        TopicUnavailable
            The event may not have been published: try again.
        """
        subject = str(incident.get("prefix") or f"attention/{incident['id']}")
        identity = [incident["id"], incident["severity"]]
        await self._publish(RECORDING_ATTENTION, subject, dict(incident), identity=identity)

    async def _publish(
        self, kind: str, subject: str, data: dict[str, Any], *, identity: list[str], time: datetime | None = None
    ) -> None:
        name = json.dumps([self._source, kind, *identity])
        event = CloudEvent(
            source=self._source,
            type=kind,
            subject=subject,
            data=data,
            id=str(uuid5(NAMESPACE_URL, name)),
            time=time or datetime.now(UTC),
        )
        try:
            with telemetry.span("archive.publish", type=kind, id=event.id):
                await self._topic.send(event)
        except AzureError as error:
            failure = f"the topic (ARCHIVE_TOPIC_ENDPOINT) did not take an event: {reason(error)}"
            raise TopicUnavailable(failure) from None
        log.info("event.published", type=kind, id=event.id)


def _archived(prefix: str, manifest: Manifest) -> dict[str, Any]:
    """Return the event's data: enough to choose and find the recording, without names of participants."""
    media = [chunk.content for chunk in manifest.chunks if chunk.content is not None]
    return {
        "recordingId": manifest.recording_id,
        "callId": manifest.call_id,
        "serverCallId": manifest.server_call_id,
        "prefix": prefix,
        "manifest": blob_names.manifest_blob(prefix),
        "startTime": manifest.start_time,
        "durationMs": manifest.duration_ms,
        "contentType": manifest.content_type,
        "channelType": manifest.channel_type,
        "format": manifest.format,
        "sessionEndReason": manifest.session_end_reason,
        "chunks": len(manifest.chunks),
        "bytes": sum(file.size for file in media),
        "archivedAt": max((chunk.archived_at for chunk in manifest.chunks if chunk.archived_at), default=None),
    }
