"""A recording as text: some lines, or one line with its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.text import hours, length, mib, moment, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def lines(body: Mapping[str, Any]) -> list[str]:
    """Return a recording as lines.

    Parameters
    ----------
    body
        The API's `RecordingBody`.
    """
    return [
        f"{one_line(body['state']):<10} {one_line(body['recordingId'])}",
        *(f"  {name:<9} {value}" for name, value in _facts(body)),
        *(f"    {line}" for line in map(_chunk, body["chunks"])),
        *(f"  note      {one_line(note)}" for note in body["notes"]),
    ]


def summary(body: Mapping[str, Any]) -> str:
    """Return a recording's state and its chunks' progress, on one line."""
    chunks = body["chunks"]
    if not chunks:
        return one_line(body["state"])
    archived = sum(chunk["state"] == "archived" for chunk in chunks)
    under_way = [_short(chunk) for chunk in chunks if chunk["state"] not in {"archived", "waiting"}]
    left = "" if body["state"] == "archived" else f"; source: {hours(body['hoursLeft'])} left"
    return f"{one_line(body['state'])}: {'; '.join([f'{archived} of {len(chunks)} chunks archived', *under_way])}{left}"


def _facts(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    by = f" by {one_line(body['startedBy'])}" if body["startedBy"] else ""
    yield "started", f"{moment(body['startedAt'])}{by}"
    if body["endedAt"]:
        yield "ended", moment(body["endedAt"])
    if body["durationMs"] is not None:
        yield "length", length(body["durationMs"])
    for pause in body["pauses"]:
        yield "paused", f"{moment(pause['from'])} to {moment(pause['to']) if pause['to'] else 'now'}"
    if body["serviceState"]:
        yield "service", f"says {one_line(body['serviceState'])}"
    if body["prefix"]:
        yield "archive", one_line(body["prefix"])
    if body["expiresAt"] and body["state"] != "archived":
        yield "source", f"deleted {moment(body['expiresAt'])}; {hours(body['hoursLeft'])} left"
    chunks = body["chunks"]
    if chunks:
        yield "chunks", f"{sum(chunk['state'] == 'archived' for chunk in chunks)} of {len(chunks)} archived"


def _chunk(chunk: Mapping[str, Any]) -> str:
    about = [_progress(chunk)]
    if chunk["tries"] and chunk["state"] != "archived":
        about.append(f"{chunk['tries']} failed tries" if chunk["tries"] > 1 else "1 failed try")
    if chunk["nextTryAt"]:
        about.append(f"the next {moment(chunk['nextTryAt'])}")
    if chunk["lastError"] and chunk["state"] != "archived":
        about.append(one_line(chunk["lastError"]))
    if chunk["archivedAt"]:
        about.append(moment(chunk["archivedAt"]))
    return f"{chunk['index']:>4}  {one_line(chunk['state']):<9} {', '.join(filter(None, about))}".rstrip()


def _short(chunk: Mapping[str, Any]) -> str:
    return f"chunk {chunk['index']} {one_line(chunk['state'])} {_progress(chunk)}".rstrip()


def _progress(chunk: Mapping[str, Any]) -> str:
    done, total = chunk["bytesDone"], chunk["bytesTotal"]
    if total and done is not None:
        return mib(total) if done == total else f"{100 * done // total} % of {mib(total)}"
    return mib(done) if done else ""
