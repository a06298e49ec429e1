"""What the commands share: options, output, and how an error is shown."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from local.eventgrid.errors import EventGridEmulatorError

if TYPE_CHECKING:
    from collections.abc import Coroutine

Base = Annotated[str, typer.Option("--eventgrid", help="Where the emulator listens.", metavar="URL")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Topic = Annotated[str, typer.Option("--topic", help="Name of the topic.")]
DEFAULT_BASE = "http://127.0.0.1:7090"


def ask(base: str, method: str, path: str, body: object = None) -> Any:
    """Return the answer of a control route; ends the command with the reason when there is none."""
    from local.eventgrid.cli import remote  # noqa: PLC0415 - keeps --help quick

    return finish(remote.ask(base, method, path, body))


def finish[T](work: Coroutine[Any, Any, T]) -> T:
    """Run the command's work; an error that the person can fix ends the command with its sentence."""
    try:
        return asyncio.run(work)
    except EventGridEmulatorError as problem:
        fail(str(problem))


def fail(message: str) -> NoReturn:
    """End the command with a sentence on standard error and exit code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def show(text: str) -> None:
    """Print a line."""
    typer.echo(text)


def show_json(value: object) -> None:
    """Print a value as indented JSON."""
    typer.echo(json.dumps(value, indent=2))


def show_rows(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Print items as a table of the named columns, or as JSON."""
    if as_json:
        show_json(items)
        return
    from rich.console import Console  # noqa: PLC0415 - keeps --help quick
    from rich.table import Column, Table  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for item in items:
        table.add_row(*("" if item.get(column) is None else str(item[column]) for column in columns))
    Console().print(table)
