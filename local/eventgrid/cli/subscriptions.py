"""The commands under ``subscription``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from local.eventgrid.cli.terminal import DEFAULT_BASE, Base, Json, Topic, ask, fail, show, show_json, show_rows


def subscription_create(
    name: str,
    *,
    endpoint: Annotated[str, typer.Option(help="URL of the webhook.")] = "",
    queue: Annotated[str, typer.Option(help="Storage queue to deliver to, in place of a webhook.")] = "",
    queue_connection: Annotated[
        str, typer.Option(envvar="EVENTGRID_QUEUE_STORAGE", help="Storage connection string of the queue.")
    ] = "",
    queue_ttl: Annotated[
        int | None, typer.Option(help="Seconds that a message lives; -1 for ever, 7 days by default.")
    ] = None,
    topic: Topic = "acs",
    schema: Annotated[str, typer.Option(help="EventGridSchema or CloudEventSchemaV1_0.")] = "EventGridSchema",
    endpoint_type: Annotated[str, typer.Option(help="WebHook or AzureFunction.")] = "WebHook",
    event_type: Annotated[list[str] | None, typer.Option(help="Only this event type; may be repeated.")] = None,
    subject_begins_with: str = "",
    subject_ends_with: str = "",
    max_attempts: int = 30,
    ttl_minutes: int = 1440,
    max_events_per_batch: int = 1,
    dead_letter_connection: Annotated[
        str, typer.Option(envvar="EVENTGRID_DEAD_LETTER_STORAGE", help="Storage connection string.")
    ] = "",
    dead_letter_container: str = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait for an endpoint that is still starting.")] = 0.0,
    eventgrid: Base = DEFAULT_BASE,
    as_json: Json = False,
) -> None:
    """Create an event subscription, or update the one of that name."""
    if bool(dead_letter_connection) != bool(dead_letter_container):
        fail("A dead-letter destination needs both --dead-letter-connection and --dead-letter-container.")
    body: dict[str, Any] = {
        **_destination(endpoint, endpoint_type, queue, queue_connection, queue_ttl),
        "eventDeliverySchema": schema,
        "filter": {
            "includedEventTypes": event_type,
            "subjectBeginsWith": subject_begins_with,
            "subjectEndsWith": subject_ends_with,
        },
        "retryPolicy": {"maxDeliveryAttempts": max_attempts, "eventTimeToLiveInMinutes": ttl_minutes},
        "maxEventsPerBatch": max_events_per_batch,
    }
    if dead_letter_container:
        body["deadLetter"] = {"connectionString": dead_letter_connection, "container": dead_letter_container}
    created = ask(eventgrid, "PUT", f"/control/topics/{topic}/subscriptions/{name}?wait={wait}", body)
    show_json(created) if as_json else show(f"{created['name']}: {created['provisioningState']}")


def subscription_list(topic: Topic = "acs", eventgrid: Base = DEFAULT_BASE, as_json: Json = False) -> None:
    """List a topic's event subscriptions."""
    found = ask(eventgrid, "GET", f"/control/topics/{topic}/subscriptions")
    show_rows(found, ("name", "eventDeliverySchema", "provisioningState", "endpointBaseUrl"), as_json)


def subscription_show(name: str, topic: Topic = "acs", eventgrid: Base = DEFAULT_BASE) -> None:
    """Show an event subscription with its metrics and last failures."""
    show_json(ask(eventgrid, "GET", f"/control/topics/{topic}/subscriptions/{name}"))


def subscription_delete(name: str, topic: Topic = "acs", eventgrid: Base = DEFAULT_BASE) -> None:
    """Delete an event subscription and what it has pending."""
    ask(eventgrid, "DELETE", f"/control/topics/{topic}/subscriptions/{name}")


def _destination(endpoint: str, endpoint_type: str, queue: str, connection: str, ttl: int | None) -> dict[str, Any]:
    if bool(endpoint) == bool(queue):
        fail("A subscription delivers to a webhook (--endpoint) or to a queue (--queue): give one of them.")
    if endpoint:
        return {"endpoint": endpoint, "endpointType": endpoint_type}
    if not connection:
        fail("A queue needs the storage account that it lies in: give --queue-connection.")
    destination = {"connectionString": connection, "queueName": queue, "queueMessageTimeToLiveInSeconds": ttl}
    return {"endpointType": "StorageQueue", "storageQueue": destination}
