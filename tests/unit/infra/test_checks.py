"""The offline checks: no finding in the project, and one in a copy in which one thing is broken."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from infra.checks.bicep import BicepFile
from infra.checks.code import Code
from infra.checks.policy import check_policy, read_report
from infra.checks.run import check_offline

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.checks.findings import Finding

ROOT = Path(__file__).parents[3]
PARTS = ("infra", "shared", "functions", "docs/deploy.md", "local.settings.json.example", ".python-version")

type Break = Callable[[str, str, str], list[Finding]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in PARTS:
        source, target = ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "checks"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def broken(copy: Path) -> Break:
    """Replace a text of a file, which must be there, and return the findings."""

    def break_it(file: str, old: str, new: str) -> list[Finding]:
        path = copy / file
        content = path.read_text()
        assert old in content, f"{old!r} is not in {file}: the test breaks nothing"
        path.write_text(content.replace(old, new))
        return check_offline(copy)

    return break_it


def test_the_project_has_no_findings() -> None:
    assert [finding.show(ROOT) for finding in check_offline(ROOT)] == []


MAIN, EVENTS, APP = "infra/main.bicep", "infra/events.bicep", "infra/modules/app.bicep"
PARAMETERS = "infra/main.bicepparam"
HOST, ARCHIVE = "infra/modules/host-storage.bicep", "infra/modules/archive-storage.bicep"
ROLES, ALERTS, WORKBOOK = "infra/modules/roles.bicep", "infra/modules/alerts.bicep", "infra/workbook.json"


class Case(NamedTuple):
    """What is replaced by what in which file, and which check finds what."""

    file: str
    old: str
    new: str
    check: str
    message: str


CASES = [
    # syntax
    Case(APP, "resource plan ", "resource plan plan ", "syntax", "cannot be parsed"),
    Case(MAIN, "param location string", "param location string =", "syntax", ""),
    Case("infra/main.bicepparam", "'AZURE_LOCATION')", "'AZURE_LOCATION'", "syntax", ""),
    # references
    Case(APP, "serverFarmId: plan.id", "serverFarmId: plann.id", "symbol", "plann is not declared"),
    Case(
        "infra/modules/topic.bicep", "source: communicationId", "source: ''", "symbol", "communicationId is never used"
    ),
    Case(MAIN, "'modules/app.bicep'", "'modules/application.bicep'", "module", "application.bicep does not exist"),
    Case(MAIN, "    planName: 'plan-${token}'\n", "", "module", "needs parameter planName"),
    Case(MAIN, "    planName:", "    plan:", "module", "has no parameter plan"),
    Case(MAIN, "app.outputs.hostName", "app.outputs.host", "module", "has no output host"),
    Case("infra/main.bicepparam", "param immutability", "param imutability", "module", "has no parameter imutability"),
    Case("infra/main.bicepparam", "param location", "//", "module", "needs parameter location"),
    Case("infra/modules/workbook.bicep", "../workbook.json", "../workbok.json", "module", "does not exist"),
    # names
    Case(MAIN, "operationsContainerName = 'operations'", "operationsContainerName = 'operation'", "name", "OPERATIONS"),
    Case(MAIN, "'archive_recording_files'", "'archive_recordings'", "name", "intakeFunctionName"),
    Case(MAIN, "archiveContainerName = 'recordings'", "archiveContainerName = 'calls'", "name", "archiveContainerName"),
    Case(MAIN, "'dead-letters'", "'deadletters'", "name", "deadLetterContainerName is 'dead-letters'"),
    Case(MAIN, "'recording_file_status_updated'", "'recording_files'", "name", "eventFunctionName"),
    Case(EVENTS, "string = 'recording_file_status_updated'", "string = 'archive_chunk'", "name", "functionName"),
    Case(EVENTS, "RecordingFileStatusUpdated'", "RecordingFileUpdated'", "name", "no code takes"),
    Case(EVENTS, "string = 'call_started_or_ended'", "string = 'call_changed'", "name", "callFunctionName"),
    Case(MAIN, "'call_started_or_ended'", "'call_changed'", "name", "callFunctionName"),
    Case(EVENTS, "Communication.CallStarted'", "Communication.CallBegun'", "name", "no code takes"),
    Case(ALERTS, "'chunk.given_up'", "'chunk.givenup'", "name", "no code logs chunk.givenup"),
    Case(WORKBOOK, "'chunk.postponed'", "'chunk.delayed'", "name", "no code logs chunk.delayed"),
    Case(WORKBOOK, "/recording-chunks-poison/", "/chunks-poison/", "name", "chunks is no queue"),
    Case(ROLES, "b7e6dc6d-f1e8", "b7e6dc6d-f1e9", "name", "is not the id of a built-in role 'storageBlobDataOwner'"),
    Case(
        ROLES, "storageBlobDataReader: '2a2b9908", "storageBlobDataWriter: '2a2b9908", "name", "storageBlobDataWriter"
    ),
    Case("functions/recording_files.py", "def recording_file_status_updated", "def files_ready", "name", "files_ready"),
    Case("functions/recording_events.py", "def archive_recording_files", "def take_in", "name", "intakeFunctionName"),
    # settings
    Case(
        APP,
        "    COPY_CONCURRENCY:",
        "    COPY_CONCURENCY:",
        "setting",
        "COPY_CONCURRENCY of shared/config/settings.py is missing",
    ),
    Case(APP, "    COPY_CONCURRENCY:", "    COPY_CONCURENCY:", "setting", "reads no COPY_CONCURENCY"),
    Case(
        APP, "ARCHIVE_STORAGE__queueServiceUri", "ARCHIVE_STORAGE__queueUri", "setting", "__queueServiceUri is missing"
    ),
    Case(
        APP,
        "    AzureWebJobsStorage__queueServiceUri: hostStorage.queue\n",
        "",
        "setting",
        "AzureWebJobsStorage__queueServiceUri is missing; bindings connect with AzureWebJobsStorage",
    ),
    Case("local.settings.json.example", "COPY_BLOCK_MIB", "COPY_BLOCK_MB", "setting", "COPY_BLOCK_MIB"),
    Case(
        "docs/deploy.md", "| `RECORDING_TRUSTED_ORIGINS`", "| `TRUSTED_ORIGINS`", "setting", "RECORDING_TRUSTED_ORIGINS"
    ),
    Case("shared/config/settings.py", '"COPY_CONCURRENCY"', '"COPY_CONNECTIONS"', "setting", "COPY_CONNECTIONS"),
    Case(MAIN, "param copyBlockMib int = 8", "param copyBlockMib int = 4", "setting", "copyBlockMib defaults to 4"),
    Case("infra/main.bicepparam", "'EVENT_TTL_MINUTES', '120'", "'EVENT_TTL_MINUTES', '1440'", "setting", "'1440'"),
    # queues and containers, their accounts, and the roles on them
    Case(MAIN, "'recording-events'", "'recording-event'", "storage", "recording-events is not made"),
    Case(MAIN, "'recording-events'", "'recording-event'", "storage", "recording-event is neither a queue of the code"),
    Case(MAIN, "'recording-chunks'", "'recording-chunk'", "storage", "recording-chunks is not made"),
    Case(
        "shared/app.py", '"recording-chunks"', '"chunks"', "storage", "recording-chunks is neither a queue of the code"
    ),
    Case(
        HOST, "'${eventQueueName}-poison'", "'${eventQueueName}-dead'", "storage", "recording-events-poison is not made"
    ),
    Case(
        MAIN,
        "queue: hostStorage.outputs.queueEndpoint",
        "queue: archiveStorage.outputs.queueEndpoint",
        "storage",
        "recording-events is not made in the account that AzureWebJobsStorage__queueServiceUri leads to, but",
    ),
    Case(
        MAIN,
        "queue: hostStorage.outputs.queueEndpoint",
        "queue: hostStorage.outputs.blobEndpoint",
        "storage",
        "is hostStorage.outputs.blobEndpoint, which is not the queue address of an account",
    ),
    Case(
        "shared/app.py",
        'HOST_CONNECTION = "AzureWebJobsStorage"',
        'HOST_CONNECTION = "ARCHIVE_STORAGE"',
        "storage",
        "recording-events is not made in the account that ARCHIVE_STORAGE__queueServiceUri leads to, but in another",
    ),
    Case(
        "shared/app.py",
        'HOST_CONNECTION = "AzureWebJobsStorage"',
        'HOST_CONNECTION = "ARCHIVE_STORAGE"',
        "storage",
        "in the account of the dead letters",
    ),
    Case(
        ROLES,
        "  scope: events\n",
        "  scope: host\n",
        "storage",
        "no storageQueueDataContributor on recording-events in",
    ),
    Case(ROLES, "  scope: eventsPoison\n", "  scope: events\n", "storage", "on recording-events-poison in the account"),
    Case(ROLES, "  parent: hostQueues\n", "  parent: archiveQueues\n", "storage", "on recording-events in the account"),
    Case(
        ROLES,
        "guid(events.id, appPrincipalId, role.storageQueueDataContributor)\n  scope: events\n  properties: {\n"
        "    principalId: appPrincipalId",
        "guid(events.id, appPrincipalId, role.storageQueueDataContributor)\n  scope: events\n  properties: {\n"
        "    principalId: eventPrincipalId",
        "storage",
        "no storageQueueDataContributor on recording-events in",
    ),
    Case(
        ROLES,
        "guid(events.id, appPrincipalId, role.storageQueueDataContributor)\n  scope: events\n  properties: {\n"
        "    principalId: appPrincipalId\n    principalType: 'ServicePrincipal'\n"
        "    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueue",
        "guid(events.id, appPrincipalId, role.storageQueueDataContributor)\n  scope: events\n  properties: {\n"
        "    principalId: appPrincipalId\n    principalType: 'ServicePrincipal'\n"
        "    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageTable",
        "storage",
        "no storageQueueDataContributor on recording-events in",
    ),
    Case(
        ROLES, "  scope: operations\n", "  scope: recordings\n", "storage", "storageBlobDataContributor on operations"
    ),
    Case(
        ARCHIVE,
        "  name: operationsContainerName\n",
        "  name: 'notes'\n",
        "storage",
        "operations is not made in the account",
    ),
    # the platform
    Case(
        APP,
        "    AZURE_CLIENT_ID:",
        "    WEBSITE_RUN_FROM_PACKAGE: '1'\n    AZURE_CLIENT_ID:",
        "platform",
        "WEBSITE_RUN",
    ),
    Case(
        APP,
        "    AZURE_CLIENT_ID:",
        "    FUNCTIONS_WORKER_RUNTIME: 'python'\n    AZURE_CLIENT_ID:",
        "platform",
        "FUNCTIONS_W",
    ),
    Case(
        APP,
        "      minTlsVersion:",
        "      linuxFxVersion: 'Python|3.13'\n      minTlsVersion:",
        "platform",
        "linuxFxVersion",
    ),
    Case(APP, "version: '3.13'", "version: '3.12'", "platform", "the runtime is Python 3.12"),
    Case(APP, "CKV_AZURE_225:", "CKV_AZURE_225:\n  // ", "checkov", "CKV_AZURE_225 is skipped without a reason"),
    # the workbook
    Case(WORKBOOK, '"version": "Notebook/1.0",', '"version": "Notebook/1.0"', "workbook", "is not JSON"),
    Case(WORKBOOK, "{{topicId}}", "{{topic}}", "workbook", "{{topic}} is in one of"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.message or case.file}")
def test_a_broken_copy_is_found(broken: Break, case: Case) -> None:
    findings = broken(case.file, case.old, case.new)
    assert any(found.check == case.check and case.message in found.message for found in findings), findings


def test_an_int_for_a_parameter_with_listed_values_is_found(broken: Break) -> None:
    """Bicep's compiler refuses it (BCP033): int() is no literal, whatever it returns."""
    [finding] = broken(
        PARAMETERS, "instanceSizes[readEnvironmentVariable('APP_INSTANCE_MEMORY_MB', '2048')]", "int('2048')"
    )
    assert "BCP033" in finding.message


