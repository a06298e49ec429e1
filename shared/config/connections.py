"""The services that the app connects to, as its settings name them. No `repr` shows a key."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Service:
    """The Azure Communication Services resource.

    `endpoint` is its URL, without a trailing slash; `access_key` is base64, None where a managed identity is used.
    """

    endpoint: str
    access_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Storage:
    """The archive's storage account: a connection string, or the services' addresses and an identity.

    Attributes
    ----------
    connection_string
        None where addresses are used.
    blob_uri, queue_uri, table_uri
        The services' addresses; None where a connection string is used.
    client_id
        The user-assigned identity's client id; None for the system's or the developer's own.
    """

    connection_string: str | None = field(repr=False)
    blob_uri: str | None = None
    queue_uri: str | None = None
    table_uri: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """The Event Grid topic for the archive's own events; `key` is None where an identity is used."""

    endpoint: str
    key: str | None = field(repr=False)
