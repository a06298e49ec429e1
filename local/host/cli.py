"""The command ``host``: run the function app on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command ``host`` to `app`."""
    app.command("host")(host)


def host(
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
        float, typer.Option(help="Seconds functions have to end at a stop or a timeout.", min=0.0, hidden=True)
    ] = 5.0,
) -> None:
    """Run the function app in ROOT as Azure Functions does: HTTP, Event Grid, queue and timer triggers.

    Needs a queue service (Azurite) for queue triggers and outputs. A function that outlives host.json's
    functionTimeout is cancelled; if it cannot be ended, this process starts itself anew.
    """
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
        )
    )
