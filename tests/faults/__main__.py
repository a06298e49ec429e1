"""The soak: rounds of `tests.faults.chaos` for some minutes. `make soak ARGS="--seed 7 --minutes 5"`."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.faults.arena import arena
from tests.faults.chaos import Chaos, Tally
from tests.faults.plan import Plan

RECORDINGS_A_ROUND = 60
KILLS_A_ROUND = 4
PATIENCE = 300.0
"""Seconds in which all of a round has to be archived."""


def soak(
    *,
    seed: Annotated[int | None, typer.Option(help="Makes the plan; a new one by default.")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="After these no new round begins.")] = 5.0,
) -> None:
    """Archive recordings while everything fails at random; ends with 0 only if none is lost and none differs."""
    console = Console()
    chosen = secrets.randbelow(10**9) if seed is None else seed
    console.print(f'seed {chosen}, {minutes:g} minutes; the same again: make soak ARGS="--seed {chosen}"')
    tally = asyncio.run(_rounds(chosen, minutes * 60, console))
    console.print(_table(tally, chosen))
    for recording, differences in tally.differences.items():
        console.print(f"{recording}: {'; '.join(differences)}", style="red", soft_wrap=True)
    raise typer.Exit(1 if tally.differences or tally.unknown else 0)


async def _rounds(seed: int, seconds: float, console: Console) -> Tally:
    seeds = Random(seed)
    total = Tally()
    # Kept: whoever finds something lost wants the archive and the logs.
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    end = time.monotonic() + seconds
    async with arena(folder, clock_rate=60, DELETE_SOURCE_AFTER_ARCHIVE="true") as stack:
        chaos = Chaos(stack, (stack.stack.host, await stack.stack.add_host()))
        while time.monotonic() < end and not (total.differences or total.unknown):
            plan = Plan.of(seeds.randrange(2**32), recordings=RECORDINGS_A_ROUND, kills=KILLS_A_ROUND)
            tally = await chaos.run(plan, PATIENCE)
            total.add(tally)
            console.print(
                f"{total.recordings} recordings after {total.seconds:.0f} s; in this round "
                f"{tally.faults.total()} faults, {tally.kills} kills, {len(tally.differences)} lost"
            )
    console.print(f"archive and logs are kept in {folder}")
    return total


def _table(tally: Tally, seed: int) -> Table:
    table = Table("what", "how often", title=f"soak, seed {seed}")
    for what, number in (
        ("recordings", tally.recordings),
        ("chunks", tally.chunks),
        ("megabytes", tally.bytes // 10**6),
        ("requests to storage", tally.requests),
        ("kills of a host", tally.kills),
        ("tries put off", tally.retries),
        ("duplicates suppressed", tally.suppressed),
        ("recordings announced", tally.announced),
        ("announced once more, under the same id", tally.announced_again),
        ("chunks deleted at the service", tally.deleted),
    ):
        table.add_row(what, str(number))
    table.add_section()
    for kind, number in sorted(tally.faults.items()):
        table.add_row(kind, str(number))
    table.add_section()
    table.add_row("in the archive, of no recording", str(tally.unknown))
    table.add_row("lost or different", str(len(tally.differences)))
    return table


if __name__ == "__main__":
    typer.run(soak)
