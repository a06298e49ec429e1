"""The commands of `python -m local`."""

from __future__ import annotations

from pathlib import Path  # typer reads the annotations at run time
from typing import Annotated

import typer
from rich.console import Console

import local.acs.cli
import local.eventgrid.cli
import local.host.cli
from local.choices import HostKind, Moment
from local.progress import Progress
from local.running import INTERRUPTED, run

_FOLDER = Path(".local")

app = typer.Typer(
    name="python -m local",
    help="Replaces Azure on this machine: Functions host, Communication Services, Event Grid and Storage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 is any free port.")]


@app.command()
def up(
    *,
    functions_host: Annotated[HostKind, typer.Option(help="This project's own host, or Microsoft's func.")] = (
        HostKind.LOCAL
    ),
    folder: Annotated[Path, typer.Option(help="Where storage, keys and logs are kept.")] = _FOLDER,
    host_port: Port = 7071,
    blob_port: Port = 10000,
    queue_port: Port = 10001,
    table_port: Port = 10002,
    acs_port: Port = 7080,
    acs_second_port: Port = 7081,
    eventgrid_port: Port = 7090,
    clock_rate: Annotated[
        float, typer.Option(min=0.001, help="Emulated seconds a real second, for ACS and Event Grid.")
    ] = 1.0,
    chunk_duration: Annotated[float, typer.Option(min=1, help="Recorded seconds a chunk; ACS takes 4 hours.")] = 60.0,
    queue_lease: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds after which a killed host's messages come back; in Azure 10 minutes."),
    ] = None,
) -> None:
    """Start the whole stack and keep it up until Ctrl-C."""
    from local.stack import StackOptions  # noqa: PLC0415 - heavy, and --help is to be quick
    from local.up import up as stay_up  # noqa: PLC0415

    progress = Progress(Console())
    options = StackOptions(
        folder=folder.resolve(),
        functions_host=functions_host,
        host_port=host_port,
        blob_port=blob_port,
        queue_port=queue_port,
        table_port=table_port,
        acs_port=acs_port,
        acs_second_port=acs_second_port,
        eventgrid_port=eventgrid_port,
        clock_rate=clock_rate,
        chunk_seconds=chunk_duration,
        queue_lease=queue_lease,
        show=lambda line: progress.console.print(line, markup=False, highlight=False, soft_wrap=True),
    )
    code = run(stay_up(options, progress))
    raise typer.Exit(0 if code == INTERRUPTED else code)


@app.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the archive and the logs in .local/demo.")] = False,
    kill_host_at: Annotated[
        list[str] | None,
        typer.Option(
            help="Kill the Functions host there and start it again: started, paused, resumed, stopped, announced, "
            "first-chunk, or seconds after the stop. Can be given several times."
        ),
    ] = None,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for the archive.")] = 180.0,
) -> None:
    """Record an emulated call, archive it, and check every byte; ends with 0 only if all is equal."""
    from local.demo import DemoOptions  # noqa: PLC0415 - heavy, and --help is to be quick
    from local.demo import demo as run_demo  # noqa: PLC0415

    options = DemoOptions(keep=keep, kill_host_at=[_moment(text) for text in kill_host_at or ()], patience=patience)
    raise typer.Exit(run(run_demo(options, Progress(Console()))))


@app.command()
def azurite(
    *,
    folder: Annotated[Path, typer.Option(help="Where it keeps its data.")] = _FOLDER / "azurite",
    blob_port: Port = 10000,
    queue_port: Port = 10001,
    table_port: Port = 10002,
) -> None:
    """Run only Azurite, the storage emulator, with the app's containers and queue, until Ctrl-C."""
    from local.azurite import Azurite, AzuriteOptions  # noqa: PLC0415
    from local.provisioning import provision  # noqa: PLC0415
    from local.supervision import Supervisor  # noqa: PLC0415

    async def serve() -> int:
        options = AzuriteOptions(
            folder=folder.resolve(),
            log=folder.resolve().parent / "logs" / "azurite.log",
            blob_port=blob_port,
            queue_port=queue_port,
            table_port=table_port,
        )
        async with Supervisor(str(folder)) as supervisor, Azurite(options, supervisor) as service:
            await provision(service.connection_string)
            typer.echo(f"Azurite serves {options.folder}. Its connection string:\n{service.connection_string}")
            return await service.wait()

    code = run(serve())
    raise typer.Exit(0 if code == INTERRUPTED else code)


@app.command("archive")
def show_archive(
    *,
    connection_string: Annotated[
        str | None, typer.Option(help="Storage account; by default the local one at --blob-port.", show_default=False)
    ] = None,
    blob_port: Port = 10000,
    container: Annotated[str, typer.Option(help="The archive container.")] = "recordings",
) -> None:
    """Show what is in the archive: the tree, and the essentials of each manifest."""
    from local.show_archive import show  # noqa: PLC0415

    raise typer.Exit(run(show(connection_string, blob_port, container, Progress(Console()))))


for part in (local.host.cli, local.acs.cli, local.eventgrid.cli):
    part.register(app)


def main() -> int:
    """Run the command line and return its exit code."""
    app()
    return 0


def _moment(text: str) -> Moment | float:
    try:
        return Moment(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number of seconds nor one of {', '.join(Moment)}", param_hint="--kill-host-at"
        ) from None
