"""A queue of messages, for what the platform's bindings cannot do: messages that wait, and a poison queue's."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import TextBase64EncodePolicy

from shared.core import log
from shared.core.azure_errors import reason, storage_errors_translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from azure.storage.queue.aio import QueueServiceClient

NEVER_EXPIRES = -1
MOST = 1000
"""Most messages that are handed over at a time; the next time goes on."""

_HIDDEN_SECONDS = 300


class MessageQueue:
    """Sends messages, and hands over those of a poison queue.

    Parameters
    ----------
    service
        The queue service.
    name
        The queue's name. Messages are base64, as host.json's `messageEncoding` says by default.
    """

    def __init__(self, service: QueueServiceClient, name: str) -> None:
        # Without a policy that decodes: the SDK's raises at a message that is no UTF-8, and drops its whole page.
        self._queue = service.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())

    async def send(self, body: str, delay: timedelta) -> None:
        """Send a message that shows up after `delay`, and stays until it is handled."""
        await self._queue.send_message(
            body, visibility_timeout=round(delay.total_seconds()), time_to_live=NEVER_EXPIRES
        )

    async def take_all(self, handle: Callable[[str], Awaitable[None]]) -> None:
        """Hand over the messages that are there, and delete each once it was handled.

        A message that fails stays, and is handed over again after five minutes; the others are handed over all the
        same. A body that is no text is handed over as far as it can be read.

        Raises
        ------
        ExceptionGroup
            The messages that failed.
        """
        failures: list[Exception] = []
        try:
            async for message in self._queue.receive_messages(
                messages_per_page=32, visibility_timeout=_HIDDEN_SECONDS, max_messages=MOST
            ):
                try:
                    with storage_errors_translated():
                        await handle(_decoded(message.content))
                        await self._queue.delete_message(message)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others are handled
                    log.error("message.not_handled", id=message.id, reason=reason(error))
                    failures.append(error)
        except ResourceNotFoundError:
            return  # the platform makes the poison queue with its first message
        if failures:
            raise ExceptionGroup(f"{len(failures)} messages were not handled", failures)


def _decoded(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return content
