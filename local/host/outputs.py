"""Queue output bindings: what a function put out becomes messages, one for each item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceNotFoundError

from local.host.storage import create_if_missing, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.storage.queue.aio import QueueClient

    from local.host.functions import Function
    from local.host.protocol import TypedData
    from local.host.storage import Queues
    from local.host.worker import Outcome


class Outputs:
    """Delivers what functions put out.

    Parameters
    ----------
    queues
        Makes the clients.
    encoding
        host.json's `messageEncoding`.
    on_message
        Called with a queue's URL after a message went there, so that a listener of this host looks at once.
    """

    def __init__(self, queues: Queues, encoding: str, on_message: Callable[[str], None]) -> None:
        self._queues = queues
        self._encoding = encoding
        self._on_message = on_message
        self._clients: dict[tuple[str, str], QueueClient] = {}

    def prepare(self, function: Function) -> None:
        """Make the clients of a function's outputs.

        Raises
        ------
        SettingsError
            An output's connection is not there.
        """
        for name, binding in function.outputs.items():
            if binding["type"] == "queue":
                where = f"Function '{function.name}', binding '{name}'"
                client = self._queues.client(str(binding.get("connection") or ""), str(binding["queueName"]), where)
                self._clients[function.name, name] = client

    async def deliver(self, function: Function, outcome: Outcome) -> None:
        """Send the messages of one invocation, in order.

        Raises
        ------
        azure.core.exceptions.AzureError
            A message could not be sent; those before it were.
        """
        for name, binding in function.outputs.items():
            value = outcome.return_value if name == "$return" else outcome.outputs.get(name)
            if binding["type"] == "queue" and value is not None:
                await self._send(self._clients[function.name, name], messages_of(value))

    async def _send(self, client: QueueClient, contents: list[str | bytes]) -> None:
        for content in contents:
            text = encode_message(content, self._encoding)
            try:
                await client.send_message(text)
            except ResourceNotFoundError:
                await create_if_missing(client)
                await client.send_message(text)
        if contents:
            self._on_message(client.url)


def messages_of(value: TypedData) -> list[str | bytes]:
    """Take a binding's value apart into the contents of messages."""
    if value.kind != "json":
        content = value.value()
        return [content if isinstance(content, (str, bytes)) else json.dumps(content)]
    items = value.value()
    return [_content(item) for item in (items if isinstance(items, list) else [items])]


def _content(item: Any) -> str:
    match item:
        case str():
            return item
        case {"id": _, "body": str() as body, **rest} if not rest:
            # That is how the worker library writes a func.QueueMessage.
            return body
        case _:
            return json.dumps(item)
