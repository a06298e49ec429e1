"""The emulator's commands: `acs` runs it, `call`, `record`, `fault` and `clock` use one that runs."""

from __future__ import annotations

import typer

from local.acs.cli.calls import call_commands
from local.acs.cli.faults import fault_commands
from local.acs.cli.recordings import record_commands
from local.acs.cli.running import clock, run_emulator


def application() -> typer.Typer:
    """Return the emulator's command: alone it runs the emulator, with a command it uses one that runs."""
    app = typer.Typer(
        name="acs",
        help="Run the ACS call recording emulator until Ctrl-C, or use one that runs.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(run_emulator)
    _add_commands(app)
    return app


def register(app: typer.Typer) -> None:
    """Add `acs` to `app`, and the commands that use a running emulator."""
    app.add_typer(application(), name="acs")
    _add_commands(app)


def _add_commands(app: typer.Typer) -> None:
    app.add_typer(call_commands(), name="call", help="Make calls on a running emulator, and end them.")
    app.add_typer(record_commands(), name="record", help="Make finished recordings; list, show, announce them.")
    app.add_typer(fault_commands(), name="fault", help="Order faults, list them, remove them.")
    app.command("clock", help="Show the emulated time, change its speed, or jump forward.")(clock)
