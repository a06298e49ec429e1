"""Commands that make recordings, show and announce them."""

from __future__ import annotations

from typing import Annotated

import typer

from local.acs.cli.terminal import DEFAULT_URL, Acs, AsJson, ask, each, recording_lines, seconds, show_answer


def record_commands() -> typer.Typer:
    """Return the commands of `record`."""
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
        acs: Acs = DEFAULT_URL,
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
    def list_all(acs: Acs = DEFAULT_URL, as_json: AsJson = False) -> None:
        """List all recordings."""
        answer = ask(acs, "GET", "recordings")
        show_answer(answer, as_json, lambda a: each(a["recordings"], recording_lines, "No recordings yet."))

    @commands.command("show")
    def show(recording_id: str, acs: Acs = DEFAULT_URL, as_json: AsJson = False) -> None:
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
        acs: Acs = DEFAULT_URL,
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
