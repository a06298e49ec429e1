"""checkov itself, on a copy with a new finding and a file it cannot parse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.checks.policy import check_policy, find_checkov

ROOT = Path(__file__).parents[2]
COMMAND = find_checkov(ROOT)


@pytest.mark.skipif(COMMAND is None, reason="checkov is not installed; make check installs it")
def test_a_new_finding_and_an_unparsed_file_are_found(tmp_path: Path) -> None:
    modules = tmp_path / "infra" / "modules"
    modules.mkdir(parents=True)
    account = (ROOT / "infra/modules/host-storage.bicep").read_text()
    assert "allowSharedKeyAccess: false" in account
    (modules / "host-storage.bicep").write_text(
        account.replace("minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_0'")
    )
    shutil.copy(ROOT / "infra/modules/identity.bicep", modules)
    (modules / "modern.bicep").write_text("param names array\noutput upper array = map(names, name => toUpper(name))\n")

    findings = list(check_policy(tmp_path, COMMAND))

    assert any("CKV_AZURE_44" in finding.message and finding.path.name == "host-storage.bicep" for finding in findings)
    assert any("cannot parse" in finding.message for finding in findings)
    assert len(findings) == 2, findings
