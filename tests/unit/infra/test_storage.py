"""What Bicep says of storage beyond names: what is kept how long, who reaches it, what the local stack has of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, at, entries, string, text, walk
from local import provisioning

if TYPE_CHECKING:
    from tree_sitter import Node

INFRA = Path(__file__).parents[3] / "infra"
MAIN = BicepFile.parse(INFRA / "main.bicep")
ARCHIVE = BicepFile.parse(INFRA / "modules/archive-storage.bicep")
HOST = BicepFile.parse(INFRA / "modules/host-storage.bicep")
APP = BicepFile.parse(INFRA / "modules/app.bicep")
NETWORK = BicepFile.parse(INFRA / "modules/network.bicep")


def value(file: BicepFile, kind: str, name: str) -> Node:
    found = file.of(kind)[name].value
    assert found is not None
    return found


def rules() -> dict[str, Node]:
    """Return the lifecycle rules of container `operations` by their names."""
    found = [node for node in value(ARCHIVE, "var", "operationsRules").named_children if node.type == "object"]
    return {string(at(rule, "name")) or "": rule for rule in found}


def prefixes(rule: Node) -> str:
    return text(at(rule, "definition", "filters", "prefixMatch") or rule)


def actions(rule: Node) -> str:
    return re.sub(r"\s+", " ", text(at(rule, "definition", "actions") or rule))


def test_what_the_app_notes_is_outside_immutability_and_closed_to_the_public() -> None:
    assert text(at(value(ARCHIVE, "resource", "operations"), "properties") or MAIN.root) == "{ publicAccess: 'None' }"


def test_events_too_large_for_a_message_are_deleted_after_nine_days() -> None:
    rule = rules()["operations-events"]
    assert "'${operationsContainerName}/events/'" in prefixes(rule)
    assert actions(rule) == "{ baseBlob: { delete: { daysAfterModificationGreaterThan: 9 } } }"


def test_starts_that_no_recording_joined_are_deleted_after_ninety_days() -> None:
    rule = rules()["operations-starts"]
    assert "'${operationsContainerName}/starts/'" in prefixes(rule)
    assert actions(rule) == "{ baseBlob: { delete: { daysAfterModificationGreaterThan: 90 } } }"


def test_replaced_versions_of_what_the_app_notes_end_and_nothing_else_of_it_does() -> None:
    """Places, incidents and the audit log have no age at which they end."""
    assert set(rules()) == {"operations-events", "operations-starts", "operations-versions"}
    rule = rules()["operations-versions"]
    assert "'${operationsContainerName}/'" in prefixes(rule)
    assert [action for action, _, _ in entries(at(rule, "definition", "actions") or rule)] == ["version"]


def test_the_lifecycle_has_the_rules_of_container_operations() -> None:
    policy = at(value(ARCHIVE, "resource", "lifecycle"), "properties", "policy", "rules")
    assert policy is not None
    assert "operationsRules" in {text(node) for node in walk(policy) if node.type == "identifier"}


def test_the_events_queue_writes_no_log_of_its_requests() -> None:
    """In a failure of the archive every waiting event is sent again and again, which would use up the day's quota."""
    scopes = {
        text(scope)
        for resource in HOST.of("resource").values()
        if (resource.target or "").startswith("Microsoft.Insights/diagnosticSettings")
        and (scope := at(resource.value, "scope")) is not None
    }
    assert scopes == {"blobs"}


def test_every_service_that_the_app_uses_has_a_private_endpoint() -> None:
    accounts = {"AzureWebJobsStorage": "hostStorageId", "ARCHIVE_STORAGE": "archiveStorageId"}
    settings = at(value(APP, "resource", "settings"), "properties")
    assert settings is not None
    used = {
        (accounts[key.partition("__")[0]], key.partition("__")[2].removesuffix("ServiceUri"))
        for key, _, _ in entries(settings)
        if key.endswith("ServiceUri")
    }
    endpoints = {
        (text(at(node, "account") or node), string(at(node, "service")))
        for node in value(NETWORK, "var", "endpoints").named_children
        if node.type == "object"
    }
    assert endpoints == used
    assert ("hostStorageId", "queue") in endpoints


def test_the_webhook_and_the_intake_have_instances_that_wait() -> None:
    ready = at(value(APP, "resource", "site"), "properties", "functionAppConfig", "scaleAndConcurrency", "alwaysReady")
    assert ready is not None
    names = re.findall(r"name: 'function:\$\{(\w+)\}'", text(ready))
    assert [string(value(MAIN, "var", name)) for name in names] == [
        "recording_file_status_updated",
        "archive_recording_files",
    ]


def test_the_local_stack_has_the_queues_and_containers_of_azure() -> None:
    names = {
        "archiveContainerName": provisioning.ARCHIVE_CONTAINER,
        "deadLetterContainerName": provisioning.DEAD_LETTER_CONTAINER,
        "operationsContainerName": provisioning.OPERATIONS_CONTAINER,
        "queueName": provisioning.CHUNK_QUEUE,
        "eventQueueName": provisioning.EVENT_QUEUE,
    }
    assert {name: string(value(MAIN, "var", name)) for name in names} == names
