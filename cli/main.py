"""The command line `recordings`. Each command is a module with a `register`, which adds it."""

from __future__ import annotations

import typer

from cli import (
    attention_command,
    control_commands,
    doctor_command,
    reindex_command,
    show_commands,
    verify_command,
)

app = typer.Typer(name="recordings", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def recordings() -> None:
    """Operate deployments of the recording archiver."""


for command in (
    control_commands,
    show_commands,
    verify_command,
    attention_command,
    reindex_command,
    doctor_command,
):
    command.register(app)
