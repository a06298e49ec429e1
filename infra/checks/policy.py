"""Security rules for Azure resources, by checkov. It pins much, so it lives in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENTS = "infra/checks/checkov.txt"
ENVIRONMENT = ".venv/checkov"
_TIMEOUT = 300


def find_checkov(root: Path) -> Path | None:
    """Return the command: `$CHECKOV`, the one in .venv/checkov, or the one on PATH; None where there is none."""
    candidates = [os.environ.get("CHECKOV"), str(root / ENVIRONMENT / "bin/checkov"), shutil.which("checkov")]
    return next((Path(found) for found in candidates if found and Path(found).exists()), None)


def check_policy(root: Path, command: Path | None = None) -> Iterator[Finding]:
    """Run checkov on infra/ of `root`; a file that it cannot parse is a finding, not a file without findings."""
    infra = root / "infra"
    command = command or find_checkov(root)
    if command is None:
        fix = f"python -m venv {ENVIRONMENT} && {ENVIRONMENT}/bin/pip install -r {REQUIREMENTS}"
        yield Finding(root / REQUIREMENTS, 0, "checkov", f"checkov is not installed: {fix}")
        return
    arguments = ["--directory", str(infra), "--framework", "bicep", "--skip-download", "--compact", "--output", "json"]
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            [command, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        yield Finding(infra, 0, "checkov", f"did not finish within {_TIMEOUT} s")
        return
    except ValueError:
        yield Finding(infra, 0, "checkov", f"its output cannot be read: {(done.stderr or done.stdout)[-300:]!r}")
        return
    yield from read_report(infra, report)


def read_report(infra: Path, report: dict[str, Any]) -> Iterator[Finding]:
    """Return the findings of checkov's JSON report on the folder `infra`."""
    results, summary = report.get("results", {}), report.get("summary", {})
    for failed in results.get("failed_checks", []):
        path, rule = infra / str(failed["file_path"]).lstrip("/"), f"{failed['check_id']} {failed['check_name']}"
        message = f"{rule} ({failed['resource']}); fix it, or skip it in place with a reason"
        yield Finding(path, failed["file_line_range"][0], "checkov", message)
    unparsed = results.get("parsing_errors") or [""] * int(summary.get("parsing_errors", 0))
    for name in unparsed:
        yield Finding(
            infra / str(name), 0, "checkov", "checkov cannot parse it and so checks nothing in it; simplify it"
        )
    if not summary.get("resource_count"):
        yield Finding(infra, 0, "checkov", "found no resource at all")