def test_a_finding_names_the_file_and_the_line(broken: Break, copy: Path) -> None:
    [finding] = broken(ROLES, "'2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'", "'2a2b9908-6ea1-4ae2-8e65-a410df84e7d2'")
    number = next(
        number for number, content in enumerate((copy / ROLES).read_text().splitlines(), 1) if "a410df84e7d2" in content
    )
    assert finding.show(copy).startswith(f"{ROLES}:{number}: name: ")


def test_an_empty_folder_is_a_finding(tmp_path: Path) -> None:
    assert [finding.message for finding in check_offline(tmp_path)] == ["there is no Bicep file"]


def test_the_code_is_read_without_being_run() -> None:
    code = Code.read(ROOT)
    assert code.functions["archive_chunk"] == "queue"
    assert code.functions["recording_file_status_updated"] == "event grid"
    assert code.functions["health"] == "http"
    assert {(found.function, found.queue, found.connection) for found in code.bindings} == {
        ("recording_file_status_updated", "recording-events", "AzureWebJobsStorage"),
        ("archive_recording_files", "recording-events", "AzureWebJobsStorage"),
        ("archive_chunk", "recording-chunks", "ARCHIVE_STORAGE"),
    }
    assert code.connections == {"ARCHIVE_STORAGE", "AzureWebJobsStorage"}
    assert code.defaults["RECORDING_RETENTION_HOURS"] == "24"


