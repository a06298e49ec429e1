"""What the emulator's commands share: durations, asking the emulator, and showing what it answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from local.acs.errors import AcsEmulatorError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_URL = "http://127.0.0.1:7080"

Acs = Annotated[str, typer.Option("--acs", envvar="ACS_EMULATOR", help="Address of the running emulator.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Read a duration such as `90`, `1.5h`, `24h`, `200ms` as seconds; raises typer.BadParameter."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text} is not a duration; write seconds, or a number with ms, s, m, h or d")
    return float(match[1]) * _UNITS[match[2]]


def ask(acs: str, method: str, *path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask a control route; a problem ends the command with one sentence."""
    from local.acs.cli import remote  # noqa: PLC0415 - loads the HTTP client, and --help shall be quick

    try:
        return remote.ask(acs, method, path, body)
    except AcsEmulatorError as exc:
        give_up(str(exc))


def give_up(message: str) -> NoReturn:
    """End the command with a sentence on stderr."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def show_answer(answer: Any, as_json: bool, lines: Callable[[Any], list[str]]) -> None:
    """Print an answer as JSON, or as lines for a person."""
    typer.echo(json.dumps(answer, indent=2) if as_json else "\n".join(lines(answer)))


def each(items: list[Any], lines: Callable[[Any], list[str]], none: str) -> list[str]:
    """Return the lines of all items, or one that says there are none."""
    return [line for item in items for line in lines(item)] or [none]


def call_lines(call: dict[str, Any]) -> list[str]:
    """Return what a person wants to see of a call."""
    fields = ("serverCallId", "callConnectionId", "groupCallId", "roomId")
    return [
        f"call {call['callId']}  {call['state']}",
        *(f"  {name:<17}{call[name]}" for name in fields if call[name]),
        *(f"  participant      {raw_id}" for raw_id in call["participants"]),
    ]


def recording_lines(recording: dict[str, Any]) -> list[str]:
    """Return what a person wants to see of a recording."""
    options = recording["options"]
    kinds = ("recordingContentType", "recordingChannelType", "recordingFormatType")
    lines = [
        f"recording {recording['recordingId']}  {recording['state']}",
        f"  {'/'.join(options[kind] for kind in kinds)}  {recording['recordedMs'] / 1000:g} s"
        f"  files {recording['processing']}  events {recording['eventsSent']}",
    ]
    for chunk in [*recording["chunks"], *recording["reissued"]]:
        gone = " deleted" if chunk["deleted"] else " expired" if chunk["expired"] else ""
        lines.append(
            f"  chunk {chunk['index']}  {chunk['durationMs'] / 1000:g} s  {chunk['contentLength']} bytes{gone}"
        )
        lines.append(f"    {chunk['contentLocation']}")
    return lines


def fault_lines(fault: dict[str, Any]) -> list[str]:
    """Return what a person wants to see of a fault."""
    shown = {"id", "kind", "target", "times", "hits", "timesLeft"}
    extra = " ".join(f"{name}={value}" for name, value in fault.items() if name not in shown)
    left = "until removed" if fault["timesLeft"] is None else f"{fault['timesLeft']} left"
    return [f"fault {fault['id']}  {fault['kind']} on {fault['target']}  {extra}  hits {fault['hits']}, {left}"]
