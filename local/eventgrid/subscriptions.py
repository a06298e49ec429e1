"""The settings of an event subscription, under the names that the Azure resource has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

from local.eventgrid.retries import EndpointType
from local.eventgrid.schemas import EventSchema

if TYPE_CHECKING:
    from local.eventgrid.schemas import AcceptedEvent


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has to be an absolute http or https URL")
    return value


class _Settings(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


class EventFilter(_Settings):
    """Which of a topic's events a subscription gets. Subjects are compared without case by default."""

    included_event_types: tuple[str, ...] | None = None
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    is_subject_case_sensitive: bool = False

    def matches(self, event: AcceptedEvent) -> bool:
        """Return whether the event passes every part of the filter."""
        types = self.included_event_types
        if types and types != ("All",) and event.type not in types:
            return False
        fold = str if self.is_subject_case_sensitive else str.lower
        subject = fold(event.subject)
        return subject.startswith(fold(self.subject_begins_with)) and subject.endswith(fold(self.subject_ends_with))


class RetryPolicy(_Settings):
    """How long delivery is tried; whichever limit is reached first ends it."""

    max_delivery_attempts: int = Field(default=30, ge=1, le=30)
    event_time_to_live_in_minutes: int = Field(default=1440, ge=1, le=1440)


class DeadLetterDestination(_Settings):
    """The blob container for what could not be delivered."""

    connection_string: SecretStr
    container: str = Field(pattern=r"^[a-z0-9](?:-?[a-z0-9]){2,62}$")


def _time_to_live(value: int) -> int:
    if value < 1 and value != -1:
        raise ValueError("it has to be above zero, or -1 for a message that never expires")
    return value


class StorageQueueDestination(_Settings):
    """The storage queue that events are put into; without a time to live they have the storage's 7 days."""

    connection_string: SecretStr
    queue_name: str = Field(pattern=r"^[a-z0-9](?:-?[a-z0-9]){2,62}$")
    queue_message_time_to_live_in_seconds: Annotated[int, AfterValidator(_time_to_live)] | None = None


class SubscriptionSettings(_Settings):
    """An event subscription as the customer describes it."""

    name: str = Field(pattern=r"^[A-Za-z0-9-]{3,64}$")
    endpoint: Annotated[str, AfterValidator(_web_address)] = Field(default="", repr=False)
    endpoint_type: EndpointType = EndpointType.WEB_HOOK
    event_delivery_schema: EventSchema = EventSchema.EVENT_GRID
    filter: EventFilter = EventFilter()
    retry_policy: RetryPolicy = RetryPolicy()
    max_events_per_batch: int = Field(default=1, ge=1, le=5000)
    preferred_batch_size_in_kilobytes: int = Field(default=64, ge=1, le=1024)
    dead_letter: DeadLetterDestination | None = None
    storage_queue: StorageQueueDestination | None = None

    @model_validator(mode="after")
    def _check_destination(self) -> Self:
        queue = self.endpoint_type is EndpointType.STORAGE_QUEUE
        if queue != (self.storage_queue is not None) or queue == bool(self.endpoint):
            raise ValueError(
                "the endpointType 'StorageQueue' needs 'storageQueue' and no 'endpoint'"
                if queue
                else f"the endpointType '{self.endpoint_type}' needs 'endpoint' and no 'storageQueue'"
            )
        if queue and self.max_events_per_batch > 1:
            raise ValueError("'maxEventsPerBatch' is for webhooks; each message of a queue is one event")
        return self

    @property
    def endpoint_base_url(self) -> str:
        """The endpoint without its query, which holds the function key; empty for a queue."""
        if not self.endpoint:
            return ""
        parts = urlsplit(self.endpoint)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    def shown(self) -> dict[str, Any]:
        """Return the settings as JSON without secrets."""
        shown = self.model_dump(
            mode="json",
            by_alias=True,
            exclude={"endpoint": True, "dead_letter": True, "storage_queue": {"connection_string"}},
        )
        shown["endpointBaseUrl"] = self.endpoint_base_url
        shown["deadLetter"] = {"container": self.dead_letter.container} if self.dead_letter else None
        return shown
