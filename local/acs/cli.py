"""The emulator's commands: `acs`, `call`, `record`, `fault`, `clock`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from local.acs.terminal import ask, call_lines, each, fault_lines, give_up, recording_lines, seconds, show_answer
from local.problems import LocalProblem

_DEFAULT_URL = "http://127.0.0.1:7080"

Acs = Annotated[str, typer.Option("--acs", envvar="ACS_EMULATOR", help="Address of the running emulator.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the emulator's commands to `app`."""
    app.command("acs", help="Run the ACS call recording emulator by itself, until Ctrl-C.")(run_emulator)
    app.add_typer(_call_commands(), name="call", help="Make calls on a running emulator, and end them.")
    app.add_typer(_record_commands(), name="record", help="Make finished recordings; list, show, announce them.")
    app.add_typer(_fault_commands(), name="fault", help="Order faults, list them, take them back.")
    app.command("clock", help="Show the emulated time, change its speed, or jump forward.")(clock)


def run_emulator(  # noqa: PLR0917 - each parameter is an option of the command line
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of API, media and control; 0 for any.")] = 7080,
    second_port: Annotated[int, typer.Option(help="Port of the second media origin; 0 for any.")] = 7081,
    clock_rate: Annotated[float, typer.Option(help="Emulated seconds in a real second.")] = 1.0,
    topic: Annotated[str | None, typer.Option(help="URL to post events to: a topic, or any webhook.")] = None,
    topic_key: Annotated[str | None, typer.Option(help="Sent as aeg-sas-key with each event.")] = None,
    access_key: Annotated[str | None, typer.Option(help="Base64 access key of the emulated resource.")] = None,
    accept_any_token: Annotated[bool, typer.Option("--accept-any-token", help="Accept any bearer token.")] = False,
    chunk_duration: Annotated[str, typer.Option(help="Length at which a new chunk begins.")] = "4h",
    finalize_delay: Annotated[str, typer.Option(help="From a recording's end to its event.")] = "2s",
    retention: Annotated[str, typer.Option(help="How long files can be fetched.")] = "24h",
    frame_rate: Annotated[int, typer.Option(help="Pictures a second in mp4: 16, or 8.")] = 16,
    several_recordings: Annotated[
        bool, typer.Option("--several-recordings", help="Allow several recordings in a call at once.")
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
    """Run the emulator until Ctrl-C."""
    import asyncio  # noqa: PLC0415 - what follows is slow to load, and --help shall be quick

    from local.acs.options import DEFAULT_ACCESS_KEY, AcsOptions  # noqa: PLC0415
    from local.acs.standalone import run  # noqa: PLC0415

    try:
        options = AcsOptions(
            host=host,
            port=port,
            second_port=second_port,
            access_key=access_key or DEFAULT_ACCESS_KEY,
            resource_hosts=tuple(resource_host or ()),
            accept_any_token=accept_any_token,
            topic=topic,
            topic_key=topic_key,
            chunk_duration=seconds(chunk_duration),
            finalize_delay=seconds(finalize_delay),
            retention=seconds(retention),
            frame_rate=frame_rate,
            one_recording_per_call=not several_recordings,
            redirect_content=redirect,
            ignore_range=ignore_range,
            rate=rate,
            latency=seconds(latency),
            media_dir=media_dir,
        )
        asyncio.run(run(options, clock_rate, typer.echo))
    except (LocalProblem, ValueError) as exc:
        give_up(str(exc))


def _call_commands() -> typer.Typer:
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("start")
    def start(
        participant: Annotated[
            list[str] | None, typer.Option(help="Raw id of somebody in it; may be repeated.")
        ] = None,
        group: Annotated[str | None, typer.Option(help="groupCallId.")] = None,
        room: Annotated[str | None, typer.Option(help="roomId.")] = None,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Start a call; without participants two are made up."""
        body = {"participants": participant or [], "groupCallId": group, "roomId": room}
        show_answer(ask(acs, "POST", "calls", body=body), as_json, call_lines)

    @commands.command("show")
    def show(
        call_id: Annotated[str | None, typer.Argument(help="All calls without it.")] = None,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Show one call, or all."""
        answer = ask(acs, "GET", "calls", *([call_id] if call_id else []))
        show_answer(answer, as_json, call_lines if call_id else lambda a: each(a["calls"], call_lines, "No calls yet."))

    @commands.command("join")
    def join(
        call_id: str,
        participant: Annotated[str | None, typer.Argument(help="Raw id; made up if left out.")] = None,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Let somebody join a call."""
        body = {"participantId": participant}
        show_answer(ask(acs, "POST", "calls", call_id, "participants", body=body), as_json, call_lines)

    @commands.command("leave")
    def leave(call_id: str, participant: str, acs: Acs = _DEFAULT_URL, as_json: AsJson = False) -> None:
        """Let somebody leave a call."""
        show_answer(ask(acs, "DELETE", "calls", call_id, "participants", participant), as_json, call_lines)

    @commands.command("end")
    def end(call_id: str, acs: Acs = _DEFAULT_URL, as_json: AsJson = False) -> None:
        """End a call, and with it its recordings."""
        show_answer(ask(acs, "DELETE", "calls", call_id), as_json, call_lines)

    return commands


def _record_commands() -> typer.Typer:
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("make")
    def make(  # noqa: PLR0917 - each parameter is an option of the command line
        duration: Annotated[str, typer.Option(help="Length of the media.")] = "10s",
        chunks: Annotated[int, typer.Option(help="Number of chunks.")] = 1,
        content: Annotated[str | None, typer.Option(help="audio or audioVideo.")] = None,
        channel: Annotated[str | None, typer.Option(help="mixed or unmixed.")] = None,
        media_format: Annotated[str | None, typer.Option("--format", help="mp4, mp3 or wav.")] = None,
        participant: Annotated[list[str] | None, typer.Option(help="Raw id; may be repeated.")] = None,
        size: Annotated[int | None, typer.Option(help="Exact size of each chunk's file in bytes.")] = None,
        announce: Annotated[bool, typer.Option(help="Publish the event.")] = True,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Make a finished recording at once, of a call that has just ended."""
        body = {
            "durationSeconds": seconds(duration),
            "chunks": chunks,
            "contentType": content,
            "channelType": channel,
            "format": media_format,
            "participants": participant or [],
            "sizeBytes": size,
            "announce": announce,
        }
        show_answer(ask(acs, "POST", "recordings", body=body), as_json, recording_lines)

    @commands.command("list")
    def list_all(acs: Acs = _DEFAULT_URL, as_json: AsJson = False) -> None:
        """List all recordings."""
        answer = ask(acs, "GET", "recordings")
        show_answer(answer, as_json, lambda a: each(a["recordings"], recording_lines, "No recordings yet."))

    @commands.command("show")
    def show(recording_id: str, acs: Acs = _DEFAULT_URL, as_json: AsJson = False) -> None:
        """Show the truth about one recording."""
        show_answer(ask(acs, "GET", "recordings", recording_id), as_json, recording_lines)

    @commands.command("announce")
    def announce(  # noqa: PLR0917 - each parameter is an option of the command line
        recording_id: str,
        payload: Annotated[str, typer.Option(help="current or 2021.")] = "current",
        subject: Annotated[str, typer.Option(help="full, call, call-server or call-recording.")] = "full",
        delivery: Annotated[str, typer.Option(help="merged or per-chunk.")] = "merged",
        shuffle: Annotated[bool, typer.Option("--shuffle", help="In any order.")] = False,
        duplicates: Annotated[int, typer.Option(help="Further deliveries of each event.")] = 0,
        delay: Annotated[str, typer.Option(help="Emulated time to wait first.")] = "0s",
        omit: Annotated[list[str] | None, typer.Option(help="Field to leave out; may be repeated.")] = None,
        swap_types: Annotated[bool, typer.Option("--swap-types", help="Swap the types in the metadata file.")] = False,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Publish the events of a recording again, in any form they have been seen in."""
        body = {
            "payload": payload,
            "subject": subject,
            "delivery": delivery,
            "shuffle": shuffle,
            "duplicates": duplicates,
            "delaySeconds": seconds(delay),
            "omit": omit or [],
            "swapTypes": swap_types,
        }
        show_answer(
            ask(acs, "POST", "recordings", recording_id, "announce", body=body), as_json, lambda _: ["announced"]
        )

    return commands


def _fault_commands() -> typer.Typer:
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("add")
    def add(  # noqa: PLR0917 - each parameter is an option of the command line
        kind: Annotated[
            str,
            typer.Argument(
                help="A status code such as 503, or html, empty, cut, stall, wrong-length, wrong-total, rate, latency, "
                "redirect, reset, ignore-range, range-200, start-failed."
            ),
        ],
        target: Annotated[
            str | None, typer.Option(help="start, get, pause, resume, stop, content, metadata, delete or any.")
        ] = None,
        document: Annotated[str | None, typer.Option(help="Only this documentId.")] = None,
        times: Annotated[
            int | None, typer.Option(help="How many requests it meets; 0 for all until removed. 1, or all with --for.")
        ] = None,
        for_: Annotated[str | None, typer.Option("--for", help="Emulated time after which it goes.")] = None,
        status: Annotated[int | None, typer.Option(help="HTTP status (html, redirect).")] = None,
        retry_after: Annotated[int | None, typer.Option(help="Seconds in Retry-After (status, html).")] = None,
        after_bytes: Annotated[int | None, typer.Option(help="Bytes sent first (cut, stall, reset).")] = None,
        stall: Annotated[str | None, typer.Option(help="Length of the silence (stall); endless without.")] = None,
        delta: Annotated[int | None, typer.Option(help="Bytes too many (wrong-length, wrong-total).")] = None,
        rate: Annotated[float | None, typer.Option(help="Bytes a second (rate).")] = None,
        latency: Annotated[str | None, typer.Option(help="Time before the answer (latency).")] = None,
        location: Annotated[str | None, typer.Option(help="Where to (redirect); second origin without.")] = None,
        carried_out: Annotated[
            bool,
            typer.Option("--carried-out", help="It is done all the same, only the answer fails (status, html, reset)."),
        ] = False,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Order a fault for the next requests."""
        given = {
            "kind": kind,
            "target": target,
            "documentId": document,
            "forSeconds": None if for_ is None else seconds(for_),
            "status": status,
            "retryAfter": retry_after,
            "afterBytes": after_bytes,
            "stallSeconds": None if stall is None else seconds(stall),
            "delta": delta,
            "bytesPerSecond": rate,
            "latencySeconds": None if latency is None else seconds(latency),
            "location": location,
            "carriedOut": carried_out or None,
        }
        body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if times is not None:
            body["times"] = times or None
        show_answer(ask(acs, "POST", "faults", body=body), as_json, fault_lines)

    @commands.command("list")
    def list_all(acs: Acs = _DEFAULT_URL, as_json: AsJson = False) -> None:
        """List all faults with how often each was met."""
        show_answer(ask(acs, "GET", "faults"), as_json, lambda a: each(a["faults"], fault_lines, "No faults ordered."))

    @commands.command("clear")
    def clear(
        fault_id: Annotated[str | None, typer.Argument(help="All faults without it.")] = None,
        acs: Acs = _DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Take one fault back, or all."""
        answer = ask(acs, "DELETE", "faults", *([fault_id] if fault_id else []))
        show_answer(answer, as_json, lambda a: [f"removed {a['removed']}"])

    return commands


def clock(
    rate: Annotated[float | None, typer.Option(help="Emulated seconds in a real second.")] = None,
    advance: Annotated[str | None, typer.Option(help="How far to jump, such as 24h.")] = None,
    acs: Acs = _DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show the emulated time after changing it as asked."""
    if rate is None and advance is None:
        answer = ask(acs, "GET", "clock")
    else:
        body = {"rate": rate, "advanceSeconds": None if advance is None else seconds(advance)}
        answer = ask(acs, "POST", "clock", body=body)
    show_answer(answer, as_json, lambda a: [f"{a['now']}  at {a['rate']:g} emulated seconds a second"])
