"""Runs the emulator, and the command of its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local.acs.cli.terminal import DEFAULT_URL, Acs, AsJson, ask, give_up, seconds, show_answer
from local.acs.errors import AcsEmulatorError


def run_emulator(  # noqa: PLR0917 - each parameter is an option of the command line
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of API, media and control; 0 for any.")] = 7080,
    second_port: Annotated[int, typer.Option(help="Port of the second media origin; 0 for any.")] = 7081,
    clock_rate: Annotated[float, typer.Option(help="Emulated seconds in a real second.")] = 1.0,
    topic: Annotated[str | None, typer.Option(help="URL to post events to: a topic, or any webhook.")] = None,
    topic_key: Annotated[str | None, typer.Option(help="Sent as aeg-sas-key with each event.")] = None,
    access_key: Annotated[str | None, typer.Option(help="Base64 access key of the emulated resource.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of a certificate; makes both ports https.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="PEM file of its key, where that is another.")] = None,
    media_host: Annotated[str | None, typer.Option(help="Host name of media in place of --host.")] = None,
    second_media_host: Annotated[str | None, typer.Option(help="Host name of the second media origin.")] = None,
    accept_any_token: Annotated[bool, typer.Option("--accept-any-token", help="Accept any bearer token.")] = False,
    chunk_duration: Annotated[str, typer.Option(help="Length at which a new chunk begins.")] = "4h",
    finalize_delay: Annotated[str, typer.Option(help="From a recording's end to its event.")] = "2s",
    retention: Annotated[str, typer.Option(help="How long files can be fetched.")] = "24h",
    frame_rate: Annotated[int, typer.Option(help="Pictures a second in mp4: 16, or 8.")] = 16,
    several_recordings: Annotated[
        bool, typer.Option("--several-recordings", help="Allow several recordings in a call at once.")
    ] = False,
    second_start_status: Annotated[int, typer.Option(help="Status of a refused second start: 400, or 409.")] = 400,
    start_without_types: Annotated[str, typer.Option(help="What a start without types records: mp3, or mp4.")] = "mp3",
    closing_callback: Annotated[
        bool, typer.Option("--closing-callback", help="Call back `inactive` when a recording has ended.")
    ] = False,
    redirect: Annotated[bool, typer.Option("--redirect", help="Redirect downloads to the second origin.")] = False,
    ignore_range: Annotated[
        bool, typer.Option("--ignore-range", help="Answer ranged GETs with the whole file.")
    ] = False,
    rate: Annotated[float | None, typer.Option(help="Bytes a second for each download.")] = None,
    latency: Annotated[str, typer.Option(help="Real time before each download begins.")] = "0s",
    resource_host: Annotated[
        list[str] | None, typer.Option(help="Another host name by which clients know the resource.")
    ] = None,
    media_dir: Annotated[Path, typer.Option(help="Folder for generated media.")] = Path(".local/media"),
) -> None:
    """Run the emulator until Ctrl-C, or use one that runs by a command."""
    if context.invoked_subcommand is not None:
        return
    import asyncio  # noqa: PLC0415 - what follows is slow to load, and --help shall be quick

    from local.acs.cli.standalone import run  # noqa: PLC0415
    from local.acs.media_types import FormatType  # noqa: PLC0415
    from local.acs.options import DEFAULT_ACCESS_KEY, AcsOptions  # noqa: PLC0415

    try:
        options = AcsOptions(
            host=host,
            port=port,
            second_port=second_port,
            access_key=access_key or DEFAULT_ACCESS_KEY,
            resource_hosts=tuple(resource_host or ()),
            certificate=certificate,
            certificate_key=certificate_key,
            media_host=media_host,
            second_media_host=second_media_host,
            accept_any_token=accept_any_token,
            topic=topic,
            topic_key=topic_key,
            chunk_duration=seconds(chunk_duration),
            finalize_delay=seconds(finalize_delay),
            retention=seconds(retention),
            frame_rate=frame_rate,
            one_recording_per_call=not several_recordings,
            second_start_status=second_start_status,
            start_without_types=FormatType(start_without_types),
            closing_callback=closing_callback,
            redirect_content=redirect,
            ignore_range=ignore_range,
            rate=rate,
            latency=seconds(latency),
            media_dir=media_dir,
        )
        asyncio.run(run(options, clock_rate, typer.echo))
    except (AcsEmulatorError, ValueError) as exc:
        give_up(str(exc))


def clock(
    rate: Annotated[float | None, typer.Option(help="Emulated seconds in a real second.")] = None,
    advance: Annotated[str | None, typer.Option(help="How far to jump, such as 24h.")] = None,
    acs: Acs = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show the emulated time after changing it as asked."""
    if rate is None and advance is None:
        answer = ask(acs, "GET", "clock")
    else:
        body = {"rate": rate, "advanceSeconds": None if advance is None else seconds(advance)}
        answer = ask(acs, "POST", "clock", body=body)
    show_answer(answer, as_json, lambda a: [f"{a['now']}  at {a['rate']:g} emulated seconds a second"])
