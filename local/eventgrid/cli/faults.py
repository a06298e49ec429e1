"""The commands under ``topic fault``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from local.eventgrid.cli.terminal import DEFAULT_BASE, Base, Json, Topic, ask, show, show_rows

_Subscription = Annotated[
    str | None, typer.Option("--subscription", help="Only what this subscription is delivered, not the whole topic.")
]
_COLUMNS = ("id", "kind", "status", "taken", "times", "hits", "timesLeft")


def fault_add(
    kind: Annotated[
        str,
        typer.Argument(
            help="What publishers meet: a status code such as 503, or reset, stall, latency. What delivery meets: "
            "doubled, shuffled, late, lost."
        ),
    ],
    *,
    topic: Topic = "acs",
    subscription: _Subscription = None,
    times: Annotated[
        int | None,
        typer.Option(
            help="How many requests, or events in delivery, it meets; 0 for all until removed. 1, or all with "
            "--for-seconds."
        ),
    ] = None,
    for_seconds: Annotated[float | None, typer.Option(help="Emulated seconds after which it goes.")] = None,
    retry_after: Annotated[int | None, typer.Option(help="Seconds in Retry-After (status).")] = None,
    latency: Annotated[float | None, typer.Option(help="Real seconds before the answer (latency).")] = None,
    taken: Annotated[
        bool, typer.Option("--taken", help="The events are taken, only the answer fails (status, reset, stall).")
    ] = False,
    copies: Annotated[int | None, typer.Option(help="How many more times an event is delivered (doubled).")] = None,
    within: Annotated[
        float | None, typer.Option(help="Emulated seconds of which each event waits a random share (shuffled).")
    ] = None,
    delay: Annotated[float | None, typer.Option(help="Emulated seconds before an event is delivered (late).")] = None,
    event_type: Annotated[list[str] | None, typer.Option(help="Only this event type; may be repeated.")] = None,
    subject_begins_with: str = "",
    subject_ends_with: str = "",
    eventgrid: Base = DEFAULT_BASE,
    as_json: Json = False,
) -> None:
    """Order a fault for the next requests that publish to a topic, or for the next events that are delivered."""
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
        "copies": copies,
        "withinSeconds": within,
        "delaySeconds": delay,
        "filter": {name: value for name, value in wanted.items() if value} or None,
    }
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if times is not None:
        body["times"] = times or None
    show_rows([ask(eventgrid, "POST", _path(topic, subscription), body)], _COLUMNS, as_json)


def fault_list(
    topic: Topic = "acs",
    subscription: _Subscription = None,
    eventgrid: Base = DEFAULT_BASE,
    as_json: Json = False,
) -> None:
    """List the faults of a topic, or of a subscription, with how often each was met."""
    show_rows(ask(eventgrid, "GET", _path(topic, subscription)), _COLUMNS, as_json)


def fault_clear(
    fault_id: Annotated[str | None, typer.Argument(help="All of them without it.")] = None,
    topic: Topic = "acs",
    subscription: _Subscription = None,
    eventgrid: Base = DEFAULT_BASE,
) -> None:
    """Remove one fault of a topic or a subscription, or all."""
    path = _path(topic, subscription) + (f"/{fault_id}" if fault_id else "")
    show(f"removed {ask(eventgrid, 'DELETE', path)['removed']}")


def _path(topic: str, subscription: str | None) -> str:
    return f"/control/topics/{topic}" + (f"/subscriptions/{subscription}" if subscription else "") + "/faults"
