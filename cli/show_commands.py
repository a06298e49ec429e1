"""The commands `recordings show` and `recordings watch`."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Json, Key, RecordingId, Url, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.api import Api

_ENDS = frozenset({"archived", "failed", "expired"})
_PATIENT_TRIES = 10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(show)
    app.command()(watch)


def show(recording: RecordingId, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """Show what is known of a recording: state, times, pauses, chunks, the hours left to archive it."""
    run(_show(recording, url, key, as_json=json_output))


def watch(
    recording: RecordingId,
    *,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two requests, if the app does not say when to ask again.")
    ] = 5,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds after which to give up watching.")] = None,
    url: Url = None,
    key: Key = None,
    json_output: Json = False,
) -> None:
    """Follow a recording until it is archived, has failed, or has expired.

    Ends with 0 only when it is archived. With --json each change is a line of its own.
    """
    raise typer.Exit(run(_watch(recording, url, key, interval, patience=timeout, as_json=json_output)))


async def _show(recording: str, url: str | None, key: str | None, *, as_json: bool) -> None:
    from cli.api import connected, segment  # noqa: PLC0415 - --help is to be quick
    from cli.recording_view import lines  # noqa: PLC0415
    from cli.text import say  # noqa: PLC0415

    async with connected(url, key) as api:
        body = (await api.ask("GET", f"recordings/{segment(recording)}")).body
    for line in [json.dumps(body, indent=2)] if as_json else lines(body):
        say(line)


async def _watch(
    recording: str, url: str | None, key: str | None, interval: float, *, patience: float | None, as_json: bool
) -> int:
    from cli.api import connected, segment  # noqa: PLC0415
    from cli.errors import CommandError  # noqa: PLC0415

    path = f"recordings/{segment(recording)}"
    try:
        async with connected(url, key) as api, asyncio.timeout(patience):
            if sys.stdout.isatty() and not as_json:
                return await _watch_live(api, path, interval)
            return await _follow(api, path, interval, _Lines(as_json=as_json))
    except TimeoutError:
        raise CommandError(
            f"the recording is neither archived nor lost after {patience:g} s; the app continues: watch it again"
        ) from None


async def _watch_live(api: Api, path: str, interval: float) -> int:
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from cli.recording_view import lines  # noqa: PLC0415

    with Live(auto_refresh=False) as live:
        return await _follow(api, path, interval, lambda body: live.update(Text("\n".join(lines(body))), refresh=True))


async def _follow(api: Api, path: str, interval: float, shown: Callable[[dict[str, Any]], None]) -> int:
    """Ask until the recording has ended; wait and repeat after a temporary failure."""
    from cli.api import PASSING, Refused  # noqa: PLC0415
    from cli.errors import Unreachable  # noqa: PLC0415

    failures = 0
    while True:
        pause = interval
        try:
            answer = await api.ask("GET", path)
        except (Refused, Unreachable) as error:
            failures += 1
            lasting = isinstance(error, Refused) and error.status not in PASSING
            if lasting or failures == _PATIENT_TRIES:
                raise
            pause = getattr(error, "retry_after", None) or interval
        else:
            failures = 0
            shown(answer.body)
            if answer.body["state"] in _ENDS:
                return 0 if answer.body["state"] == "archived" else 1
            pause = answer.retry_after or interval
        await asyncio.sleep(pause)


class _Lines:
    """Writes a line for each change."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last = ""

    def __call__(self, body: dict[str, Any]) -> None:
        from cli.recording_view import summary  # noqa: PLC0415
        from cli.text import clock, say  # noqa: PLC0415

        line = summary(body)
        # Fewer hours left is not a change.
        change = line.partition("; source: ")[0]
        if change == self._last:
            return
        self._last = change
        say(json.dumps(body) if self._as_json else f"{clock(datetime.now().astimezone())} {line}")
        sys.stdout.flush()
