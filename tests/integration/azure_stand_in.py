"""Azure Resource Manager's answers about a deployment, in the shapes of the API versions that infra/ uses."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

TOKEN = "a-token-that-nobody-may-see"
GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-prod"
SITE = f"{GROUP}/providers/Microsoft.Web/sites/func-archive"
TOPIC = f"{GROUP}/providers/Microsoft.EventGrid/systemTopics/evgt-archive"
SERVICE = f"{GROUP}/providers/Microsoft.Communication/communicationServices/acs-archive"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/starchive"
CONTAINER = f"{STORAGE}/blobServices/default/containers/dead-letters"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-events"
TOPICS = f"{GROUP.partition('/resourceGroups')[0]}/providers/Microsoft.EventGrid/systemTopics"
FUNCTIONS = (
    "archive_chunk",
    "diagnostics",
    "get_recording",
    "health",
    "pause_recording",
    "recording_file_status_updated",
    "resume_recording",
    "start_recording",
    "stop_recording",
    "sweep",
)


def resources(key: str, service_host: str) -> dict[str, Any]:
    """A deployment as infra/ makes it, by path in lower case; what is None does not exist."""
    subscription = {
        "id": f"{TOPIC}/eventSubscriptions/recording-files",
        "name": "recording-files",
        "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
        "properties": {
            "provisioningState": "Succeeded",
            "eventDeliverySchema": "EventGridSchema",
            "destination": {
                "endpointType": "AzureFunction",
                "properties": {
                    "resourceId": f"{SITE}/functions/recording_file_status_updated",
                    "maxEventsPerBatch": 1,
                    "preferredBatchSizeInKilobytes": 64,
                },
            },
            "filter": {
                "includedEventTypes": ["Microsoft.Communication.RecordingFileStatusUpdated"],
                "subjectBeginsWith": "",
                "subjectEndsWith": "",
            },
            "retryPolicy": {"eventTimeToLiveInMinutes": 120, "maxDeliveryAttempts": 30},
            "deadLetterWithResourceIdentity": {
                "identity": {"type": "UserAssigned", "userAssignedIdentity": IDENTITY},
                "deadLetterDestination": {
                    "endpointType": "StorageBlob",
                    "properties": {"resourceId": STORAGE, "blobContainerName": "dead-letters"},
                },
            },
        },
    }
    topic = {
        "id": TOPIC,
        "name": "evgt-archive",
        "location": "global",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "provisioningState": "Succeeded",
            "source": SERVICE,
            "topicType": "Microsoft.Communication.CommunicationServices",
        },
    }
    site = {
        "id": SITE,
        "name": "func-archive",
        "kind": "functionapp,linux",
        "tags": {"azd-service-name": "archiver", "azd-env-name": "prod"},
        "properties": {
            "state": "Running",
            "defaultHostName": "func-archive.azurewebsites.net",
            "sku": "FlexConsumption",
        },
    }
    functions = [
        {"id": f"{SITE}/functions/{name}", "name": f"func-archive/{name}", "properties": {"isDisabled": False}}
        for name in FUNCTIONS
    ]
    found = {
        "/subscriptions": {"value": [{"subscriptionId": GROUP.split("/")[2], "state": "Enabled"}]},
        SITE: site,
        SITE.rpartition("/")[0]: {"value": [site]},
        f"{SITE}/functions": {"value": functions},
        f"{SITE}/functions/diagnostics/listkeys": {"default": key},
        TOPICS: {"value": [topic]},
        SERVICE: {"id": SERVICE, "name": "acs-archive", "properties": {"hostName": service_host}},
        f"{TOPIC}/eventSubscriptions": {"value": [subscription]},
        CONTAINER: {"id": CONTAINER, "name": "dead-letters", "properties": {"publicAccess": "None"}},
    }
    return copy.deepcopy({path.lower(): resource for path, resource in found.items()})


class Credential:
    """Somebody who is signed in."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return the stand-in's token."""
        from azure.core.credentials import AccessToken

        return AccessToken(TOKEN, 4_000_000_000)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass(slots=True)
class AzureStandIn:
    """Serves `resources`; `async with` starts and stops it.

    Attributes
    ----------
    forbidden
        Paths, in lower case, that whoever asks may not read.
    asked
        What was asked, with the API version.
    """

    resources: dict[str, Any]
    forbidden: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    endpoint: str = ""
    _runner: web.AppRunner = field(init=False)

    async def __aenter__(self) -> AzureStandIn:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path.lower()
        self.asked.append((request.method, path, request.query.get("api-version", "")))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "AuthenticationFailed")
        if path in self.forbidden:
            return _error(403, "AuthorizationFailed")
        found = self.resources.get(path)
        return _error(404, "ResourceNotFound") if found is None else web.json_response(found)


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": "The stand-in says no."}}, status=status)
