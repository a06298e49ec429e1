"""The commands `recordings attention`, `attention settle` and `attention retry`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Json, Key, Url, run

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLORS = {"critical": "red", "urgent": "red", "warning": "yellow", "notice": None}


def register(app: typer.Typer) -> None:
    """Add the command."""
    attention = typer.Typer(invoke_without_command=True)
    attention.callback()(list_incidents)
    attention.command()(settle)
    attention.command()(retry)
    app.add_typer(attention, name="attention")


def list_incidents(context: typer.Context, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """List the open incidents, the most severe first, with the hours until the service deletes the source."""
    if context.invoked_subcommand is None:
        run(_list(url, key, as_json=json_output))
    else:
        context.obj = {
            name: value
            for name, value in (("url", url), ("key", key))
            if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
        }


def settle(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, as in the list.")],
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
) -> None:
    """Remove an incident from the list. Its evidence stays in the archive."""
    run(_settle(identifier, *_given(context, url, key), as_json=json_output))


def retry(
    context: typer.Context,
    identifier: Annotated[
        str | None, typer.Argument(metavar="ID", help="The incident's id, as in the list.", show_default=False)
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All incidents that can be retried.")] = False,
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
) -> None:
    """Retry an incident's work after its cause was fixed. The incident is resolved when the archive has the files."""
    run(_retry(identifier, *_given(context, url, key), every=every, as_json=json_output))


def _given(context: typer.Context, url: str | None, key: str | None) -> tuple[str | None, str | None]:
    """Return address and key: options before the command's name count too, and override the environment."""
    return context.obj.get("url", url), context.obj.get("key", key)


async def _list(url: str | None, key: str | None, *, as_json: bool) -> None:
    from cli.api import connected  # noqa: PLC0415 - --help is to be quick
    from cli.text import say  # noqa: PLC0415

    async with connected(url, key) as api:
        found = (await api.ask("GET", "attention")).body
    if as_json:
        say(json.dumps(found, indent=2))
        return
    for incident in found["findings"]:
        level = str(incident["severity"])
        first, *others = lines(incident)
        say(typer.style(first, fg=_COLORS.get(level), bold=level == "critical"))
        for line in others:
            say(line)
    count = len(found["findings"])
    say(f"{count} incident{'' if count == 1 else 's'}" if count else "no open incidents")
    if count:
        say("when the cause is fixed: recordings attention retry ID; when there is nothing left to do: settle ID")


def lines(incident: Mapping[str, Any]) -> list[str]:
    """Return an incident as lines."""
    from cli.text import hours, one_line  # noqa: PLC0415

    return [
        f"{one_line(incident['severity']):<8}  {hours(incident['hoursLeft'])} left  {one_line(incident['reason'])}",
        f"    id         {one_line(incident['id'])}",
        *(f"    recording  {one_line(incident[name])}" for name in ("recordingId",) if incident.get(name)),
        *(f"    archive    {one_line(incident[name])}" for name in ("prefix",) if incident.get(name)),
    ]


async def _settle(identifier: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    from cli.api import connected, segment  # noqa: PLC0415
    from cli.errors import CommandError  # noqa: PLC0415
    from cli.text import one_line, say  # noqa: PLC0415

    async with connected(url, key) as api:
        answer = (await api.ask("DELETE", f"attention/{segment(identifier)}")).body
    if as_json:
        say(json.dumps(answer))
    if not answer["settled"]:
        raise CommandError(f"there is no incident with the id {one_line(identifier)}: recordings attention lists all")
    if not as_json:
        say(f"settled    {one_line(identifier)}")


async def _retry(identifier: str | None, url: str | None, key: str | None, *, every: bool, as_json: bool) -> None:
    from cli.api import Refused, connected, segment  # noqa: PLC0415
    from cli.errors import UsageError  # noqa: PLC0415
    from cli.text import say  # noqa: PLC0415

    if every is (identifier is not None):
        raise UsageError("say what to retry: the ID of an incident, or --all")
    outcomes: list[dict[str, Any]] = []
    async with connected(url, key) as api:
        listed = [identifier]
        if every:
            listed = [incident["id"] for incident in (await api.ask("GET", "attention")).body["findings"]]
        for incident in listed:
            try:
                outcome = (await api.ask("POST", f"attention/{segment(str(incident))}/retry")).body
            except Refused as error:
                # With --all, some incidents cannot be retried, or were settled meanwhile.
                if not every or error.status not in {404, 409}:
                    raise
                outcome = {"id": incident, "refused": str(error)}
            outcomes.append(outcome)
            if not as_json:
                say(outcome_line(outcome))
    if as_json:
        say(json.dumps(outcomes if every else outcomes[0]))


def outcome_line(outcome: Mapping[str, Any]) -> str:
    """Return the outcome of a retry as a line."""
    from cli.text import one_line  # noqa: PLC0415

    identifier = one_line(outcome["id"])
    if "refused" in outcome:
        return f"not retried  {identifier}: {outcome['refused']}"
    count = outcome["chunks"]
    sent = f": {count} chunk{'' if count == 1 else 's'} sent to be archived" if count else ""
    return f"{'settled' if outcome['settled'] else 'retried':<11}  {identifier}{sent}"
