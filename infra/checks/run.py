"""All checks but checkov, on a project's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile
from infra.checks.code import Code
from infra.checks.findings import Finding
from infra.checks.names import check_names, check_settings
from infra.checks.platform import check_platform
from infra.checks.storage import check_storage
from infra.checks.structure import check_structure

if TYPE_CHECKING:
    from pathlib import Path


def check_offline(root: Path) -> list[Finding]:
    """Return every finding in infra/ of `root`, sorted; an empty folder is a finding too."""
    infra = root / "infra"
    paths = sorted({path.resolve() for kind in ("*.bicep", "*.bicepparam") for path in infra.rglob(kind)})
    if not paths:
        return [Finding(infra, 0, "syntax", "there is no Bicep file")]
    files = {path: BicepFile.parse(path) for path in paths}
    code = Code.read(root)
    return sorted(
        {
            *check_structure(files),
            *check_names(root, files, code),
            *check_settings(root, files, code),
            *check_storage(root, files, code),
            *check_platform(root, files),
        }
    )
