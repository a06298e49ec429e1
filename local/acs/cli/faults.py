"""Commands that order faults and remove them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from local.acs.cli.forms import (
    Delay,
    Delivery,
    Duplicates,
    Lost,
    NewIds,
    Omit,
    Payload,
    Shuffle,
    Subject,
    SwapTypes,
    form,
)
from local.acs.cli.terminal import DEFAULT_URL, Acs, AsJson, ask, each, fault_lines, seconds, show_answer


def fault_commands() -> typer.Typer:
    """Return the commands of `fault`."""
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("add")
    def add(  # noqa: PLR0917 - each parameter is an option of the command line
        kind: Annotated[
            str,
            typer.Argument(
                help="A status code such as 503, or html, json-error, empty, grow, cut, short, stall, hang, close, "
                "reset, wrong-length, wrong-total, rate, latency, redirect, ignore-range, range-200, start-failed."
            ),
        ],
        target: Annotated[
            str | None, typer.Option(help="start, get, pause, resume, stop, result, content, metadata, delete or any.")
        ] = None,
        document: Annotated[str | None, typer.Option(help="Only this documentId.")] = None,
        locator: Annotated[
            str | None,
            typer.Option(help="Only starts by serverCallLocator, groupCallLocator, roomCallLocator, callConnectionId."),
        ] = None,
        times: Annotated[
            int | None,
            typer.Option(help="How many requests it meets; 0 for all until removed. 1, or all with --for or --burst."),
        ] = None,
        burst: Annotated[int | None, typer.Option(help="It meets so many requests, then lets some pass.")] = None,
        gap: Annotated[int | None, typer.Option(help="How many pass between bursts; as many as meet it.")] = None,
        for_: Annotated[str | None, typer.Option("--for", help="Emulated time after which it goes.")] = None,
        status: Annotated[int | None, typer.Option(help="HTTP status (html, json-error, redirect).")] = None,
        code: Annotated[str | None, typer.Option(help="Code of the error (status, json-error).")] = None,
        message: Annotated[str | None, typer.Option(help="Text of the error (status, json-error).")] = None,
        retry_after: Annotated[str | None, typer.Option(help="Seconds in Retry-After, or any text.")] = None,
        retry_after_as_date: Annotated[
            bool, typer.Option("--retry-after-as-date", help="Write those seconds as an HTTP date.")
        ] = False,
        encoding: Annotated[str | None, typer.Option(help="utf-8 or utf-16 (html).")] = None,
        content_type: Annotated[str | None, typer.Option(help="Content-Type of the page (html).")] = None,
        after_bytes: Annotated[
            int | None, typer.Option(help="Bytes sent first (cut, short, stall, reset); size at first (grow).")
        ] = None,
        framing: Annotated[str | None, typer.Option(help="chunked or close: how a short body ends.")] = None,
        stall: Annotated[str | None, typer.Option(help="Length of the silence (stall, hang); endless without.")] = None,
        delta: Annotated[
            int | None,
            typer.Option(help="Bytes too many (wrong-length, wrong-total), or more at each request (grow)."),
        ] = None,
        rate: Annotated[float | None, typer.Option(help="Bytes a second (rate).")] = None,
        latency: Annotated[str | None, typer.Option(help="Time before the answer (latency).")] = None,
        location: Annotated[str | None, typer.Option(help="Where to (redirect); second origin without.")] = None,
        carried_out: Annotated[
            bool,
            typer.Option("--carried-out", help="It is done all the same, and only its answer fails or is lost."),
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
            "locator": locator,
            "burst": burst,
            "gap": gap,
            "status": status,
            "code": code,
            "message": message,
            "retryAfter": int(retry_after) if retry_after and retry_after.isdecimal() else retry_after,
            "retryAfterAsDate": retry_after_as_date or None,
            "encoding": encoding,
            "contentType": content_type,
            "afterBytes": after_bytes,
            "framing": framing,
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

    @commands.command("events")
    def events(  # noqa: PLR0917 - each parameter is an option of the command line
        payload: Payload = "current",
        subject: Subject = "full",
        delivery: Delivery = "merged",
        shuffle: Shuffle = False,
        duplicates: Duplicates = 0,
        new_ids: NewIds = False,
        lost: Lost = 0,
        delay: Delay = "0s",
        omit: Omit = None,
        swap_types: SwapTypes = False,
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Set how the files of all recordings to come are announced; without options as the service does."""
        body = form(payload, subject, delivery, shuffle, duplicates, new_ids, lost, delay, omit, swap_types)
        show_answer(ask(acs, "PUT", "announcements", body=body), as_json, lambda _: ["set"])

    @commands.command("callbacks")
    def callbacks(
        order: Annotated[str, typer.Argument(help="normal, reversed, doubled or lost.")],
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Set how state callbacks come from now on."""
        answer = ask(acs, "PUT", "callbacks", body={"order": order})
        show_answer(answer, as_json, lambda a: [f"callbacks: {a['order']}"])

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