def report(**results: Any) -> dict[str, Any]:
    return {"results": {"failed_checks": [], **results}, "summary": {"parsing_errors": 0, "resource_count": 3}}


def test_a_file_that_checkov_cannot_parse_is_a_finding() -> None:
    unparsed = report() | {"summary": {"parsing_errors": 1, "resource_count": 3}}
    assert ["cannot parse" in finding.message for finding in read_report(ROOT, unparsed)] == [True]
    named = report(parsing_errors=["modules/app.bicep"])
    assert [finding.path for finding in read_report(ROOT, named)] == [ROOT / "modules/app.bicep"]


def test_a_run_of_checkov_over_nothing_is_a_finding() -> None:
    empty = report() | {"summary": {"parsing_errors": 0, "resource_count": 0}}
    assert [finding.message for finding in read_report(ROOT, empty)] == ["found no resource at all"]


def test_a_missing_checkov_is_a_finding_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHECKOV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    [finding] = check_policy(tmp_path)
    assert "pip install -r infra/checks/checkov.txt" in finding.message


def test_every_alert_has_its_section_in_the_operations_manual() -> None:
    alerts = (ROOT / ALERTS).read_text()
    manual = (ROOT / "docs/operations.md").read_text()
    names = set(re.findall(r"^    name: '([a-z-]+)'$", alerts, re.MULTILINE)) | {"archive-unavailable"}
    sections = set(
        re.findall(r"^### ([a-z-]+)$", manual.partition("## Alerts")[2].partition("## Procedures")[0], re.MULTILINE)
    )
    assert "'${prefix}-archive-unavailable'" in alerts
    assert len(names) == 10
    assert names == sections


