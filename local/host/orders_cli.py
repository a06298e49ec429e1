"""The commands ``host drain`` and ``host fault``: orders to a Functions host that runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from local.host.faults import Kind  # noqa: TC001 - typer reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

_Url = Annotated[str, typer.Option(help="Where the host listens.")]
_Keys = Annotated[Path, typer.Option(help="The host's file of access keys.", dir_okay=False)]
_DEFAULT_URL = "http://127.0.0.1:7071"
_DEFAULT_KEYS = Path(".local/keys.json")
_TIMEOUT = 10.0


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("drain")(drain)
    fault = typer.Typer(no_args_is_help=True, help="Order faults of queue messages and timers, list them, clear them.")
    fault.command("add")(fault_add)
    fault.command("list")(fault_list)
    fault.command("clear")(fault_clear)
    app.add_typer(fault, name="fault")


def drain(
    *,
    after: Annotated[
        float | None,
        typer.Option(
            help="Seconds until running functions are aborted, 0 to 3. Default: 1 to 3 at random, as the platform.",
            show_default=False,
        ),
    ] = None,
    stay_down: Annotated[
        bool, typer.Option("--stay-down", help="End with exit code 143, with no process in place of this one.")
    ] = False,
    url: _Url = _DEFAULT_URL,
    keys: _Keys = _DEFAULT_KEYS,
) -> None:
    """Drain the host: nothing new is taken, running functions are aborted, their messages come after their lease.

    A fresh process then takes its place, unless it is to stay down. Ordered faults end with the process.
    """
    body = {"replace": not stay_down} | ({} if after is None else {"afterSeconds": after})
    ordered = _ask(url, keys, "POST", "drain", body)
    then = "is replaced" if ordered["replace"] else "ends with exit code 143"
    typer.echo(f"Running functions are aborted after {ordered['afterSeconds']:g} s; then the host {then}.")


def fault_add(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="not-run: a message is leased and not run; poison: a message goes to the poison queue without a try; "
            "timer: a timer function is not run any more."
        ),
    ],
    *,
    queue: Annotated[str | None, typer.Option(help="The queue (not-run, poison).", show_default=False)] = None,
    times: Annotated[
        int | None, typer.Option(help="How many messages it meets; 0 for all. Default: 1.", show_default=False)
    ] = None,
    function: Annotated[str | None, typer.Option(help="The timer function (timer).", show_default=False)] = None,
    url: _Url = _DEFAULT_URL,
    keys: _Keys = _DEFAULT_KEYS,
) -> None:
    """Order a fault; it lasts until it is used up or cleared, or the host's process ends."""
    given = {"kind": kind.value, "queue": queue, "times": times, "function": function}
    body = {name: value for name, value in given.items() if value is not None}
    typer.echo(json.dumps(_ask(url, keys, "POST", "faults", body)))


def fault_list(url: _Url = _DEFAULT_URL, keys: _Keys = _DEFAULT_KEYS) -> None:
    """List the faults that are ordered, one JSON object a line."""
    for fault in _ask(url, keys, "GET", "faults"):
        typer.echo(json.dumps(fault))


def fault_clear(
    fault_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Which; all without it.")] = None,
    url: _Url = _DEFAULT_URL,
    keys: _Keys = _DEFAULT_KEYS,
) -> None:
    """Clear one fault or all; a stopped timer runs again, at once where a run is past due."""
    _ask(url, keys, "DELETE", "faults" if fault_id is None else f"faults/{fault_id}")


def _ask(url: str, keys: Path, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """Send an order and return the JSON of its answer, None where it has none."""
    from local.host.errors import SettingsError  # noqa: PLC0415 - keeps --help quick
    from local.host.keys import load_or_create  # noqa: PLC0415

    headers = {}
    if keys.exists():
        try:
            headers["x-functions-key"] = load_or_create(keys).master
        except SettingsError as exc:
            _fail(str(exc))
    status, text = asyncio.run(_send(url, method, path, body, headers))
    if status == 401:
        _fail(f"The host at {url} refuses the master key of {keys}: name the keys file it was started with (--keys).")
    if status == 503:
        _fail(f"The host at {url} is starting or stopping and takes no order: order it again when it runs.")
    try:
        answer: Any = json.loads(text) if text else None
    except ValueError:
        answer = None
    if status >= 400:
        refused = isinstance(answer, dict) and "message" in answer
        _fail(answer["message"] if refused else f"{url} answered {status}: name the local Functions host with --url.")
    return answer


async def _send(
    url: str, method: str, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
) -> tuple[int, str]:
    import aiohttp  # noqa: PLC0415 - keeps --help quick

    from local.host.orders import PATH  # noqa: PLC0415

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    target = f"{url.rstrip('/')}{PATH}/{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, target, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as exc:
        _fail(
            f"No Functions host answers at {url} ({exc}): start it with 'python -m local host', or name it with --url."
        )


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
