"""Storage queues for triggers and outputs: connections by app setting, and the encoding of messages."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueServiceClient

from local.host.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.storage.queue.aio import QueueClient

# The storage emulator's account, as its documentation publishes it; UseDevelopmentStorage=true stands for it.
DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)


class Queues:
    """Clients of storage queues, one connection pool for each connection string.

    Parameters
    ----------
    environment
        The app settings.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._services: dict[str, QueueServiceClient] = {}

    def client(self, connection: str, queue: str, where: str) -> QueueClient:
        """Make a client for `queue` by the connection's app setting.

        Parameters
        ----------
        connection
            The name in a binding's `connection`; empty for ``AzureWebJobsStorage``.
        where
            What asks, for messages.

        Raises
        ------
        SettingsError
            There is no connection string under that name.
        """
        text = connection_string(connection, self._environment, where)
        if text not in self._services:
            # The SDK's own first retry waits 15 s; a local host reports what is wrong sooner, and tries again.
            retry: dict[str, Any] = {
                "initial_backoff": 1,
                "increment_base": 1,
                "random_jitter_range": 0,
                "retry_total": 1,
            }
            try:
                self._services[text] = QueueServiceClient.from_connection_string(text, **retry)
            except ValueError as exc:
                name = connection or "AzureWebJobsStorage"
                raise SettingsError(f"{where}: the app setting '{name}' is no connection string: {exc}.") from exc
        return self._services[text].get_queue_client(queue)

    async def close(self) -> None:
        """Close all connections."""
        for service in self._services.values():
            await service.close()
        self._services.clear()


def connection_string(connection: str, environment: Mapping[str, str], where: str) -> str:
    """Find a connection string as the Functions host does: under its name, or prefixed with ``AzureWebJobs``.

    Raises
    ------
    SettingsError
        Nothing is there, or an identity-based connection is.
    """
    name = connection or "AzureWebJobsStorage"
    for candidate in (name, f"AzureWebJobs{name}", f"ConnectionStrings__{name}"):
        text = environment.get(candidate, "").strip()
        if text:
            return DEVELOPMENT_STORAGE if text.rstrip(";").lower() == "usedevelopmentstorage=true" else text
    if any(setting.lower().startswith(f"{name}__".lower()) for setting in environment):
        raise SettingsError(
            f"{where}: '{name}' is an identity-based connection ({name}__…), and there is no identity on this machine: "
            f"give the local host a connection string in '{name}'."
        )
    raise SettingsError(
        f"{where}: the app setting '{name}' is missing: put a storage connection string into "
        "local.settings.json (Values) or the environment."
    )


async def create_if_missing(client: QueueClient) -> None:
    """Create a queue unless it exists."""
    try:
        await client.create_queue()
    except ResourceExistsError:
        return


def encode_message(content: str | bytes, encoding: str) -> str:
    """Encode a message's content as host.json says.

    Parameters
    ----------
    encoding
        ``base64`` or ``none``.
    """
    data = content.encode() if isinstance(content, str) else content
    return base64.b64encode(data).decode() if encoding == "base64" else data.decode()


def decode_message(text: str, encoding: str) -> str | bytes:
    """Decode a message as host.json says: a text where the content is UTF-8, else bytes.

    Raises
    ------
    ValueError
        `encoding` is ``base64`` and the text is not.
    """
    if encoding != "base64":
        return text
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(str(exc)) from exc
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
