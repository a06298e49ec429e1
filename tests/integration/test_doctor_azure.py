"""`recordings doctor --resource-group`: what Azure Resource Manager knows of a deployment.

The app behind it is the local stack's; Azure's answers come from a stand-in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from azure.identity import CredentialUnavailableError

from cli.doctor import AzurePlan, Examination, examine_azure
from cli.errors import CommandError, UsageError
from cli.findings import Finding, Status
from cli.report import as_json
from tests.integration import azure_stand_in as azure
from tests.integration.azure_stand_in import AzureStandIn, Credential
from tests.integration.doctor_fixtures import recordings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from local.stack import Stack


@pytest.fixture
async def stand_in(stack: Stack) -> AsyncIterator[AzureStandIn]:
    """The deployment as it should be; a test breaks it."""
    async with AzureStandIn(azure.resources(stack.function_key, "127.0.0.1")) as running:
        yield running


async def examine(stack: Stack, stand_in: AzureStandIn, **changes: Any) -> Examination:
    plan = {"subscription": azure.GROUP.split("/")[2], "group": "rg-prod", "app": "func-archive"} | changes
    return await examine_azure(
        AzurePlan(**plan, endpoint=stand_in.endpoint), Credential(), url=stack.url, key=None, patience=30
    )


def failed(examination: Examination) -> dict[str, Finding]:
    return {finding.check: finding for finding in examination.findings if finding.status is Status.FAILED}


async def test_a_deployment_as_infra_makes_it_is_green(stack: Stack, stand_in: AzureStandIn) -> None:
    examination = await examine(stack, stand_in)
    assert failed(examination) == {}
    assert [finding.check for finding in examination.findings if finding.status is Status.SKIPPED] == []
    assert {method for method, _, _ in stand_in.asked} == {"GET", "POST"}
    assert [path for method, path, _ in stand_in.asked if method == "POST"] == [
        f"{azure.SITE}/functions/diagnostics/listkeys".lower()
    ]


async def test_what_was_used_to_get_in_is_not_shown(stack: Stack, stand_in: AzureStandIn) -> None:
    examination = await examine(stack, stand_in)
    assert stack.function_key in examination.secrets
    assert stack.function_key not in as_json(examination)
    assert stack.function_key not in repr(examination)
    assert azure.TOKEN not in as_json(examination)


async def test_app_and_subscription_are_found_where_there_is_one(stack: Stack, stand_in: AzureStandIn) -> None:
    assert failed(await examine(stack, stand_in, subscription=None, app=None)) == {}


type Break = Callable[[dict[str, Any]], object]


def subscription(resources: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = resources[f"{azure.TOPIC}/eventSubscriptions".lower()]["value"][0]["properties"]
    return properties


def topic(resources: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resources[azure.TOPICS.lower()]["value"][0]
    return found


def deliver_to(resource_id: str) -> Break:
    return lambda resources: subscription(resources)["destination"]["properties"].update(resourceId=resource_id)


BREAKS: dict[str, tuple[Break, str, str]] = {
    "app missing": (lambda all_: all_.update({azure.SITE.lower(): None}), "azure.app", "no function app func-archive"),
    "app stopped": (
        lambda all_: all_[azure.SITE.lower()]["properties"].update(state="Stopped"),
        "azure.app",
        "Stopped",
    ),
    "function missing": (
        lambda all_: all_[f"{azure.SITE}/functions".lower()]["value"].pop(0),
        "app.functions",
        "archive_chunk",
    ),
    "topic missing": (lambda all_: all_[azure.TOPICS.lower()]["value"].clear(), "events.topic", "no system topic"),
    "topic of another resource": (
        lambda all_: all_[azure.SERVICE.lower()]["properties"].update(hostName="other.communication.azure.com"),
        "events.topic",
        "other.communication.azure.com",
    ),
    "topic not made": (
        lambda all_: topic(all_)["properties"].update(provisioningState="Failed"),
        "events.topic",
        "Failed",
    ),
    "no subscription": (
        lambda all_: all_[f"{azure.TOPIC}/eventSubscriptions".lower()]["value"].clear(),
        "events.subscription",
        "RecordingFileStatusUpdated",
    ),
    "subscription not made": (
        lambda all_: subscription(all_).update(provisioningState="AwaitingManualAction"),
        "events.subscription",
        "AwaitingManualAction",
    ),
    "another function": (deliver_to(f"{azure.SITE}/functions/archive_chunk"), "events.target", "archive_chunk"),
    "another app": (
        deliver_to(f"{azure.GROUP}/providers/Microsoft.Web/sites/other/functions/recording_file_status_updated"),
        "events.target",
        "other",
    ),
    "other events": (
        lambda all_: subscription(all_)["filter"].update(includedEventTypes=["Microsoft.Communication.CallStarted"]),
        "events.types",
        "CallStarted",
    ),
    "the default of a day": (lambda all_: subscription(all_).pop("retryPolicy"), "events.ttl", "nothing is left"),
    "no dead letters": (
        lambda all_: subscription(all_).pop("deadLetterWithResourceIdentity"),
        "events.dead_letter",
        "dropped",
    ),
    "no identity for dead letters": (
        lambda all_: topic(all_).update(identity={"type": "None"}),
        "events.dead_letter",
        "has none",
    ),
    "no container for dead letters": (
        lambda all_: all_.update({azure.CONTAINER.lower(): None}),
        "events.dead_letter_container",
        "does not exist",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_one_thing_that_is_broken_is_named(stack: Stack, stand_in: AzureStandIn, name: str) -> None:
    break_it, check, found = BREAKS[name]
    break_it(stand_in.resources)
    faults = failed(await examine(stack, stand_in))
    assert list(faults) == [check]
    assert found in faults[check].detail
    assert faults[check].fix


async def test_what_one_may_not_read_is_skipped_and_says_which_role_is_missing(
    stack: Stack, stand_in: AzureStandIn
) -> None:
    stand_in.forbidden = {azure.TOPICS.lower(), f"{azure.SITE}/functions".lower()}
    examination = await examine(stack, stand_in)
    skipped = {finding.check: finding.detail for finding in examination.findings if finding.status is Status.SKIPPED}
    assert failed(examination) == {}
    assert "Reader" in skipped["app.functions"]
    assert "Reader" in skipped["events.subscription"]


async def test_without_the_right_to_the_key_only_the_open_health_is_shown(stack: Stack, stand_in: AzureStandIn) -> None:
    stand_in.forbidden = {f"{azure.SITE}/functions/diagnostics/listkeys".lower()}
    statuses = {finding.check: finding.status for finding in (await examine(stack, stand_in)).findings}
    assert statuses["app.key"] is Status.SKIPPED
    assert statuses["app.health"] is Status.OK
    assert statuses["events.target"] is Status.OK


async def test_several_apps_are_not_guessed(stack: Stack, stand_in: AzureStandIn) -> None:
    sites = stand_in.resources[azure.SITE.rpartition("/")[0].lower()]["value"]
    sites.append({**sites[0], "name": "func-other"})
    with pytest.raises(UsageError, match=r"--app \(func-archive, func-other\)"):
        await examine(stack, stand_in, app=None)


class Nobody(Credential):
    async def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise CredentialUnavailableError("Please run 'az login' to set up an account")


async def test_without_a_sign_in_what_only_azure_knows_is_skipped(stack: Stack, stand_in: AzureStandIn) -> None:
    plan = AzurePlan(subscription="s", group="rg-prod", app="func-archive", endpoint=stand_in.endpoint)
    examination = await examine_azure(plan, Nobody(), url=stack.url, key=stack.function_key, patience=30)
    statuses = {finding.check: finding.status for finding in examination.findings}
    assert failed(examination) == {}
    assert statuses["acs.access"] is Status.OK
    assert statuses["events.topic"] is Status.SKIPPED
    with pytest.raises(CommandError, match="az login"):
        await examine_azure(plan, Nobody(), url=None, key=None, patience=30)
    assert stand_in.asked == []


async def test_the_command_signs_in_as_az_does(stack: Stack, stand_in: AzureStandIn, tmp_path: Path) -> None:
    token = {"accessToken": azure.TOKEN, "expires_on": 4_000_000_000, "expiresOn": "2096-10-02 07:06:40.000000"}
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(token)}\nEND\n")
    az.chmod(0o755)
    run = await recordings(
        *("doctor", "--json", "--resource-group", "rg-prod", "--url", stack.url),
        *("--management-endpoint", stand_in.endpoint),
        environment={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
        },
    )
    assert (run.code, run.errors, run.checks("failed"), run.checks("skipped")) == (0, "", {}, {})
    assert azure.TOKEN not in run.output
    assert stack.function_key not in run.output
