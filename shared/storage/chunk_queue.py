"""The queue of chunk messages, used directly where the platform's bindings cannot: they send no delayed message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from azure.storage.queue.aio import QueueServiceClient


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
        self._queue = service.get_queue_client(
            name, message_encode_policy=TextBase64EncodePolicy(), message_decode_policy=TextBase64DecodePolicy()
        )

    async def send(self, body: str, delay: timedelta) -> None:
        """Send a message that becomes visible after `delay` and never expires."""
        await self._queue.send_message(body, visibility_timeout=round(delay.total_seconds()), time_to_live=-1)

    async def take_all(self, handle: Callable[[str], Awaitable[None]]) -> None:
        """Handle every message that is visible, and delete each after it was handled."""
        try:
            async for message in self._queue.receive_messages(messages_per_page=32, visibility_timeout=300):
                await handle(message.content)
                await self._queue.delete_message(message)
        except ResourceNotFoundError:
            return  # the platform creates the poison queue with its first message
