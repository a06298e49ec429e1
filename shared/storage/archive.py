"""The archive's container, by what lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.storage.blobs import Blobs
from shared.storage.kept_events import KeptEvents
from shared.storage.manifests import Manifests
from shared.storage.places import EventPlaces

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


class Archive:
    """What lies in the archive's container.

    Attributes
    ----------
    container
        The container itself.
    blobs
        The small blobs, by name.
    manifests, events, places
        What each recording consists of, the events that are kept with it, and where it lies.
    """

    def __init__(self, container: ContainerClient) -> None:
        self.container = container
        self.blobs = Blobs(container)
        self.manifests = Manifests(container)
        self.events = KeptEvents(self.blobs)
        self.places = EventPlaces(self.blobs)
