"""The commands `recordings start`, `pause`, `resume` and `stop`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import UsageError
from cli.options import Json, Key, RecordingId, Url, run

_CALL = "Which call: one of these"
_OPTIONS = "What to record"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (start, pause, resume, stop):
        app.command()(command)


def start(
    *,
    server_call_id: Annotated[str | None, typer.Option(rich_help_panel=_CALL, help="As CallStarted brings it.")] = None,
    group_call_id: Annotated[str | None, typer.Option(rich_help_panel=_CALL, help="Of a group call.")] = None,
    room_id: Annotated[str | None, typer.Option(rich_help_panel=_CALL, help="Of a call in a room.")] = None,
    call_connection_id: Annotated[
        str | None, typer.Option(rich_help_panel=_CALL, help="Of a Call Automation connection.")
    ] = None,
    content: Annotated[str | None, typer.Option(rich_help_panel=_OPTIONS, help="audio or audioVideo.")] = None,
    channel: Annotated[str | None, typer.Option(rich_help_panel=_OPTIONS, help="mixed or unmixed.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", rich_help_panel=_OPTIONS, help="mp4, mp3 or wav.")
    ] = None,
    pause_on_start: Annotated[
        bool, typer.Option("--pause-on-start", rich_help_panel=_OPTIONS, help="Record only once it is resumed.")
    ] = False,
    consent: Annotated[
        str | None,
        typer.Option(rich_help_panel=_OPTIONS, metavar="JSON|@FILE", help="The participants' consent."),
    ] = None,
    more: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_OPTIONS,
            metavar="JSON|@FILE",
            help="Further fields of the request, as the API has them, such as channelAffinity or externalStorage.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeating the command with the same key gives the first one's recording.")
    ] = None,
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
) -> None:
    """Start recording a call."""
    given = {
        "serverCallId": server_call_id,
        "groupCallId": group_call_id,
        "roomId": room_id,
        "callConnectionId": call_connection_id,
        "recordingContentType": content,
        "recordingChannelType": channel,
        "recordingFormatType": file_format,
        "pauseOnStart": pause_on_start or None,
    }
    body = {name: value for name, value in given.items() if value is not None}
    run(_start(url, key, body, consent=consent, more=more, idempotency_key=idempotency_key, as_json=json_output))


def pause(recording: RecordingId, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """Pause a recording."""
    run(_operate("pause", recording, url, key, as_json=json_output))


def resume(recording: RecordingId, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """Resume a paused recording."""
    run(_operate("resume", recording, url, key, as_json=json_output))


def stop(recording: RecordingId, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """Stop a recording for good."""
    run(_operate("stop", recording, url, key, as_json=json_output))


async def _start(
    url: str | None,
    key: str | None,
    body: dict[str, Any],
    *,
    consent: str | None,
    more: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    from cli.api import connected  # noqa: PLC0415 - --help is to be quick

    if consent is not None:
        body["consent"] = read_object("--consent", consent)
    if more is not None:
        body = with_more(body, read_object("--more", more))
    headers = {} if idempotency_key is None else {"Idempotency-Key": header_value(idempotency_key)}
    async with connected(url, key) as api:
        started = (await api.ask("POST", "recordings", body=body, headers=headers)).body
    _show(started, as_json=as_json)


async def _operate(operation: str, recording: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    from cli.api import connected, segment  # noqa: PLC0415

    async with connected(url, key) as api:
        done = (await api.ask("POST", f"recordings/{segment(recording)}/{operation}")).body
    _show(done, as_json=as_json)


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    from cli.text import one_line, say  # noqa: PLC0415

    if as_json:
        say(json.dumps(answer, indent=2))
    else:
        say(f"{one_line(answer.get('state')):<10} {one_line(answer.get('recordingId'))}")


def with_more(body: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return a request with further fields.

    Raises
    ------
    UsageError
        A field is given by an option already.
    """
    if both := sorted(body.keys() & more.keys()):
        raise UsageError(f"--more gives {', '.join(both)}, which an option gives too")
    return {**body, **more}


def read_object(option: str, given: str) -> dict[str, Any]:
    """Return the object that an option gives, as JSON or as the file that holds it.

    Raises
    ------
    UsageError
        It cannot be read, or is no JSON object.
    """
    text = given
    if given.startswith("@"):
        try:
            text = Path(given[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UsageError(f"{option}: {given[1:]} cannot be read: {why}") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} takes a JSON object, or @ and the file that holds it: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{option} takes a JSON object, or @ and the file that holds it")
    return value


def header_value(text: str) -> str:
    """Return a text that a header can carry.

    Raises
    ------
    UsageError
        It holds other characters than visible ASCII.
    """
    if not text or not all("!" <= character <= "~" for character in text):
        raise UsageError("--idempotency-key takes 1 to 255 visible ASCII characters, such as a UUID")
    return text
