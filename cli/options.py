"""Options that every command against a deployment has, and how a command runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Coroutine

Url = Annotated[
    str | None, typer.Option(envvar="RECORDINGS_URL", help="The app's address, https://<app>.azurewebsites.net.")
]
Key = Annotated[
    str | None,
    typer.Option(envvar="RECORDINGS_KEY", help="A function key; better in the environment than in the command line."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
RecordingId = Annotated[str, typer.Argument(metavar="RECORDING", help="The recording's id.")]
Since = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The first day of interest, in UTC.")]


def run[T](command: Coroutine[None, None, T]) -> T:
    """Run a command to its end; a `CommandError` becomes its sentence on standard error and its exit code."""
    try:
        return asyncio.run(command)
    except CommandError as error:
        typer.echo(f"recordings: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