def test_every_log_event_of_the_code_is_in_the_operations_manual() -> None:
    manual = (ROOT / "docs/operations.md").read_text()
    assert {event for event in Code.read(ROOT).log_events if f"`{event}`" not in manual} == set()


def test_every_log_event_of_the_operations_manual_is_in_the_code() -> None:
    manual = (ROOT / "docs/operations.md").read_text().partition("**Log events.**")[2].partition("\n**")[0]
    documented = {
        event for row in re.findall(r"^\|([^|]*`[^|]*)\|", manual, re.MULTILINE) for event in row.split("`")[1::2]
    }
    source = "".join(path.read_text() for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py"))
    assert len(documented) > 20
    assert {event for event in documented if f'"{event}"' not in source} == set()


def test_every_parameter_is_in_the_deployment_manual() -> None:
    table = (ROOT / "docs/deploy.md").read_text().partition("## Parameters")[2].partition("\n## ")[0]
    parameters = BicepFile.parse(ROOT / MAIN).of("param")
    assert {name for name in parameters if f"`{name}`" not in table} == set()
    variables = set(re.findall(r"readEnvironmentVariable\('(\w+)'", (ROOT / "infra/main.bicepparam").read_text()))
    assert {name for name in variables if f"`{name}`" not in table} == set()
