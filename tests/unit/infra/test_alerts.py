"""The alerts' queries read the lines that the app writes. What they do with them only Azure can try."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.checks.bicep import BicepFile, at, string, text
from shared.core import log
from shared.incidents.incidents import Incident, Incidents
from shared.incidents.kinds import IncidentKind
from tests.unit.recording_parts import NOW, Parts

if TYPE_CHECKING:
    from collections.abc import Mapping

INFRA = Path(__file__).parents[3] / "infra"
OPERATIONS = INFRA.parent / "docs/operations.md"
EVENTS = INFRA.parent / "docs/events.md"
ALERTS = BicepFile.parse(INFRA / "modules/alerts.bicep").of("var")
EXTRACT = re.compile(
    r"(\w+) = (?:todouble\()?coalesce\(tostring\(Properties\.(\w+)\), extract\(@'([^']+)', 1, Message\)"
)


class NoEvidence:
    """An archive that keeps nothing."""

    async def raise_attention(self, key: str, evidence: Mapping[str, object]) -> None:
        """Take it."""


def variable(name: str) -> str:
    node = ALERTS[name].value
    assert node is not None
    return text(node)


def queries() -> dict[str, str]:
    alerts = ALERTS["logAlerts"].value
    assert alerts is not None
    found = {}
    for alert in alerts.named_children:
        name, query = at(alert, "name"), at(alert, "query")
        if name is not None and query is not None:
            found[string(name) or ""] = text(query)
    return found


async def raised(caplog: pytest.LogCaptureFixture, finding: Incident) -> logging.LogRecord:
    parts = Parts()
    attention = Incidents(NoEvidence(), parts.claims, now=lambda: NOW)  # type: ignore[arg-type] # stands in for it
    with caplog.at_level(logging.INFO, "archiver"), log.fields(eventId="e", documentId="bound"):
        await attention.report(finding)
    return next(record for record in caplog.records if record.getMessage().startswith("attention.raised"))


@pytest.mark.parametrize("source", ["alerts", "workbook"])
async def test_an_incident_is_read_from_the_line_that_reports_it(source: str, caplog: pytest.LogCaptureFixture) -> None:
    workbook = {item["name"]: item for item in json.loads((INFRA / "workbook.json").read_text())["items"]}
    query = variable("findings") if source == "alerts" else workbook["attention"]["content"]["query"]
    until = NOW.replace(hour=12, minute=30)
    finding = Incident(
        kind=IncidentKind.DEAD_LETTER,
        identifier="a/b",
        reason='it says "no"',
        error="Expired",
        document_id="d",
        expires_at=until,
    )
    record = await raised(caplog, finding)
    wanted = {
        "Finding": finding.key,
        "Kind": "dead-letter",
        "Severity": "urgent",
        "Error": "Expired",
        "Hours": "3.25",
        "Event": "attention.raised",
    }
    columns = {column: (member, pattern) for column, member, pattern in EXTRACT.findall(query)}
    assert {"Finding", "Severity", "Hours", "Event"} <= set(columns) <= set(wanted)
    for column, (member, pattern) in columns.items():
        match = re.search(pattern, record.getMessage())
        assert match is not None, column
        assert match[1] == wanted[column]
        assert str(getattr(record, member)) == wanted[column]


def test_every_incident_raises_an_alert() -> None:
    """What the sweep finds, such as a recording without an event, is logged as `attention.raised` alone."""
    read = {name for name, query in queries().items() if "${findings}" in query}
    assert read == {"attention-open", "attention-near-deadline", "recording-lost"}
    assert "'attention.raised', 'attention.settled'" in variable("findings")


def test_a_lost_consent_raises_an_alert() -> None:
    """It could be stored neither in the ledger nor in the archive, so there may be no incident either."""
    assert "Event == 'consent.lost'" in variable("attentionQuery")


def test_a_call_that_is_not_recorded_never_nears_a_deadline() -> None:
    """The service has nothing of it that it could delete; without an expiry its age would count."""
    assert f"Kind != '{IncidentKind.CALL}'" in variable("deadlineQuery")


def test_the_poison_alert_reads_the_hosts_log_for_both_queues_and_storages_for_the_chunks() -> None:
    """The account of the events' queue writes no log of its requests, so the host's line is all there is of it."""
    legs = re.findall(r"\((\w+) \| where (.+?) \| project", variable("poisonQuery"))
    assert [table for table, _ in legs] == ["StorageQueueLogs", "AppTraces", "FunctionAppLogs"]
    for table, condition in legs[1:]:
        assert "has_any ('{queue}-poison', '{events}-poison')" in condition, table
    assert "replace(poisonQuery, '{queue}', queueName), '{events}', eventQueueName)" in queries()["chunks-poisoned"]


def test_the_page_names_both_poison_queues() -> None:
    section = section_of(OPERATIONS.read_text(), "chunks-poisoned")
    assert {"`recording-chunks-poison`", "`recording-events-poison`"} <= set(re.findall(r"`[^`]+`", section))


def test_the_page_says_after_how_many_failures_a_message_is_poisoned() -> None:
    most = json.loads((INFRA.parent / "host.json").read_text())["extensions"]["queues"]["maxDequeueCount"]
    section = section_of(OPERATIONS.read_text(), "chunks-poisoned")
    assert re.findall(r"failed (\d+) times", section) == [str(most)]


def test_the_pages_name_every_kind_of_incident_and_no_other() -> None:
    table = section_of(OPERATIONS.read_text(), "attention-open").partition("| `error` |")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) - {"kind"} == set(IncidentKind)
    [row] = re.findall(r"^\| `kind` \| string \| (.+);", EVENTS.read_text(), re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", row)) == set(IncidentKind)


def section_of(page: str, heading: str) -> str:
    return page.partition(f"### {heading}\n")[2].partition("\n##")[0]
