"""`python -m bench`: measures the copy engine against its limits and its peers, side by side."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import report
from bench.app_cases import APP_CASES, COLD_START, AppCase, Outcome, cold_start
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
    against: Annotated[
        Path | None, typer.Option(help="Another checkout, whose cold start is measured in turns with this one's.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Say which cases and contenders there are, and stop.")] = False,
) -> None:
    """Measure the copy engine side by side with its limits and its peers."""
    known: dict[str, Case | AppCase] = {case.name: case for case in (*CASES, RESUME, *APP_CASES)}
    if against is not None:
        if not (against / "function_app.py").is_file():
            raise typer.BadParameter(f"{against} has no function_app.py", param_hint="--against")
        run = partial(cold_start, against=against.resolve())
        known["cold-start"] = dataclasses.replace(COLD_START, run=run)
    if show:
        for case in known.values():
            typer.echo(f"{case.name:14} {_described(case)}")
        return
    wanted = [name for name in only.split(",") if name] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise typer.BadParameter(f"there is no case {', '.join(unknown)}; --list names them", param_hint="--only")
    names = {name for name in contenders.split(",") if name}
    cases = [_narrowed(known[name], names, quick) for name in wanted]
    if quick and output == Path("bench"):
        output = Path(".local/bench")  # a look must not replace results
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        try:
            asyncio.run(_bench(cases, 1 if quick else rounds, output, work or Path(made), quick=quick))
        except LocalProblem as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _described(case: Case | AppCase) -> str:
    if isinstance(case, AppCase):
        return case.title
    return f"{case.size // MIB} MiB, {case.title}: {', '.join(case.contenders)}"


def _narrowed(case: Case | AppCase, names: set[str], quick: bool) -> Case | AppCase:
    if isinstance(case, AppCase):
        return case
    return dataclasses.replace(
        case,
        size=min(case.size, QUICK_SIZE) if quick else case.size,
        contenders=tuple(name for name in case.contenders if not names or name in names),
    )


async def _bench(cases: list[Case | AppCase], rounds: int, output: Path, work: Path, *, quick: bool) -> None:
    results = report.Results(command=" ".join(["python -m bench", *sys.argv[1:]]))
    for case in cases:
        if isinstance(case, AppCase):
            await _run_app(case, rounds, work, results, quick=quick)
        elif case.name == RESUME.name:
            await _resume(case, work, results)
        else:
            await _run(case, rounds, work, results)
        # After each case, so that what was measured is not lost when a later one is broken off.
        report.write(output, results)
    typer.echo(f"\nwritten to {output / 'results.md'} and {output / 'results.json'}")


async def _run(case: Case, rounds: int, work: Path, results: report.Results) -> None:
    runs: dict[str, list[Run]] = {}
    missing: dict[str, str] = {}
    async with source(work, *case.source) as url:
        recording = await record(url, case.size)
        for number in range(rounds):
            # Each round begins with another contender, so that none always runs on a machine that is still warm.
            turn = number % max(1, len(case.contenders))
            for name in (*case.contenders[turn:], *case.contenders[:turn]):
                if name in missing:
                    continue
                try:
                    run = await once(name, recording, work)
                except RunFailed as error:
                    missing[name] = str(error)
                    typer.echo(f"{case.name}: {name}: {error}")
                    continue
                runs.setdefault(name, []).append(run)
                typer.echo(f"{case.name}: {name}: {case.size / 1e6 / run.wall_s:.0f} MB/s")
    rows = [report.Row.of(case, name, runs[name]) for name in case.contenders if name in runs]
    results.add(case.name, f"{case.size // MIB} MiB, {case.title}", rows, missing)


async def _run_app(case: AppCase, rounds: int, work: Path, results: report.Results, *, quick: bool) -> None:
    outcomes: dict[str, list[Outcome]] = {}
    missing: dict[str, str] = {}
    for number in range(rounds):
        folder = work / f"{case.name}-{number}"
        folder.mkdir(parents=True)
        try:
            async for outcome in case.run(folder, quick, lambda said: typer.echo(f"{case.name}: {said}")):
                outcomes.setdefault(outcome.contender, []).append(outcome)
        except (RunFailed, TimeoutError) as error:
            missing["ours"] = str(error) or "it was not over in time"
            typer.echo(f"{case.name}: {missing['ours']}")
            break
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    rows = [report.Row.of_app(case.name, rounds_) for rounds_ in outcomes.values()]
    results.add(case.name, case.title, rows, missing)


async def _resume(case: Case, work: Path, results: report.Results) -> None:
    async with source(work, *case.source) as url:
        recording = await record(url, case.size)
        for percent in (10, 50, 90):
            again, staged = await resumed(recording, work, percent / 100)
            results.resumes.append((percent, staged, again))
            typer.echo(f"{case.name}: killed at {percent} %, {again} of {staged} staged bytes read again")


if __name__ == "__main__":
    app(prog_name="python -m bench")
