"""Commands that make calls and end them."""

from __future__ import annotations

from typing import Annotated

import typer

from local.acs.cli.terminal import DEFAULT_URL, Acs, AsJson, ask, call_lines, each, show_answer


def call_commands() -> typer.Typer:
    """Return the commands of `call`."""
    commands = typer.Typer(no_args_is_help=True)

    @commands.command("start")
    def start(  # noqa: PLR0917 - each parameter is an option of the command line
        participant: Annotated[list[str] | None, typer.Option(help="Raw id of a participant; may be repeated.")] = None,
        group: Annotated[str | None, typer.Option(help="groupCallId.")] = None,
        room: Annotated[str | None, typer.Option(help="roomId.")] = None,
        kind: Annotated[
            str, typer.Option(help="Who records it: azureCommunicationServices, teams or teamsCompliance.")
        ] = "azureCommunicationServices",
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Start a call; without participants two are made up."""
        body = {"participants": participant or [], "groupCallId": group, "roomId": room, "recordingKind": kind}
        show_answer(ask(acs, "POST", "calls", body=body), as_json, call_lines)

    @commands.command("show")
    def show(
        call_id: Annotated[str | None, typer.Argument(help="All calls without it.")] = None,
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Show one call, or all."""
        answer = ask(acs, "GET", "calls", *([call_id] if call_id else []))
        show_answer(answer, as_json, call_lines if call_id else lambda a: each(a["calls"], call_lines, "No calls yet."))

    @commands.command("join")
    def join(
        call_id: str,
        participant: Annotated[str | None, typer.Argument(help="Raw id; made up if left out.")] = None,
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Add a participant to a call."""
        body = {"participantId": participant}
        show_answer(ask(acs, "POST", "calls", call_id, "participants", body=body), as_json, call_lines)

    @commands.command("leave")
    def leave(call_id: str, participant: str, acs: Acs = DEFAULT_URL, as_json: AsJson = False) -> None:
        """Remove a participant from a call."""
        show_answer(ask(acs, "DELETE", "calls", call_id, "participants", participant), as_json, call_lines)

    @commands.command("end")
    def end(call_id: str, acs: Acs = DEFAULT_URL, as_json: AsJson = False) -> None:
        """End a call, and with it its recordings."""
        show_answer(ask(acs, "DELETE", "calls", call_id), as_json, call_lines)

    return commands
