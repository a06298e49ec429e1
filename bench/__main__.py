"""`python -m bench`: measures the copy engine against its limits and its peers, side by side."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench import report
from bench.cases import CASES, MIB, Case
from bench.runs import Run, RunFailed, once, resumed
from bench.services import record, source
from local.problems import LocalProblem

RESUME = Case("resume", "killed at 10, 50 and 90 %", 512 * MIB, ("--rate", "40000000"), ("ours",))
QUICK_SIZE = 128 * MIB

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One round of 128 MiB files: a look, not a result.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each contender runs.", min=1)] = 3,
    only: Annotated[str, typer.Option(help="Cases, separated by commas; all by default.")] = "",
    contenders: Annotated[str, typer.Option(help="Contenders, separated by commas; all by default.")] = "",
    output: Annotated[Path, typer.Option(help="Folder for results.md and results.json.")] = Path("bench"),
    work: Annotated[Path | None, typer.Option(help="Folder for files under way; a new one by default.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Say which cases and contenders there are, and stop.")] = False,
) -> None:
    """Measure the copy engine side by side with its limits and its peers."""
    known = {case.name: case for case in (*CASES, RESUME)}
    if show:
        for case in known.values():
            typer.echo(f"{case.name:14} {case.size // MIB} MiB, {case.title}: {', '.join(case.contenders)}")
        return
    wanted = [name for name in only.split(",") if name] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise typer.BadParameter(f"there is no case {', '.join(unknown)}; --list names them", param_hint="--only")
    names = {name for name in contenders.split(",") if name}
    cases = [
        dataclasses.replace(
            known[name],
            size=min(known[name].size, QUICK_SIZE) if quick else known[name].size,
            contenders=tuple(name_ for name_ in known[name].contenders if not names or name_ in names),
        )
        for name in wanted
    ]
    if quick and output == Path("bench"):
        output = Path(".local/bench")  # a look must not replace results
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        try:
            asyncio.run(_bench(cases, 1 if quick else rounds, output, work or Path(made)))
        except LocalProblem as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


async def _bench(cases: list[Case], rounds: int, output: Path, work: Path) -> None:
    runs: dict[tuple[str, str], list[Run]] = {}
    missing: dict[tuple[str, str], str] = {}
    resumes: list[tuple[int, int, int]] = []
    for case in cases:
        async with source(work, *case.source) as url:
            recording = await record(url, case.size)
            if case.name == RESUME.name:
                for percent in (10, 50, 90):
                    again, staged = await resumed(recording, work, percent / 100)
                    resumes.append((percent, staged, again))
                    typer.echo(f"{case.name}: killed at {percent} %, {again} of {staged} staged bytes read again")
                continue
            for number in range(rounds):
                # Each round begins with another one, so that nobody always runs on a machine that is still warm.
                turn = number % max(1, len(case.contenders))
                for name in (*case.contenders[turn:], *case.contenders[:turn]):
                    if (case.name, name) in missing:
                        continue
                    try:
                        run = await once(name, recording, work)
                    except RunFailed as error:
                        missing[case.name, name] = str(error)
                        typer.echo(f"{case.name}: {name}: {error}")
                        continue
                    runs.setdefault((case.name, name), []).append(run)
                    typer.echo(f"{case.name}: {name}: {case.size / 1e6 / run.wall_s:.0f} MB/s")
    rows = [
        report.Row.of(case, name, runs[case.name, name])
        for case in cases
        for name in case.contenders
        if (case.name, name) in runs
    ]
    measured = [case for case in cases if case.name != RESUME.name]
    command = " ".join(["python -m bench", *sys.argv[1:]])
    report.write(output, cases=measured, rows=rows, missing=missing, resumes=resumes, command=command)
    typer.echo(f"\nwritten to {output / 'results.md'} and {output / 'results.json'}")


if __name__ == "__main__":
    app(prog_name="python -m bench")
