"""Verification of the whole archive. It takes long, so its progress can be stored in a file and resumed from there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cli.api import segment
from cli.errors import UsageError
from cli.text import one_line, say

if TYPE_CHECKING:
    from pathlib import Path

    from cli.api import Api
    from cli.progress import Progress

PATIENCE = 240
"""Seconds that one answer may take: the platform cuts a request after 230."""

_VERSION = 1


@dataclass(slots=True)
class Audit:
    """The progress of a verification of the whole archive.

    Attributes
    ----------
    url, since
        What is verified.
    cursor
        Of the page of the archive's list that is at work; None for the first.
    done
        Prefixes on that page that are verified.
    recordings
        How many are verified.
    differing
        Those that are not as their manifests say: recording, prefix, differences.
    """

    url: str
    since: str
    cursor: str | None = None
    done: list[str] = field(default_factory=list)
    recordings: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def resumed(cls, file: Path | None, url: str, since: str) -> Self:
        """Return the progress that a file stores, or new progress if there is no file.

        Raises
        ------
        UsageError
            It cannot be read, or is the file of another verification.
        """
        if file is None or not file.exists():
            return cls(url, since)
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            version = kept.pop("version")
            audit = cls(**kept)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"--resume-file: {file} is not one that this command wrote") from error
        if version != _VERSION or (audit.url, audit.since) != (url, since):
            raise UsageError(
                f"--resume-file: {file} is of {audit.url} since {audit.since}: give another file, or remove it"
            )
        return audit

    def keep(self, file: Path | None) -> None:
        """Write the progress; after a crash the file has the old content or the new.

        Raises
        ------
        UsageError
            It cannot be written.
        """
        if file is None:
            return
        draft = file.with_name(f"{file.name}.new")
        try:
            draft.write_text(json.dumps({"version": _VERSION, **asdict(self)}, indent=2), encoding="utf-8")
            draft.replace(file)
        except OSError as error:
            raise UsageError(f"--resume-file: {file} cannot be written: {error.strerror}") from error

    def forget(self, file: Path | None) -> None:
        """Remove the file: all is verified."""
        if file is not None:
            file.unlink(missing_ok=True)

    def progress(self) -> str:
        """Return the progress as a sentence."""
        count = f"{self.recordings} recording{'' if self.recordings == 1 else 's'}"
        return f"{count} verified since {self.since}, {len(self.differing)} differ"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        differing = sorted(self.differing, key=lambda found: str(found["prefix"]))
        return {"since": self.since, "recordings": self.recordings, "differing": differing}


async def verify(api: Api, recording: str, progress: Progress) -> dict[str, Any]:
    """Verify a recording, in as many requests as it takes; returns the reports as one."""
    path, chunk = f"recordings/{segment(recording)}/verify", None
    whole: dict[str, Any] | None = None
    while True:
        report = (await api.ask_again("POST", path, query={"chunk": chunk})).body
        if whole is None:
            whole = report
        else:
            whole["chunks"] += report["chunks"]
            whole |= {"verifiedAt": report["verifiedAt"]}
        if report["next"] is None:
            found = differences(whole)
            return whole | {"next": None, "verified": not found and report["verified"]}
        chunk = str(report["next"])
        progress.page(f"{one_line(recording)}: verified up to chunk {chunk}")


def differences(report: dict[str, Any]) -> list[str]:
    """Return everything that differs, on a line each."""
    of_chunks = [
        f"chunk {chunk['index']}: {one_line(difference)}"
        for chunk in report["chunks"]
        for difference in chunk["differences"]
    ]
    return [one_line(difference) for difference in report["differences"]] + of_chunks


async def verify_all(
    api: Api, audit: Audit, file: Path | None, progress: Progress, *, at_once: int, quiet: bool
) -> None:
    """Verify all recordings of the archive's list, from where `audit` is.

    Parameters
    ----------
    at_once
        How many recordings the app reads back at a time, at most.
    quiet
        Whether differences are only stored, not printed.

    Raises
    ------
    CommandError
        One could not be verified; the progress of the others is stored.
    """
    audit.keep(file)
    while True:
        page = (await api.ask_again("GET", "archive", query={"since": audit.since, "cursor": audit.cursor})).body
        waiting = [entry for entry in page["recordings"] if entry["prefix"] not in audit.done]
        await _verify_entries(api, waiting, audit, file, progress, at_once=at_once, quiet=quiet)
        if page["recordings"]:
            progress.page(f"{audit.progress()}; at {one_line(page['recordings'][-1]['prefix'][:10])}")
        audit.cursor, audit.done = page["cursor"], []
        if audit.cursor is None:
            return
        audit.keep(file)


async def _verify_entries(
    api: Api,
    entries: list[dict[str, Any]],
    audit: Audit,
    file: Path | None,
    progress: Progress,
    *,
    at_once: int,
    quiet: bool,
) -> None:
    waiting = iter(entries)

    async def work() -> None:
        for entry in waiting:
            await _verify_entry(api, entry, audit, progress, quiet=quiet)
            audit.keep(file)
            progress.step(f"{audit.progress()}; at {one_line(entry['prefix'])}")

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(work())
    except ExceptionGroup as errors:  # the first ended the others
        raise errors.exceptions[0] from None


async def _verify_entry(api: Api, entry: dict[str, Any], audit: Audit, progress: Progress, *, quiet: bool) -> None:
    report = await verify(api, entry["recordingId"] or entry["name"], progress)
    found = differences(report)
    if report["prefix"] != entry["prefix"]:
        found.append(f"the app finds this recording at {one_line(report['prefix'])}, so these files are unverified")
    audit.recordings += 1
    audit.done.append(entry["prefix"])
    if found:
        audit.differing.append({"recordingId": entry["recordingId"], "prefix": entry["prefix"], "differences": found})
    if not quiet:
        for line in found:
            say(f"{one_line(entry['prefix'])}: {line}")
