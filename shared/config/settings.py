"""The app's settings, read from the environment and checked together.

One message names all faults, each with the fix. Only the standard library is imported: this runs at every cold start.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.config.connections import Service, Storage, Topic
from shared.core.errors import SettingsError
from shared.core.trusted_origins import TrustedOrigins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_TRUSTED_ORIGINS = (
    "https://*.asm.skype.com,https://*.asyncgw.teams.microsoft.com,https://*.ams.gov.teams.microsoft.us"
)
"""The hosts that serve recordings, as the service's own SDK lists them."""

_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.communication/communicationservices/[^/]+",
    re.IGNORECASE,
)
_CONTAINER_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings.

    Attributes
    ----------
    service
        The Azure Communication Services resource.
    storage
        The archive's account.
    container
        The archive's blob container.
    retention_hours
        How long the service keeps a recording's files.
    trusted_origins
        The origins that credentials may be sent to.
    origin_patterns
        The same, as the setting has it, for diagnostics.
    block_mib
        Size of a block of a copy, MiB.
    concurrency
        Most connections of one copy at a time.
    retry_seconds
        Seconds to wait after a chunk's first failed try.
    expected_event_minutes
        Minutes after a recording's end after which a missing event is reported.
    dead_letter_container
        The container that Event Grid writes undeliverable events to.
    delete_source
        Whether the service's copy is deleted once a chunk is archived and verified.
    topic
        The topic for the archive's own events; None sends none.
    public_base_url
        The app's public address, without a trailing slash; None turns state callbacks off.
    auto_record
        Which calls are recorded automatically: `off`, `all`, or the path of a policy file from the app's root.
    host_storage
        The Functions host's own account, whose queue takes events in; None where it is not set.
    require_consent
        Whether a start must have the participants' consent.
    resource_id
        The Azure id of the only resource whose events are accepted; None accepts all.
    """

    service: Service
    storage: Storage
    container: str
    retention_hours: float
    trusted_origins: TrustedOrigins
    block_mib: int
    concurrency: int
    retry_seconds: int
    expected_event_minutes: int
    dead_letter_container: str
    delete_source: bool = False
    topic: Topic | None = None
    public_base_url: str | None = None
    auto_record: str = "off"
    host_storage: Storage | None = None
    require_consent: bool = False
    resource_id: str | None = None
    origin_patterns: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings; `environment` is `os.environ` or the like.

        Raises
        ------
        SettingsError
            Something is missing or wrong; the message has one line a fault.
        """
        reader = _Reader(environment)
        settings = cls(
            service=reader.service(),
            storage=reader.storage(),
            host_storage=reader.host_storage(),
            container=reader.text("ARCHIVE_CONTAINER", "recordings", _container_name),
            retention_hours=reader.number("RECORDING_RETENTION_HOURS", 24, low=1, high=48),
            trusted_origins=reader.origins("RECORDING_TRUSTED_ORIGINS", DEFAULT_TRUSTED_ORIGINS),
            block_mib=reader.number("COPY_BLOCK_MIB", 8, low=1, high=100),
            concurrency=reader.number("COPY_CONCURRENCY", 8, low=1, high=64),
            retry_seconds=reader.number("RETRY_SECONDS", 15, low=1, high=300),
            expected_event_minutes=reader.number("EXPECTED_EVENT_MINUTES", 60, low=1, high=1440),
            dead_letter_container=reader.text("DEAD_LETTER_CONTAINER", "dead-letters", _container_name),
            delete_source=reader.flag("DELETE_SOURCE_AFTER_ARCHIVE", "false"),
            topic=reader.topic(),
            public_base_url=reader.public_base_url(),
            auto_record=reader.text("AUTO_RECORD", "off", lambda _: None),
            require_consent=reader.flag("REQUIRE_CONSENT", "false"),
            resource_id=reader.resource_id(),
            origin_patterns=reader.parts("RECORDING_TRUSTED_ORIGINS", DEFAULT_TRUSTED_ORIGINS),
        )
        if reader.faults:
            raise SettingsError(*reader.faults)
        return settings


