"""The options that say what announcements look like, for every command that takes them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from local.acs.cli.terminal import seconds

Payload = Annotated[str, typer.Option(help="current or 2021.")]
Subject = Annotated[str, typer.Option(help="full, call, call-server or call-recording.")]
Delivery = Annotated[str, typer.Option(help="merged: all chunks in one event; or per-chunk.")]
Shuffle = Annotated[bool, typer.Option("--shuffle", help="In any order.")]
Duplicates = Annotated[int, typer.Option(help="Further deliveries of each event.")]
NewIds = Annotated[bool, typer.Option("--new-ids", help="Those get event ids of their own.")]
Lost = Annotated[int, typer.Option(help="How many deliveries, from the first on, are never sent.")]
Delay = Annotated[str, typer.Option(help="Emulated time to wait first.")]
Omit = Annotated[
    list[str] | None, typer.Option(help="Field to leave out, such as recordingId, recordingStartTime; repeatable.")
]
SwapTypes = Annotated[bool, typer.Option("--swap-types", help="Swap the types in the metadata file.")]


def form(  # noqa: PLR0917 - one parameter for each option
    payload: str,
    subject: str,
    delivery: str,
    shuffle: bool,
    duplicates: int,
    new_ids: bool,
    lost: int,
    delay: str,
    omit: list[str] | None,
    swap_types: bool,
) -> dict[str, Any]:
    """Return the form as the control routes take it."""
    return {
        "payload": payload,
        "subject": subject,
        "delivery": delivery,
        "shuffle": shuffle,
        "duplicates": duplicates,
        "newIds": new_ids,
        "lost": lost,
        "delaySeconds": seconds(delay),
        "omit": omit or [],
        "swapTypes": swap_types,
    }
