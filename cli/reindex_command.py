"""The command `recordings reindex`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.options import Json, Key, Since, Url, run

if TYPE_CHECKING:
    import typer

_PATIENCE = 240


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reindex)


def reindex(*, since: Since = None, url: Url = None, key: Key = None, json_output: Json = False) -> None:
    """Restore the ledger from the archive after it was lost. Safe to repeat, and while recordings arrive."""
    run(_reindex(since, url, key, as_json=json_output))


async def _reindex(since: str | None, url: str | None, key: str | None, *, as_json: bool) -> None:
    from cli.api import connected  # noqa: PLC0415 - --help is to be quick
    from cli.progress import Progress  # noqa: PLC0415
    from cli.text import one_line, say  # noqa: PLC0415

    total: dict[str, Any] = {"recordings": 0, "learnt": 0, "findings": 0, "unreadable": []}
    cursor: str | None = None
    with Progress() as progress:
        async with connected(url, key, patience=_PATIENCE) as api:
            while True:
                query = {"since": since, "cursor": cursor}
                report = (await api.ask_again("POST", "reindex", query=query)).body
                total = {name: value + report[name] for name, value in total.items()}
                cursor = report["cursor"]
                progress.page(summary(total))
                if cursor is None:
                    break
    if as_json:
        say(json.dumps(total, indent=2))
        return
    for name in total["unreadable"]:
        say(f"cannot be read: {one_line(name)}")
    say(summary(total))


def summary(total: dict[str, Any]) -> str:
    """Return what has been done so far."""
    return (
        f"{total['recordings']} recordings read, {total['learnt']} of them restored in the ledger; "
        f"{total['findings']} incidents restored; {len(total['unreadable'])} blobs cannot be read"
    )
