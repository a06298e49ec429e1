"""The command `recordings doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path  # typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import UsageError
from cli.options import Json, Key, Url, run

if TYPE_CHECKING:
    from cli.doctor import Examination

_IN_AZURE = "In Azure"
_LOCALLY = "On this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    url: str | None
    key: str | None
    patience: float
    group: str | None
    app: str | None
    subscription: str | None
    endpoint: str
    local: bool
    folder: Path
    host_port: int
    eventgrid_port: int
    blob_port: int
    topic: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    *,
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for an answer of the app.")] = 60,
    resource_group: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_IN_AZURE,
            help="The app's. Asks Azure too, and finds address and key if they are not given.",
        ),
    ] = None,
    app: Annotated[
        str | None, typer.Option(rich_help_panel=_IN_AZURE, help="The function app, if the group has several.")
    ] = None,
    subscription: Annotated[
        str | None,
        typer.Option(rich_help_panel=_IN_AZURE, envvar="AZURE_SUBSCRIPTION_ID", help="Its id, if you see several."),
    ] = None,
    management_endpoint: Annotated[
        str, typer.Option(rich_help_panel=_IN_AZURE, help="Resource Manager of another cloud.")
    ] = "https://management.azure.com",
    local: Annotated[
        bool, typer.Option("--local", rich_help_panel=_LOCALLY, help="Examine the stack that make run started.")
    ] = False,
    folder: Annotated[Path, typer.Option(rich_help_panel=_LOCALLY, help="Where the stack keeps its keys.")] = Path(
        ".local"
    ),
    host_port: Annotated[int, typer.Option(rich_help_panel=_LOCALLY, min=1, max=65535)] = 7071,
    eventgrid_port: Annotated[int, typer.Option(rich_help_panel=_LOCALLY, min=1, max=65535)] = 7090,
    blob_port: Annotated[int, typer.Option(rich_help_panel=_LOCALLY, min=1, max=65535)] = 10000,
    topic: Annotated[str, typer.Option(rich_help_panel=_LOCALLY, help="The topic of the service's events.")] = "acs",
) -> None:
    """Examine a deployment, from outside and from inside: one line for each check, and below a failed one what to do.

    Ends with 0 if everything works, though there may be warnings; 1 if something does not; 2 for wrong options.
    """
    from rich.console import Console  # noqa: PLC0415 - --help is to be quick

    from cli.findings import Status, worst  # noqa: PLC0415
    from cli.report import as_json, show  # noqa: PLC0415

    options = _Options(
        url=url,
        key=key,
        patience=patience,
        group=resource_group,
        app=app,
        subscription=subscription,
        endpoint=management_endpoint,
        local=local,
        folder=folder,
        host_port=host_port,
        eventgrid_port=eventgrid_port,
        blob_port=blob_port,
        topic=topic,
    )
    found = run(_examined(options))
    if json_output:
        typer.echo(as_json(found))
    else:
        show(found, Console())
    raise typer.Exit(1 if worst(found.findings) is Status.FAILED else 0)


async def _examined(options: _Options) -> Examination:
    """Examine what the options name.

    Raises
    ------
    UsageError
        They name nothing, or two things.
    """
    from cli.deployment import base_url  # noqa: PLC0415
    from cli.doctor import examine_url  # noqa: PLC0415

    if options.local and options.group:
        raise UsageError("--local and --resource-group exclude one another")
    # One in the environment is another deployment's, and not meant.
    if options.local and options.url not in {None, os.environ.get("RECORDINGS_URL")}:
        raise UsageError("--local and --url exclude one another; see --host-port")
    if options.local:
        return await _examined_here(options)
    url = base_url(options.url, "--url") if options.url else None
    if options.group:
        return await _examined_in_azure(options, options.group, url)
    if url is None:
        raise UsageError("say what to examine: --url (or RECORDINGS_URL), --resource-group, or --local")
    return await examine_url(url, options.key, options.patience)


async def _examined_here(options: _Options) -> Examination:
    """Use the stack's own keys: one in the environment is another deployment's."""
    from cli.doctor import examine_local  # noqa: PLC0415
    from cli.local_stack import LocalEvents, LocalKeys  # noqa: PLC0415

    keys = LocalKeys.read(options.folder)
    url = f"http://127.0.0.1:{options.host_port}"
    stack = LocalEvents(f"http://127.0.0.1:{options.eventgrid_port}", url, options.topic, options.blob_port)
    return await examine_local(url, keys, stack, options.patience)


async def _examined_in_azure(options: _Options, group: str, url: str | None) -> Examination:
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

    from cli.doctor import AzurePlan, examine_azure  # noqa: PLC0415

    plan = AzurePlan(subscription=options.subscription, group=group, app=options.app, endpoint=options.endpoint)
    async with DefaultAzureCredential() as credential:
        return await examine_azure(plan, credential, url=url, key=options.key, patience=options.patience)
