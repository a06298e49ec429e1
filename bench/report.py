"""The results: a table for people, rows for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from bench import peers
from local.azurite import installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.cases import Case
    from bench.runs import Run

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one case: the medians of its runs."""

    case: str
    contender: str
    mb_s: float
    wall_s: float
    cpu_s_per_gib: float
    peak_mib_over_idle: float
    storage_requests: int
    runs: int

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


def write(
    folder: Path,
    *,
    cases: Sequence[Case],
    rows: Sequence[Row],
    missing: Mapping[tuple[str, str], str],
    resumes: Sequence[tuple[int, int, int]],
    command: str,
) -> None:
    """Write results.md and results.json.

    Parameters
    ----------
    folder
        Where to.
    cases, rows
        What was measured.
    missing
        Why a contender has no row in a case.
    resumes
        Percent copied at the kill, bytes staged by then, and bytes of them that were read again.
    command
        What was run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = [
        *[asdict(row) for row in rows],
        *[
            {"case": f"resume-{percent}", "contender": "ours", "staged_bytes": staged, "read_again_bytes": again}
            for percent, staged, again in resumes
        ],
        *[{"case": case, "contender": name, "missing": why} for (case, name), why in missing.items()],
    ]
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    parts = ["# Results", "", f"Made by `{command}`.", "", *_surroundings(), ""]
    for case in cases:
        parts += _table(case, [row for row in rows if row.case == case.name], missing)
    if resumes:
        parts += ["## Going on after SIGKILL", "", "| killed at | staged by then | of it read again |", "|---|---|---|"]
        parts += [f"| {percent} % | {staged / MIB:.0f} MiB | {again} bytes |" for percent, staged, again in resumes]
        parts += [""]
    (folder / "results.md").write_text("\n".join(parts), "utf-8")


def _table(case: Case, rows: Sequence[Row], missing: Mapping[tuple[str, str], str]) -> list[str]:
    limit = next((row.mb_s for row in rows if row.contender == "write-limit"), None)
    lines = [
        f"## {case.name}: {case.size // MIB} MiB, {case.title}",
        "",
        "| contender | MB/s | of the write limit | wall, s | CPU, s/GiB | peak over idle, MiB | requests | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = f"{row.mb_s / limit:.2f}" if limit and row.contender not in {"read-limit", "curl"} else ""
        lines.append(
            f"| {row.contender} | {row.mb_s:.0f} | {ratio} | {row.wall_s:.2f} | {row.cpu_s_per_gib:.2f} "
            f"| {row.peak_mib_over_idle:.0f} | {row.storage_requests} | {row.runs} |"
        )
    lines += [f"| {name} | {why} | | | | | | 0 |" for (of, name), why in missing.items() if of == case.name]
    return [*lines, ""]


def _surroundings() -> list[str]:
    packages = ("aiohttp", "azure-storage-blob", "azure-communication-callautomation")
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
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
