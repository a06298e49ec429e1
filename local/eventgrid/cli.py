"""The commands ``eventgrid``, ``topic``, ``subscription`` and ``events`` of ``python -m local``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from local.problems import LocalProblem

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from local.eventgrid.emulator import EventGridEmulator

_Base = Annotated[str, typer.Option("--eventgrid", help="Where the emulator listens.", metavar="URL")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Topic = Annotated[str, typer.Option("--topic", help="Name of the topic.")]
_DEFAULT = "http://127.0.0.1:7090"
_FAULT_COLUMNS = ("id", "kind", "status", "taken", "times", "hits", "timesLeft")


def register(app: typer.Typer) -> None:
    """Add the Event Grid emulator's commands to an application."""
    app.command("eventgrid")(run)
    topic = typer.Typer(no_args_is_help=True, help="Topics of the Event Grid emulator.")
    topic.command("create")(topic_create)
    topic.command("list")(topic_list)
    topic.command("show")(topic_show)
    topic.command("delete")(topic_delete)
    fault = typer.Typer(no_args_is_help=True, help="What goes wrong when somebody publishes to a topic.")
    fault.command("add")(fault_add)
    fault.command("list")(fault_list)
    fault.command("clear")(fault_clear)
    topic.add_typer(fault, name="fault")
    app.add_typer(topic, name="topic")
    subscription = typer.Typer(no_args_is_help=True, help="Event subscriptions of the Event Grid emulator.")
    subscription.command("create")(subscription_create)
    subscription.command("list")(subscription_list)
    subscription.command("show")(subscription_show)
    subscription.command("delete")(subscription_delete)
    app.add_typer(subscription, name="subscription")
    events = typer.Typer(no_args_is_help=True, help="Publish events and see what became of them.")
    events.command("publish")(events_publish)
    events.command("pending")(events_pending)
    events.command("metrics")(events_metrics)
    app.add_typer(events, name="events")


def run(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 7090,
    topic: Annotated[list[str] | None, typer.Option(help="A topic to begin with; may be repeated.")] = None,
    clock_rate: Annotated[float, typer.Option(help="Emulated seconds a real second.")] = 1.0,
    delivery_timeout: Annotated[float, typer.Option(help="Real seconds a subscriber may take to answer.")] = 30.0,
    concurrency: Annotated[int, typer.Option(help="Deliveries under way at once, for each subscription.")] = 16,
    jitter: Annotated[float, typer.Option(help="Share of a retry delay added at random, 0 to 1.")] = 0.0,
) -> None:
    """Run the Event Grid emulator alone, until Ctrl-C."""
    from local.clock import Clock  # noqa: PLC0415 - keeps --help quick
    from local.eventgrid.emulator import EventGridEmulator  # noqa: PLC0415
    from local.eventgrid.options import EventGridOptions  # noqa: PLC0415

    async def serve() -> None:
        try:
            options = EventGridOptions(
                host=host,
                port=port,
                delivery_timeout=delivery_timeout,
                concurrent_deliveries=concurrency,
                jitter=jitter,
            )
            emulator = EventGridEmulator(options, clock=Clock(clock_rate))
        except ValueError as error:
            raise LocalProblem(f"The Event Grid emulator cannot start: {error}.") from error
        async with emulator:
            await _create_topics(emulator, topic or [])
            await _until_signal()

    _finish(serve())


def topic_create(
    name: str,
    kind: Annotated[str, typer.Option(help="system or custom.")] = "system",
    input_schema: Annotated[str, typer.Option(help="EventGridSchema or CloudEventSchemaV1_0.")] = "EventGridSchema",
    resource_id: Annotated[str, typer.Option(help="Azure id that events carry as their topic.")] = "",
    eventgrid: _Base = _DEFAULT,
) -> None:
    """Create a topic and print its endpoint."""
    body = {"name": name, "kind": kind, "inputSchema": input_schema, "resourceId": resource_id}
    _print(_ask(eventgrid, "POST", "/control/topics", body)["endpoint"])


def topic_list(eventgrid: _Base = _DEFAULT, as_json: _Json = False) -> None:
    """List the topics."""
    topics = _ask(eventgrid, "GET", "/control/topics")
    _rows(topics, ("name", "kind", "inputSchema", "endpoint"), as_json)


def topic_show(name: str, eventgrid: _Base = _DEFAULT) -> None:
    """Show a topic with its key."""
    shown = _ask(eventgrid, "GET", f"/control/topics/{name}")
    _print_json({**shown, **_ask(eventgrid, "GET", f"/control/topics/{name}/key")})


def topic_delete(name: str, eventgrid: _Base = _DEFAULT) -> None:
    """Delete a topic with its subscriptions."""
    _ask(eventgrid, "DELETE", f"/control/topics/{name}")


