"""Commands that make recordings, show and announce them."""

from __future__ import annotations

from typing import Annotated

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
        """Show one recording as it really is."""
        show_answer(ask(acs, "GET", "recordings", recording_id), as_json, recording_lines)

    @commands.command("announce")
    def announce(  # noqa: PLR0917 - each parameter is an option of the command line
        recording_id: str,
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
        """Publish the events of a recording again, in any form they have been seen in."""
        body = form(payload, subject, delivery, shuffle, duplicates, new_ids, lost, delay, omit, swap_types)
        show_answer(
            ask(acs, "POST", "recordings", recording_id, "announce", body=body), as_json, lambda _: ["announced"]
        )

    @commands.command("reissue")
    def reissue(  # noqa: PLR0917 - each parameter is an option of the command line
        recording_id: str,
        index: Annotated[int, typer.Argument(help="Which chunk.")] = 0,
        size: Annotated[int | None, typer.Option(help="Exact size of the new document's file in bytes.")] = None,
        announce: Annotated[bool, typer.Option(help="Publish an event with this chunk alone.")] = True,
        acs: Acs = DEFAULT_URL,
        as_json: AsJson = False,
    ) -> None:
        """Store a chunk again under another document, and announce it."""
        body = {"sizeBytes": size, "announce": announce}
        path = ("recordings", recording_id, "chunks", str(index), "reissue")
        show_answer(ask(acs, "POST", *path, body=body), as_json, recording_lines)

    return commands
