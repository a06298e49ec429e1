"""The cost note says what its script computes."""

from __future__ import annotations

import re
from pathlib import Path

from infra.checks.bicep import BicepFile, at
from infra.cost import AUDIO, INSTANCE_GB, LOG_ALERTS_5, LOG_ALERTS_15, METRIC_ALERTS, READY_INSTANCES, monthly, tables

ROOT = Path(__file__).parents[3]


def test_the_note_holds_what_the_script_prints() -> None:
    note = (ROOT / "docs/cost.md").read_text()
    assert note.endswith(tables()), "docs/cost.md is out of date: put in what python -m infra.cost prints"


def test_what_grows_with_the_recordings_grows_and_what_is_fixed_stays() -> None:
    few, many = monthly(AUDIO, 1_000_000), monthly(AUDIO, 2_000_000)
    fixed = {"Functions, always ready", "Alerts"}
    assert all(many[item] == few[item] if item in fixed else many[item] > few[item] for item in few)


def test_the_deployments_defaults_are_the_scripts() -> None:
    parameters = BicepFile.parse(ROOT / "infra/main.bicep").of("param")
    assert parameters["alwaysReadyInstances"].value is not None
    waiting = app_instances(parameters["alwaysReadyInstances"].value.text or b"")
    assert waiting == READY_INSTANCES
    assert parameters["instanceMemoryMb"].value is not None
    assert parameters["instanceMemoryMb"].value.text == str(INSTANCE_GB * 1024).encode()


def app_instances(default: bytes) -> int:
    """Return how many instances wait for events when alwaysReadyInstances has its default."""
    site = BicepFile.parse(ROOT / "infra/modules/app.bicep").of("resource")["site"].value
    ready = at(site, "properties", "functionAppConfig", "scaleAndConcurrency", "alwaysReady")
    assert ready is not None
    counts = re.findall(rb"instanceCount: (\w+)", ready.text or b"")
    return sum(int(default if count == b"alwaysReadyInstances" else count) for count in counts)


def test_the_alerts_are_counted_right() -> None:
    alerts = BicepFile.parse(ROOT / "infra/modules/alerts.bicep").of("var")
    topic, logs = alerts["topicAlerts"].value, alerts["logAlerts"].value
    assert topic is not None
    assert logs is not None
    every = [found.text for alert in logs.named_children if (found := at(alert, "every")) is not None]
    assert len([node for node in topic.named_children if node.type == "object"]) + 1 == METRIC_ALERTS
    assert (every.count(b"'PT15M'"), every.count(b"'PT5M'")) == (LOG_ALERTS_15, LOG_ALERTS_5)
