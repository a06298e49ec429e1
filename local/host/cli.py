"""The command ``host``: run the function app on this machine, and give orders to a host that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local.host import orders_cli


def register(app: typer.Typer) -> None:
    """Add the command ``host`` to `app`."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(host)
    orders_cli.register(group)
    app.add_typer(group, name="host")


def host(
    context: typer.Context,
    root: Annotated[Path, typer.Option(help="Folder of function_app.py and host.json.", file_okay=False)] = Path(),
    port: Annotated[
        int | None,
        typer.Option(
            help="HTTP port; 0 takes any free one. Default: LocalHttpPort of local.settings.json, else 7071.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    address: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    keys: Annotated[
        Path, typer.Option(help="File of the access keys, made with random ones if missing.", dir_okay=False)
    ] = Path(".local/keys.json"),
    *,
    auth: Annotated[
        bool, typer.Option(help="Ask for keys as Azure does. (func start does not: --no-auth is its behaviour.)")
    ] = True,
    verbose: Annotated[bool, typer.Option(help="Also show the worker library's own log.")] = False,
    queue_lease: Annotated[
        float,
        typer.Option(
            help="Seconds a queue message is leased for, renewed at half of it. Azure: 600.", min=1.0, hidden=True
        ),
    ] = 600.0,
    stop_grace: Annotated[
        float, typer.Option(help="Seconds functions have to end at a stop.", min=0.0, hidden=True)
    ] = 5.0,
    timeout_grace: Annotated[
        float,
        typer.Option(help="Seconds a function's code has to end after its timeout. Azure: 2.", min=0.0, hidden=True),
    ] = 2.0,
) -> None:
    """Run the function app in ROOT as Azure Functions does: HTTP, Event Grid, queue and timer triggers.

    Needs a queue service (Azurite) for queue triggers and outputs.

    A function that exceeds host.json's functionTimeout fails with all others that run, and a fresh process takes over.

    The commands below order a running host to drain, or to let messages and timers fail as the platform is known to.
    """
    if context.invoked_subcommand is not None:
        return
    from local.host.launch import launch  # noqa: PLC0415 - --help need not wait for the worker library
    from local.host.options import HostOptions  # noqa: PLC0415

    launch(
        HostOptions(
            root=root,
            port=port,
            host=address,
            keys_file=keys,
            auth=auth,
            verbose=verbose,
            queue_lease=queue_lease,
            stop_grace=stop_grace,
            timeout_grace=timeout_grace,
        )
    )