def fault_add(
    kind: Annotated[str, typer.Argument(help="A status code such as 503, or reset, stall, latency.")],
    *,
    topic: _Topic = "acs",
    times: Annotated[
        int | None,
        typer.Option(help="How many requests it meets; 0 for all until removed. 1, or all with --for-seconds."),
    ] = None,
    for_seconds: Annotated[float | None, typer.Option(help="Emulated seconds after which it goes.")] = None,
    retry_after: Annotated[int | None, typer.Option(help="Seconds in Retry-After (status).")] = None,
    latency: Annotated[float | None, typer.Option(help="Real seconds before the answer (latency).")] = None,
    taken: Annotated[
        bool, typer.Option("--taken", help="The events are taken, only the answer fails (status, reset, stall).")
    ] = False,
    event_type: Annotated[list[str] | None, typer.Option(help="Only this event type; may be repeated.")] = None,
    subject_begins_with: str = "",
    subject_ends_with: str = "",
    eventgrid: _Base = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """Order a fault for the next requests that publish to a topic."""
    wanted = {
        "includedEventTypes": event_type,
        "subjectBeginsWith": subject_begins_with,
        "subjectEndsWith": subject_ends_with,
    }
    given = {
        "kind": kind,
        "forSeconds": for_seconds,
        "retryAfter": retry_after,
        "latencySeconds": latency,
        "taken": taken or None,
        "filter": {name: value for name, value in wanted.items() if value} or None,
    }
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if times is not None:
        body["times"] = times or None
    _rows([_ask(eventgrid, "POST", f"/control/topics/{topic}/faults", body)], _FAULT_COLUMNS, as_json)


def fault_list(topic: _Topic = "acs", eventgrid: _Base = _DEFAULT, as_json: _Json = False) -> None:
    """List a topic's faults with how often each was met."""
    _rows(_ask(eventgrid, "GET", f"/control/topics/{topic}/faults"), _FAULT_COLUMNS, as_json)


def fault_clear(
    fault_id: Annotated[str | None, typer.Argument(help="All of the topic's faults without it.")] = None,
    topic: _Topic = "acs",
    eventgrid: _Base = _DEFAULT,
) -> None:
    """Take one of a topic's faults back, or all."""
    path = f"/control/topics/{topic}/faults" + (f"/{fault_id}" if fault_id else "")
    _print(f"removed {_ask(eventgrid, 'DELETE', path)['removed']}")


def subscription_create(
    name: str,
    *,
    endpoint: Annotated[str, typer.Option(help="URL of the webhook.")],
    topic: _Topic = "acs",
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
    eventgrid: _Base = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """Create an event subscription, or update the one of that name."""
    if bool(dead_letter_connection) != bool(dead_letter_container):
        _fail("A dead-letter destination needs both --dead-letter-connection and --dead-letter-container.")
    body: dict[str, Any] = {
        "endpoint": endpoint,
        "endpointType": endpoint_type,
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
    created = _ask(eventgrid, "PUT", f"/control/topics/{topic}/subscriptions/{name}?wait={wait}", body)
    _print_json(created) if as_json else _print(f"{created['name']}: {created['provisioningState']}")


def subscription_list(topic: _Topic = "acs", eventgrid: _Base = _DEFAULT, as_json: _Json = False) -> None:
    """List a topic's event subscriptions."""
    found = _ask(eventgrid, "GET", f"/control/topics/{topic}/subscriptions")
    _rows(found, ("name", "eventDeliverySchema", "provisioningState", "endpointBaseUrl"), as_json)


def subscription_show(name: str, topic: _Topic = "acs", eventgrid: _Base = _DEFAULT) -> None:
    """Show an event subscription with its metrics and last failures."""
    _print_json(_ask(eventgrid, "GET", f"/control/topics/{topic}/subscriptions/{name}"))


def subscription_delete(name: str, topic: _Topic = "acs", eventgrid: _Base = _DEFAULT) -> None:
    """Delete an event subscription and what it has pending."""
    _ask(eventgrid, "DELETE", f"/control/topics/{topic}/subscriptions/{name}")


def events_publish(
    file: Annotated[Path, typer.Argument(help="JSON file with one event or an array; - for standard input.")],
    topic: _Topic = "acs",
    key: Annotated[str | None, typer.Option(help="The topic's key; asked of the emulator by default.")] = None,
    eventgrid: _Base = _DEFAULT,
) -> None:
    """Publish the events in a file, in either schema."""
    from local.eventgrid.control import publish  # noqa: PLC0415 - keeps --help quick

    try:
        events = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        _fail(f"The file {file} cannot be read: {error.strerror}.")
    except ValueError as error:
        _fail(f"The file {file} is not JSON: {error}.")
    count = _finish(publish(eventgrid, topic, events, key))
    _print(f"published {count} event{'s' if count != 1 else ''} to {topic}")


def events_pending(eventgrid: _Base = _DEFAULT, as_json: _Json = False) -> None:
    """Show what is not delivered yet and when it will be tried again."""
    pending = _ask(eventgrid, "GET", "/control/pending")["pending"]
    columns = ("subscription", "eventId", "state", "attempts", "nextAttemptTime", "lastOutcome", "lastDetail")
    _rows(pending, columns, as_json)


def events_metrics(eventgrid: _Base = _DEFAULT) -> None:
    """Show the counters of every topic and subscription."""
    _print_json(_ask(eventgrid, "GET", "/control/metrics"))


async def _create_topics(emulator: EventGridEmulator, names: list[str]) -> None:
    from local.eventgrid.errors import EventGridError  # noqa: PLC0415 - keeps --help quick

    _print(f"Event Grid emulator at {emulator.endpoint}")
    for name in names:
        try:
            await emulator.create_topic(name)
        except EventGridError as error:
            raise LocalProblem(str(error)) from error
        _print(f"topic {name}: {emulator.topic_endpoint(name)}  aeg-sas-key: {emulator.topic_key(name)}")


async def _until_signal() -> None:
    import signal  # noqa: PLC0415 - keeps --help quick

    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()


def _ask(base: str, method: str, path: str, body: object = None) -> Any:
    from local.eventgrid.control import ask  # noqa: PLC0415 - keeps --help quick

    return _finish(ask(base, method, path, body))


def _finish[T](work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except LocalProblem as problem:
        _fail(str(problem))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _print(text: str) -> None:
    typer.echo(text)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


def _rows(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        _print_json(items)
        return
    from rich.console import Console  # noqa: PLC0415 - keeps --help quick
    from rich.table import Column, Table  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for item in items:
        table.add_row(*("" if item.get(column) is None else str(item[column]) for column in columns))
    Console().print(table)
