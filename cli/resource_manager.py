"""Azure Resource Manager: the function app, its functions and key, the event subscription, dead letters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import ClientAuthenticationError

from cli.deployment import is_local
from cli.errors import UsageError
from cli.events import DeadLetters, Subscription, Topic, TopicMissing, Withheld

if TYPE_CHECKING:
    from types import TracebackType

    from azure.core.credentials_async import AsyncTokenCredential

PUBLIC_CLOUD = "https://management.azure.com"
_WEB = "2025-03-01"
_EVENT_GRID = "2025-02-15"
_STORAGE = "2025-06-01"
_COMMUNICATION = "2025-09-01"
_SUBSCRIPTIONS = "2022-12-01"
_TOPIC_TYPE = "microsoft.communication.communicationservices"
_AZD_SERVICE = "archiver"
_DEFAULT_TTL = 1440
_FUNCTION = re.compile(
    r"(?P<site>/subscriptions/.+/providers/Microsoft\.Web/sites/[^/]+)/functions/(?P<name>[^/]+)", re.IGNORECASE
)
_TIMEOUT = aiohttp.ClientTimeout(total=30)


class ResourceManager:
    """Reads resources; `async with` opens and closes the connections.

    Parameters
    ----------
    credential
        The credential of the user who runs the command.
    endpoint
        Another cloud's address.

    Raises
    ------
    UsageError
        The endpoint is neither https nor on this machine, so no token may be sent there.
    """

    def __init__(self, credential: AsyncTokenCredential, endpoint: str = PUBLIC_CLOUD) -> None:
        parts = urlsplit(endpoint)
        if not parts.hostname or (parts.scheme != "https" and not is_local(parts.hostname)):
            raise UsageError("--management-endpoint takes an address such as https://management.azure.com")
        self._endpoint = f"{parts.scheme}://{parts.netloc}"
        self._credential = credential
        self._token: str | None = None
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, api_version: str) -> dict[str, Any] | None:
        """Return a resource; None if it does not exist.

        Raises
        ------
        Withheld
            The user is not signed in or may not read it, or Azure does not answer.
        """
        return await self._send("GET", f"{self._endpoint}{path}?api-version={api_version}")

    async def post(self, path: str, api_version: str) -> dict[str, Any] | None:
        """Call an action of a resource; as `get`."""
        return await self._send("POST", f"{self._endpoint}{path}?api-version={api_version}")

    async def all(self, path: str, api_version: str) -> list[dict[str, Any]]:
        """Return all resources of a list, which may come in pages; as `get`."""
        page = await self.get(path, api_version)
        found = []
        while page is not None:
            found += page.get("value", [])
            following = page.get("nextLink")
            if not following or not str(following).startswith(f"{self._endpoint}/"):
                break
            page = await self._send("GET", str(following))
        return found

    async def _send(self, method: str, url: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {await self._signed_in()}"}
        what = urlsplit(url).path
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                if answer.status in {401, 403}:
                    raise Withheld(f"you may not read {what}; ask for the role Reader on the resource group")
                if not answer.ok:
                    raise Withheld(f"Azure answered {answer.status} for {what}")
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Withheld(f"{self._endpoint} cannot be reached ({type(error).__name__})") from error
        return body if isinstance(body, dict) else None

    async def _signed_in(self) -> str:
        if self._token is None:
            scope = PUBLIC_CLOUD if is_local(urlsplit(self._endpoint).hostname or "") else self._endpoint
            try:
                self._token = (await self._credential.get_token(f"{scope}/.default")).token
            except ClientAuthenticationError as error:
                raise Withheld("you are not signed in to Azure: run az login") from error
        return self._token


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """The function app, as Azure has it.

    Attributes
    ----------
    id
        Its resource id.
    url
        Where it answers.
    state
        `Running`, or why it does not.
    """

    id: str
    name: str
    url: str
    state: str

    @classmethod
    async def find(
        cls, manager: ResourceManager, subscription: str | None, group: str, name: str | None
    ) -> Self | None:
        """Return the app `name` of a resource group, or the archiver among its apps; None if it is not there.

        Raises
        ------
        UsageError
            It is not clear which subscription or app is meant.
        Withheld
            As `ResourceManager.get`.
        """
        chosen = subscription or await _only_subscription(manager)
        path = f"/subscriptions/{chosen}/resourceGroups/{group}/providers/Microsoft.Web/sites"
        if name is not None:
            site = await manager.get(f"{path}/{name}", _WEB)
            return None if site is None else cls._read(site)
        sites = [site for site in await manager.all(path, _WEB) if "functionapp" in str(site.get("kind"))]
        tagged = [site for site in sites if (site.get("tags") or {}).get("azd-service-name") == _AZD_SERVICE]
        meant = tagged or sites
        if len(meant) > 1:
            names = ", ".join(str(site["name"]) for site in meant)
            raise UsageError(f"{group} has several function apps: say which with --app ({names})")
        return cls._read(meant[0]) if meant else None

    @classmethod
    def _read(cls, site: dict[str, Any]) -> Self:
        properties = site["properties"]
        return cls(
            str(site["id"]),
            str(site["name"]),
            f"https://{properties['defaultHostName']}",
            str(properties.get("state") or "Running"),
        )

    async def functions(self, manager: ResourceManager) -> dict[str, bool]:
        """Return its functions by name, with whether they are enabled."""
        return {
            str(found["name"]).rpartition("/")[2]: not (found.get("properties") or {}).get("isDisabled")
            for found in await manager.all(f"{self.id}/functions", _WEB)
        }

    async def key(self, manager: ResourceManager) -> str | None:
        """Return the key of the function that diagnoses, if the user may read it."""
        try:
            keys = await manager.post(f"{self.id}/functions/diagnostics/listkeys", _WEB) or {}
        except Withheld:
            return None
        return keys.get("default") or next(iter(keys.values()), None)


async def _only_subscription(manager: ResourceManager) -> str:
    found = [
        str(subscription["subscriptionId"]) for subscription in await manager.all("/subscriptions", _SUBSCRIPTIONS)
    ]
    if len(found) != 1:
        raise UsageError(
            f"you can see {len(found)} Azure subscriptions: say which with --subscription or AZURE_SUBSCRIPTION_ID"
        )
    return found[0]


@dataclass(slots=True)
class AzureEvents:
    """The system topic of the service and its subscriptions.

    Attributes
    ----------
    app
        The function app that they should deliver to.
    service
        Host name of the service's resource, to know its topic among several; None if it is not known.
    """

    manager: ResourceManager
    app: FunctionApp
    service: str | None
    _topic_id: str = field(init=False, default="")

    async def topic(self) -> Topic:
        """Return the service's system topic, which need not be in the app's resource group."""
        subscription = self.app.id.split("/")[2]
        path = f"/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics"
        topics = [
            topic
            for topic in await self.manager.all(path, _EVENT_GRID)
            if str(topic["properties"].get("topicType")).lower() == _TOPIC_TYPE
        ]
        hosts = [await self._host(str(topic["properties"].get("source"))) for topic in topics]
        group = "/".join(self.app.id.lower().split("/")[:5])

        def fit(index: int) -> tuple[bool, bool]:
            ours = self.service is not None and (hosts[index] or "").lower() == self.service.lower()
            return ours, str(topics[index]["id"]).lower().startswith(f"{group}/")

        if not topics:
            raise TopicMissing("the subscription has no system topic of a Communication Services resource")
        index = max(range(len(topics)), key=fit)
        found = topics[index]
        self._topic_id = str(found["id"])
        identity = str((found.get("identity") or {}).get("type") or "None")
        return Topic(
            str(found["name"]), str(found["properties"].get("provisioningState")), hosts[index], identity != "None"
        )

    async def subscriptions(self) -> list[Subscription]:
        """Return the topic's subscriptions."""
        return [
            self._read(found) for found in await self.manager.all(f"{self._topic_id}/eventSubscriptions", _EVENT_GRID)
        ]

    async def container_exists(self, letters: DeadLetters) -> bool:
        """Ask for the container as a resource: reading blobs is not needed for that."""
        path = f"{letters.account}/blobServices/default/containers/{letters.container}"
        return await self.manager.get(path, _STORAGE) is not None

    async def _host(self, source: str) -> str | None:
        try:
            resource = await self.manager.get(source, _COMMUNICATION)
        except Withheld:
            return None
        return None if resource is None else str(resource["properties"].get("hostName")) or None

    def _read(self, found: dict[str, Any]) -> Subscription:
        properties = found["properties"]
        target, to_app, function = self._target(properties)
        types = (properties.get("filter") or {}).get("includedEventTypes")
        return Subscription(
            name=str(found["name"]),
            state=str(properties.get("provisioningState")),
            target=target,
            to_app=to_app,
            function=function,
            event_types=None if types is None else tuple(types),
            ttl_minutes=int((properties.get("retryPolicy") or {}).get("eventTimeToLiveInMinutes") or _DEFAULT_TTL),
            dead_letters=_dead_letters(properties),
        )

    def _target(self, properties: dict[str, Any]) -> tuple[str, bool, str | None]:
        by_identity = (properties.get("deliveryWithResourceIdentity") or {}).get("destination")
        destination = properties.get("destination") or by_identity or {}
        details = destination.get("properties") or {}
        function = _FUNCTION.fullmatch(str(details.get("resourceId")))
        if function is not None:
            to_app = function["site"].lower() == self.app.id.lower()
            return f"{function['name']} of {function['site'].rpartition('/')[2]}", to_app, function["name"]
        base = str(details.get("endpointBaseUrl") or details.get("resourceId") or destination.get("endpointType"))
        same_host = (urlsplit(base).hostname or "") == urlsplit(self.app.url).hostname
        return base, same_host and urlsplit(base).path.lower() == "/runtime/webhooks/eventgrid", None


def _dead_letters(properties: dict[str, Any]) -> DeadLetters | None:
    by_identity = properties.get("deadLetterWithResourceIdentity")
    destination = (by_identity or {}).get("deadLetterDestination") or properties.get("deadLetterDestination")
    if not destination:
        return None
    details = destination["properties"]
    return DeadLetters(str(details["resourceId"]), str(details["blobContainerName"]), by_identity=bool(by_identity))
