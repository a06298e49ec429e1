"""Text for a terminal: text from outside can neither write control characters there nor suppress a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from datetime import datetime

_MIB = 1024 * 1024


def one_line(text: object) -> str:
    """Return a text as one line without control characters."""
    line = " ".join(str(text).split())
    return "".join(character for character in line if character.isprintable())


def say(line: str, *, err: bool = False) -> None:
    """Write a line; characters that the terminal cannot show become `?`."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    typer.echo(line.encode(encoding, "replace").decode(encoding), err=err)


def mib(count: int) -> str:
    """Return bytes as MiB."""
    return f"{count / _MIB:.1f} MiB"


def hours(left: float | None) -> str:
    """Return hours in a readable form."""
    match left:
        case None:
            return "unknown"
        case 0:
            return "none"
        case _ if left < 1:
            return f"{left * 60:.0f} min"
        case _:
            return f"{left:.1f} h"


def length(milliseconds: int) -> str:
    """Return a duration as `h:mm:ss`."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def moment(text: str | None) -> str:
    """Return a time of the API to the second."""
    return one_line(text or "")[:19].replace("T", " ") + " UTC" if text else "not known"


def clock(now: datetime) -> str:
    """Return the time of day."""
    return f"{now:%H:%M:%S}"
