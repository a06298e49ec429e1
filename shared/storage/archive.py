"""The archive's container, by kinds of content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.storage.blobs import Blobs
from shared.storage.kept_events import KeptEvents
from shared.storage.manifests import Manifests
from shared.storage.places import EventPlaces

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


class Archive:
    """What the archive's container holds: small blobs, manifests, kept events, and recordings' places."""

    def __init__(self, container: ContainerClient) -> None:
        self.container = container
        self.blobs = Blobs(container)
        self.manifests = Manifests(container)
        self.events = KeptEvents(self.blobs)
        self.places = EventPlaces(self.blobs)
