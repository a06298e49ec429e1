"""The command `recordings verify`."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated, Any

import typer

from cli.errors import CommandError, UsageError
from cli.options import Json, Key, Since, Url, run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    recording: Annotated[
        str | None, typer.Argument(metavar="[RECORDING]", help="The recording's id, or the last part of its prefix.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Verify all recordings since a day.")] = False,
    since: Since = None,
    resume_file: Annotated[
        Path | None,
        typer.Option(help="With --all: stores the progress. The same command resumes from it."),
    ] = None,
    at_once: Annotated[
        int, typer.Option(min=1, max=16, help="With --all: how many recordings the app reads back at a time.")
    ] = 4,
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
) -> None:
    """Let the app read recordings back, every byte, and compare them with their manifests.

    Ends with 1 when anything differs.
    """
    if everything:
        well = run(_verify_all(recording, since, resume_file, url, key, at_once=at_once, as_json=json_output))
    else:
        well = run(_verify_one(recording, since, resume_file, url, key, as_json=json_output))
    raise typer.Exit(0 if well else 1)


async def _verify_one(
    recording: str | None, since: str | None, file: Path | None, url: str | None, key: str | None, *, as_json: bool
) -> bool:
    if recording is None:
        raise UsageError("say what to verify: a recording's id, or --all --since YYYY-MM-DD")
    if since is not None or file is not None:
        raise UsageError("--since and --resume-file go with --all")
    from cli.api import connected  # noqa: PLC0415 - --help is to be quick
    from cli.audit import PATIENCE, verify  # noqa: PLC0415
    from cli.progress import Progress  # noqa: PLC0415
    from cli.text import say  # noqa: PLC0415

    async with connected(url, key, patience=PATIENCE) as api:
        with Progress() as progress:
            report = await verify(api, recording, progress)
    for line in [json.dumps(report, indent=2)] if as_json else lines(report):
        say(line)
    return bool(report["verified"])


def lines(report: dict[str, Any]) -> list[str]:
    """Return a report as lines."""
    from cli.audit import differences  # noqa: PLC0415
    from cli.text import one_line  # noqa: PLC0415

    found = differences(report)
    count = len(report["chunks"])
    chunks = f"{count} chunk{'' if count == 1 else 's'}"
    outcome = "as the manifest says" if report["verified"] else f"{len(found)} difference{'s' * (len(found) != 1)}"
    return [*found, f"{one_line(report['prefix'])}: {chunks} read back, {outcome}"]


async def _verify_all(
    recording: str | None,
    since: str | None,
    file: Path | None,
    url: str | None,
    key: str | None,
    *,
    at_once: int,
    as_json: bool,
) -> bool:
    if recording is not None:
        raise UsageError("give a recording's id or --all, not both")
    first = _day(since)
    from cli.api import connected  # noqa: PLC0415
    from cli.audit import PATIENCE, Audit, verify_all  # noqa: PLC0415
    from cli.progress import Progress  # noqa: PLC0415
    from cli.text import say  # noqa: PLC0415

    async with connected(url, key, patience=PATIENCE) as api:
        audit = Audit.resumed(file, api.deployment.url, first)
        try:
            with Progress() as progress:
                await verify_all(api, audit, file, progress, at_once=at_once, quiet=as_json)
        except CommandError as error:
            if file is not None and not isinstance(error, UsageError):
                say(f"{audit.progress()}; the same command continues from there", err=True)
            raise
    say(json.dumps(audit.as_json(), indent=2) if as_json else audit.progress())
    audit.forget(file)
    return not audit.differing


def _day(text: str | None) -> str:
    try:
        return date.fromisoformat(text or "").isoformat()
    except ValueError:
        raise UsageError("--all takes --since and a day such as 2026-11-22") from None
