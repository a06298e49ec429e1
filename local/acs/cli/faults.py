"""Commands that order faults and remove them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from local.acs.cli.terminal import DEFAULT_URL, Acs, AsJson, ask, each, fault_lines, seconds, show_answer


def fault_commands() -> typer.Typer:
    """Return the commands of `fault`."""
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
        acs: Acs = DEFAULT_URL,
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
    def list_all(acs: Acs = DEFAULT_URL, as_json: AsJson = False) -> None:
        """List all faults with how often each was met."""
        show_answer(ask(acs, "GET", "faults"), as_json, lambda a: each(a["faults"], fault_lines, "No faults ordered."))

    @commands.command("clear")
    def clear(
        fault_id: Annotated[str | None, typer.Argument(help="All faults without it.")] = None,
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Take one fault back, or all."""
        answer = ask(acs, "DELETE", "faults", *([fault_id] if fault_id else []))
        show_answer(answer, as_json, lambda a: [f"removed {a['removed']}"])

    return commands
