"""The queue between the event and the copy, for messages that the platform's bindings cannot send: those that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.storage.queue import TextBase64EncodePolicy

if TYPE_CHECKING:
    from datetime import timedelta

    from azure.storage.queue.aio import QueueServiceClient

NEVER_EXPIRES = -1


class ChunkQueue:
    """Sends chunk messages.

    Parameters
    ----------
    service
        The queue service.
    name
        The queue's name. Messages are base64, as host.json's `messageEncoding` says by default.
    """

    def __init__(self, service: QueueServiceClient, name: str) -> None:
        self._queue = service.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())

    async def send(self, body: str, delay: timedelta) -> None:
        """Send a message that shows up after `delay`, and stays until it is handled."""
        await self._queue.send_message(
            body, visibility_timeout=round(delay.total_seconds()), time_to_live=NEVER_EXPIRES
        )
