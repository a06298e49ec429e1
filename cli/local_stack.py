"""The local stack (`make run`): its Event Grid emulator, its storage emulator, its keys."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from cli.deployment import is_local
from cli.errors import UsageError
from cli.events import DeadLetters, Subscription, Topic, TopicMissing, Withheld

if TYPE_CHECKING:
    from pathlib import Path

# The storage emulator's account, as its documentation publishes it.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_WEBHOOK = "/runtime/webhooks/eventgrid"
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """The keys that the local Functions host made for itself."""

    function: str = field(repr=False)
    master: str = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> LocalKeys:
        """Read them from the stack's folder.

        Raises
        ------
        UsageError
            They are not there, or not readable.
        """
        path = folder / "keys.json"
        try:
            keys = json.loads(path.read_text("utf-8"))
            return cls(str(keys["functionKeys"]["default"]), str(keys["masterKey"]))
        except FileNotFoundError:
            raise UsageError(
                f"{path} does not exist: start the stack with make run, or name its folder with --folder"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} cannot be read ({type(error).__name__}): name another folder with --folder"
            ) from None


@dataclass(frozen=True, slots=True)
class LocalEvents:
    """The Event Grid emulator.

    Attributes
    ----------
    endpoint
        Its address.
    app
        The app's address, to see whether a subscription points there.
    topic_name
        The topic of the service's events.
    blob_port
        Where Azurite keeps the dead letters.
    """

    endpoint: str
    app: str
    topic_name: str
    blob_port: int

    async def topic(self) -> Topic:
        """Return the topic."""
        topics = await self._ask("/control/topics")
        found = next((topic for topic in topics if topic["name"] == self.topic_name), None)
        if found is None:
            raise TopicMissing(f"the Event Grid emulator has no topic {self.topic_name}; restart the stack (make run)")
        return Topic(found["name"], "Succeeded", None, has_identity=True)

    async def subscriptions(self) -> list[Subscription]:
        """Return the topic's subscriptions."""
        return [self._read(found) for found in await self._ask(f"/control/topics/{self.topic_name}/subscriptions")]

    async def container_exists(self, letters: DeadLetters) -> bool:
        """Ask Azurite."""
        blobs = BlobServiceClient(
            f"http://127.0.0.1:{self.blob_port}/{_ACCOUNT}",
            credential={"account_name": _ACCOUNT, "account_key": _ACCOUNT_KEY},
            retry_total=0,
        )
        async with blobs:
            try:
                await blobs.get_container_client(letters.container).get_container_properties()
            except ResourceNotFoundError:
                return False
            except AzureError:
                raise Withheld(f"Azurite does not answer on port {self.blob_port}: see --blob-port") from None
        return True

    def _read(self, found: dict[str, Any]) -> Subscription:
        base = str(found["endpointBaseUrl"])
        letters = found["deadLetter"]
        types = found["filter"]["includedEventTypes"]
        return Subscription(
            name=str(found["name"]),
            state=str(found["provisioningState"]),
            target=base,
            to_app=_place(base) == (*_place(self.app)[:2], _WEBHOOK),
            function=None,
            event_types=None if types is None else tuple(types),
            ttl_minutes=int(found["retryPolicy"]["eventTimeToLiveInMinutes"]),
            dead_letters=DeadLetters("the local storage", letters["container"], by_identity=False) if letters else None,
        )

    async def _ask(self, path: str) -> Any:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(f"{self.endpoint}{path}", raise_for_status=True) as answer,
            ):
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise Withheld(
                f"no Event Grid emulator answers at {self.endpoint}: start it with make run, or see --eventgrid-port"
            ) from None


def _place(url: str) -> tuple[str, int | None, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return "this machine" if is_local(host) else host, parts.port, parts.path.lower().rstrip("/")
