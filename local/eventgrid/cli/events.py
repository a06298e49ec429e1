"""The commands under ``events``."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from local.eventgrid.cli.terminal import DEFAULT_BASE, Base, Json, Topic, ask, fail, finish, show, show_json, show_rows


def events_publish(
    file: Annotated[Path, typer.Argument(help="JSON file with one event or an array; - for standard input.")],
    topic: Topic = "acs",
    key: Annotated[str | None, typer.Option(help="The topic's key; asked of the emulator by default.")] = None,
    eventgrid: Base = DEFAULT_BASE,
) -> None:
    """Publish the events in a file, in either schema."""
    from local.eventgrid.cli.remote import publish  # noqa: PLC0415 - keeps --help quick

    try:
        events = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"The file {file} cannot be read: {error.strerror}.")
    except ValueError as error:
        fail(f"The file {file} is not JSON: {error}.")
    count = finish(publish(eventgrid, topic, events, key))
    show(f"published {count} event{'s' if count != 1 else ''} to {topic}")


def events_pending(eventgrid: Base = DEFAULT_BASE, as_json: Json = False) -> None:
    """Show what is not delivered yet and when it will be tried again."""
    pending = ask(eventgrid, "GET", "/control/pending")["pending"]
    columns = ("subscription", "eventId", "state", "attempts", "nextAttemptTime", "lastOutcome", "lastDetail")
    show_rows(pending, columns, as_json)


def events_metrics(eventgrid: Base = DEFAULT_BASE) -> None:
    """Show the counters of every topic and subscription."""
    show_json(ask(eventgrid, "GET", "/control/metrics"))
