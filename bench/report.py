"""The results: a table for people, rows for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import peers
from local.azurite import installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.app_cases import Outcome
    from bench.cases import Case
    from bench.runs import Run

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one case: the medians of its runs. What a case does not measure is None.

    Attributes
    ----------
    more
        Figures that only this case has.
    """

    case: str
    contender: str
    mb_s: float | None
    wall_s: float
    cpu_s_per_gib: float | None
    peak_mib_over_idle: float | None
    storage_requests: int | None
    runs: int
    more: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Case, contender: str, runs: Sequence[Run]) -> Row:
        """Summarise the runs of a contender."""
        wall = statistics.median(run.wall_s for run in runs)
        return cls(
            case=case.name,
            contender=contender,
            mb_s=round(case.size / 1e6 / wall, 1),
            wall_s=round(wall, 3),
            cpu_s_per_gib=round(statistics.median(run.cpu_s for run in runs) * GIB / case.size, 2),
            # The worst, not the median: a peak is a promise.
            peak_mib_over_idle=round(max(run.peak_mib for run in runs), 1),
            storage_requests=int(statistics.median(run.requests for run in runs)),
            runs=len(runs),
        )

    @classmethod
    def of_app(cls, case: str, rounds: Sequence[Outcome]) -> Row:
        """Summarise the rounds of a case of the whole app: the figures of the median round, and the highest peak."""
        middle = sorted(rounds, key=lambda one: one.wall_s)[(len(rounds) - 1) // 2]
        peaks = [one.peak_mib for one in rounds if one.peak_mib is not None]
        size, cpu = middle.size, middle.cpu_s
        return cls(
            case=case,
            contender=middle.contender,
            mb_s=round(size / 1e6 / middle.wall_s, 1) if size else None,
            wall_s=round(middle.wall_s, 3),
            cpu_s_per_gib=round(cpu * GIB / size, 2) if size and cpu is not None else None,
            peak_mib_over_idle=round(max(peaks), 1) if peaks else None,
            storage_requests=middle.requests,
            runs=len(rounds),
            more=middle.more,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row for results.json."""
        row = asdict(self)
        more = row.pop("more")
        return {**row, **more}


@dataclass(slots=True)
class Results:
    """What was measured so far.

    Attributes
    ----------
    command
        What was run.
    cases
        Each case's name, what it is, its rows, and why a contender has none.
    resumes
        Percent copied at the kill, bytes staged by then, and bytes of them that were read again.
    """

    command: str
    cases: list[tuple[str, str, list[Row], dict[str, str]]] = field(default_factory=list)
    resumes: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, case: str, title: str, rows: list[Row], missing: dict[str, str]) -> None:
        """Add a case."""
        self.cases.append((case, title, rows, missing))


def write(folder: Path, results: Results) -> None:
    """Write results.md and results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [row.as_json() for _, _, rows, _ in results.cases for row in rows]
    rows += [
        {"case": f"resume-{percent}", "contender": "ours", "staged_bytes": staged, "read_again_bytes": again}
        for percent, staged, again in results.resumes
    ]
    rows += [
        {"case": case, "contender": name, "missing": why}
        for case, _, _, missing in results.cases
        for name, why in missing.items()
    ]
    (folder / "results.json").write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    parts = ["# Results", "", f"Made by `{results.command}`.", "", *_surroundings(), ""]
    for case, title, measured, missing in results.cases:
        parts += _table(case, title, measured, missing)
    if results.resumes:
        parts += ["## Going on after SIGKILL", "", "| killed at | staged by then | of it read again |", "|---|---|---|"]
        parts += [
            f"| {percent} % | {staged / MIB:.0f} MiB | {again} bytes |" for percent, staged, again in results.resumes
        ]
        parts += [""]
    (folder / "results.md").write_text("\n".join(parts), "utf-8")


def _table(case: str, title: str, rows: Sequence[Row], missing: Mapping[str, str]) -> list[str]:
    lines = [f"## {case}: {title}", ""]
    if rows:
        lines += _own_figures(rows) if rows[0].more else _copies(rows)
    for sentence in (*[f"{name} has no row: {why}." for name, why in missing.items()], *_ratios(rows)):
        lines += [sentence, ""]
    return lines


def _copies(rows: Sequence[Row]) -> list[str]:
    limit = _speed(rows, "write-limit")
    lines = [
        "| contender | MB/s | of the write limit | wall, s | CPU, s/GiB | peak over idle, MiB | requests | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row.mb_s / limit if limit and row.mb_s and row.contender not in {"read-limit", "curl"} else None
        lines.append(
            f"| {row.contender} | {_number(row.mb_s, 0)} | {_number(ratio, 2)} | {row.wall_s:.2f} "
            f"| {_number(row.cpu_s_per_gib, 2)} | {_number(row.peak_mib_over_idle, 0)} | {row.storage_requests} "
            f"| {row.runs} |"
        )
    return [*lines, ""]


def _own_figures(rows: Sequence[Row]) -> list[str]:
    columns: dict[str, list[str]] = {"contender": [row.contender for row in rows]}
    for name, value in rows[0].more.items():
        if not isinstance(value, dict):
            columns[_TITLES.get(name, name)] = [f"{row.more[name]:g}" for row in rows]
    columns["MB/s"] = [_number(row.mb_s, 0) for row in rows]
    columns["wall, s"] = [f"{row.wall_s:.2f}" for row in rows]
    columns["CPU, s/GiB"] = [_number(row.cpu_s_per_gib, 2) for row in rows]
    columns["peak over idle, MiB"] = [_number(row.peak_mib_over_idle, 0) for row in rows]
    columns["runs"] = [str(row.runs) for row in rows]
    shown = {title: values for title, values in columns.items() if any(values)}
    lines = [f"| {' | '.join(shown)} |", f"|{'---|' * len(shown)}"]
    lines += [f"| {' | '.join(values)} |" for values in zip(*shown.values(), strict=True)]
    for row in rows:
        for name, value in row.more.items():
            if isinstance(value, dict):
                lines += ["", f"| {_TITLES.get(name, name)} | |", "|---|---|"]
                lines += [f"| {kind} | {number:g} |" for kind, number in value.items()]
    return [*lines, ""]


_TITLES = {
    "recordings_s": "recordings/s",
    "requests_per_recording": "storage requests a recording",
    "requests_by_kind": "storage requests a recording, besides the queue trigger's own",
    "p50_s": "p50, s",
    "p99_s": "p99, s",
    "slowest_s": "slowest, s",
    "times_one_host": "times one host",
    "times_empty_app": "times the empty app",
    "cpu_s": "CPU, s",
}


def _ratios(rows: Sequence[Row]) -> list[str]:
    """Say how the copy stands to each of the others."""
    ours = _speed(rows, "ours")
    others = [row for row in rows if row.mb_s and row.contender not in {"ours", "read-limit", "curl"}]
    if not ours or not others:
        return []
    return [f"Ours is {', '.join(f'{ours / (row.mb_s or 1):.2f} times {row.contender}' for row in others)}."]


def _speed(rows: Sequence[Row], contender: str) -> float | None:
    return next((row.mb_s for row in rows if row.contender == contender), None)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _surroundings() -> list[str]:
    packages = (
        "aiohttp",
        "azure-storage-blob",
        "azure-communication-callautomation",
        "azure-functions",
        "azure-functions-runtime",
    )
    azurite = json.loads((Path(installed()[1]).parents[2] / "package.json").read_text("utf-8"))["version"]
    node = subprocess.run([installed()[0], "--version"], capture_output=True, text=True, check=True).stdout.strip()
    versions = [f"Python {platform.python_version()}", f"Node.js {node}", f"Azurite {azurite}"]
    versions += [f"{package} {metadata.version(package)}" for package in packages]
    versions += [peers.version(name) or f"{name} is not installed" for name in ("rclone", "azcopy", "curl")]
    return [
        f"Machine: {_processor()}, {os.process_cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} "
        f"{platform.release()}, shared by source, storage and contender.",
        "",
        f"Versions: {', '.join(versions)}.",
        "",
        "Every run has a process and an empty Azurite of its own; contenders take turns. Figures are medians, the peak "
        "is the highest; a peer's is that of its whole process. `read-limit` and `curl` write nothing to storage, "
        "`azcopy` uploads what curl has downloaded, and requests are those that storage answered.",
        "",
        "In cases of the whole app CPU time and memory are those of its hosts, which have archived some recordings "
        "before; requests are counted at a proxy for some more recordings after the measurement, and figures are those "
        "of the median round.",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