class _Reader:
    """Reads settings one by one and collects the faults."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def _get(self, name: str) -> str:
        return self._environment.get(name, "").strip()

    def text(self, name: str, default: str, check: Callable[[str], str | None]) -> str:
        value = self._get(name) or default
        if fault := check(value):
            self.faults.append(f"{name} {fault}")
        return value

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self._get(name) or str(default)
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            self.faults.append(f"{name} is {value!r}; it takes a whole number from {low} to {high}")
            return default
        return int(value)

    def flag(self, name: str, default: str) -> bool:
        value = (self._get(name) or default).lower()
        if value not in {"true", "false"}:
            self.faults.append(f"{name} is {value!r}; it takes true or false")
        return value == "true"

    def parts(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in (self._get(name) or default).split(",") if part.strip())

    def origins(self, name: str, default: str) -> TrustedOrigins:
        try:
            return TrustedOrigins(self.parts(name, default))
        except ValueError as error:
            self.faults.append(f"{name}: {error}")
            return TrustedOrigins(())

    def _require(self, condition: object, fault: str) -> None:
        if not condition:
            self.faults.append(fault)

    def service(self) -> Service:
        endpoint, connection_string = self._get("ACS_ENDPOINT"), self._get("ACS_CONNECTION_STRING")
        if connection_string:
            self._require(
                not endpoint,
                "ACS_ENDPOINT and ACS_CONNECTION_STRING are both set; keep ACS_ENDPOINT to use a managed "
                "identity, or ACS_CONNECTION_STRING to use an access key",
            )
            parts = _parts(connection_string)
            endpoint, access_key = parts.get("endpoint", ""), parts.get("accesskey", "")
            self._require(
                _is_url(endpoint) and _is_base64(access_key),
                "ACS_CONNECTION_STRING is not of the form endpoint=https://<resource>.communication.azure.com/;"
                "accesskey=<key>; copy it from the resource's Keys page",
            )
            return Service(endpoint.rstrip("/"), access_key)
        example = "https://<resource>.communication.azure.com"
        if endpoint:
            self._require(_is_url(endpoint), f"ACS_ENDPOINT is {endpoint!r}; it takes an address such as {example}")
        else:
            self.faults.append(
                f"ACS_ENDPOINT is not set; give the resource's address, such as {example}, or set ACS_CONNECTION_STRING"
            )
        return Service(endpoint.rstrip("/"), None)

    def storage(self) -> Storage:
        if connection_string := self._get("ARCHIVE_STORAGE"):
            self._require(
                _parts(connection_string).keys() & {"accountname", "usedevelopmentstorage", "blobendpoint"},
                "ARCHIVE_STORAGE is not a storage connection string; copy it from the account's keys",
            )
            return Storage(connection_string)
        addresses, missing = [], []
        for service in ("blob", "queue", "table"):
            name = f"ARCHIVE_STORAGE__{service}ServiceUri"
            addresses.append(value := self._get(name))
            if not value:
                missing.append(name)
            elif not _is_url(value):
                example = f"https://<account>.{service}.core.windows.net"
                self.faults.append(f"{name} is {value!r}; it takes an address such as {example}")
        self._require(
            not missing,
            f"{' and '.join(missing)} not set; give the archive account's addresses, "
            "or a connection string in ARCHIVE_STORAGE",
        )
        blob, queue, table = addresses
        return Storage(None, blob, queue, table, self._get("ARCHIVE_STORAGE__clientId") or None)

    def host_storage(self) -> Storage | None:
        """Read what the Functions host itself reads; it does not start with what it cannot use."""
        if connection_string := self._get("AzureWebJobsStorage"):
            return Storage(connection_string)
        account = self._get("AzureWebJobsStorage__accountName")
        queue = self._get("AzureWebJobsStorage__queueServiceUri")
        queue = queue or (account and f"https://{account}.queue.core.windows.net")
        return Storage(None, None, queue, None, self._get("AzureWebJobsStorage__clientId") or None) if queue else None

    def public_base_url(self) -> str | None:
        value = self._get("PUBLIC_BASE_URL").rstrip("/")
        self._require(
            not value or _is_public(value),
            f"PUBLIC_BASE_URL is {value!r}; it takes the app's own address such as "
            "https://<app>.azurewebsites.net, with http for this machine only",
        )
        return value or None

    def resource_id(self) -> str | None:
        value = self._get("ACS_RESOURCE_ID").rstrip("/")
        self._require(
            not value or _RESOURCE_ID.fullmatch(value),
            f"ACS_RESOURCE_ID is {value!r}; it takes the Communication Services resource's Azure id, "
            "/subscriptions/…/providers/Microsoft.Communication/communicationServices/<name>",
        )
        return value or None

    def topic(self) -> Topic | None:
        endpoint, key = self._get("ARCHIVE_TOPIC_ENDPOINT"), self._get("ARCHIVE_TOPIC_KEY") or None
        if not endpoint:
            self._require(key is None, "ARCHIVE_TOPIC_KEY is set without ARCHIVE_TOPIC_ENDPOINT, the topic's address")
            return None
        if not _is_url(endpoint):
            self.faults.append(
                f"ARCHIVE_TOPIC_ENDPOINT is {endpoint!r}; it takes a topic's address such as "
                "https://<topic>.<region>-1.eventgrid.azure.net/api/events"
            )
        elif key is None and not endpoint.lower().startswith("https:"):
            self.faults.append(
                "ARCHIVE_TOPIC_ENDPOINT is not https, so no identity's token may be sent there; give a local topic's "
                "key in ARCHIVE_TOPIC_KEY"
            )
        return Topic(endpoint, key)


def _parts(connection_string: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in connection_string.split(";") if part.strip()]
    return {key.strip().lower(): value for key, _, value in pairs}


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def _is_public(value: str) -> bool:
    parts = urlsplit(value) if _is_url(value) and not re.search(r"[?#\s]", value) else None
    return parts is not None and (parts.scheme == "https" or parts.hostname in {"127.0.0.1", "localhost"})


def _is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(value, validate=True))
    except binascii.Error:
        return False


def _container_name(value: str) -> str | None:
    if _CONTAINER_NAME.fullmatch(value):
        return None
    return f"is {value!r}; a container's name has 3 to 63 lower-case letters, digits and single hyphens"
