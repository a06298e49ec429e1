"""The postdeploy hook, with a stand-in `az` on PATH that records its calls and answers as ordered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.checks.bicep import BicepFile

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "infra" / "hooks"

# What main.bicep puts out, as azd hands it to the hook.
OUTPUTS = {
    "AZURE_RESOURCE_GROUP": "rg-test",
    "AZURE_FUNCTION_APP_NAME": "func-test",
    "AZURE_FUNCTION_APP_ID": "/subscriptions/s/resourceGroups/rg-test/providers/Microsoft.Web/sites/func-test",
    "EVENT_TOPIC_NAME": "evgt-test",
    "EVENT_TOPIC_RESOURCE_GROUP": "rg-topic",
    "EVENT_IDENTITY_ID": "/subscriptions/s/resourceGroups/rg-test/providers/Microsoft.ManagedIdentity/id-events",
    "EVENT_FUNCTION_NAME": "recording_file_status_updated",
    "EVENT_CALL_FUNCTION_NAME": "call_started_or_ended",
    "EVENT_TTL_MINUTES": "120",
    "ARCHIVE_STORAGE_ID": "/subscriptions/s/resourceGroups/rg-test/providers/Microsoft.Storage/storageAccounts/st",
    "DEAD_LETTER_CONTAINER": "dead-letters",
}

# The stand-in: what fails how often stands in a file, and each call is added to another.
AZ = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
calls, plan = here / "calls.jsonl", here / "plan.json"
arguments = sys.argv[1:]
with calls.open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
failures = json.loads(plan.read_text())
command = " ".join(arguments[:3])
for name, left in failures.items():
    if command.startswith(name) and left:
        failures[name] = left - 1
        plan.write_text(json.dumps(failures))
        sys.exit(f"ERROR: {{name}} failed ({{left}} left)")
if command.startswith("deployment group create"):
    print("Succeeded")
"""


def shells() -> list[Any]:
    pwsh = shutil.which("pwsh")
    return [
        pytest.param(["sh", str(HOOKS / "postdeploy.sh")], id="sh"),
        pytest.param(
            [pwsh or "", "-NoProfile", "-File", str(HOOKS / "postdeploy.ps1")],
            id="pwsh",
            marks=pytest.mark.skipif(pwsh is None, reason="PowerShell is not installed"),
        ),
    ]


@dataclass
class Hook:
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))

    def run(self, **failures: int) -> subprocess.CompletedProcess[str]:
        """Run the hook; `failures` says how often a command of az (`_` for a space) fails before it succeeds."""
        plan = {name.replace("_", " "): times for name, times in failures.items()}
        (self.folder / "plan.json").write_text(json.dumps(plan))
        return subprocess.run(
            self.command,
            env={"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}", "FUNCTION_WAIT_PAUSE": "0"}
            | self.environment,
            cwd=self.folder,  # azd runs it from the project; nothing may depend on where it is run
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self, *command: str) -> list[list[str]]:
        file = self.folder / "calls.jsonl"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [call for call in calls if call[: len(command)] == list(command)]

    def deployments(self) -> list[list[str]]:
        return self.calls("deployment", "group", "create")


@pytest.fixture(params=shells())
def hook(request: pytest.FixtureRequest, tmp_path: Path) -> Hook:
    az = tmp_path / "az"
    az.write_text(AZ.format(python=sys.executable))
    az.chmod(0o755)
    return Hook(request.param, tmp_path)


def test_it_subscribes_the_deployed_function(hook: Hook) -> None:
    done = hook.run()

    assert done.returncode == 0, done.stderr
    [call] = hook.deployments()
    assert call[call.index("--resource-group") + 1] == "rg-topic"
    assert Path(call[call.index("--template-file") + 1]).resolve() == ROOT / "infra" / "events.bicep"
    given = dict(item.split("=", 1) for item in call[call.index("--parameters") + 1 :] if not item.startswith("--"))
    assert given == {
        "topicName": "evgt-test",
        "functionAppId": OUTPUTS["AZURE_FUNCTION_APP_ID"],
        "functionName": "recording_file_status_updated",
        "archiveStorageId": OUTPUTS["ARCHIVE_STORAGE_ID"],
        "deadLetterContainerName": "dead-letters",
        "eventIdentityId": OUTPUTS["EVENT_IDENTITY_ID"],
        "timeToLiveMinutes": "120",
        "callFunctionName": "call_started_or_ended",
    }
    assert "Succeeded" in done.stdout


def test_it_waits_visibly_for_a_function_that_is_late(hook: Hook) -> None:
    done = hook.run(functionapp_function_show=3)

    assert done.returncode == 0, done.stderr
    assert len(hook.calls("functionapp", "function", "show")) == 4
    assert done.stdout.count("not there yet") == 3
    assert len(hook.deployments()) == 1


def test_a_second_run_makes_the_same_deployment_again(hook: Hook) -> None:
    assert hook.run().returncode == 0
    assert hook.run().returncode == 0

    first, second = hook.deployments()
    assert first == second


def test_it_gives_up_on_a_function_that_never_comes_and_subscribes_nothing(hook: Hook) -> None:
    hook.environment["FUNCTION_WAIT_SECONDS"] = "3"

    done = hook.run(functionapp_function_show=1000)

    assert done.returncode == 1
    assert "did not appear within 3 s" in done.stderr
    assert "functionapp function show failed" in done.stderr
    assert hook.deployments() == []


def test_it_tries_a_failed_deployment_again(hook: Hook) -> None:
    done = hook.run(deployment_group_create=2)

    assert done.returncode == 0, done.stderr
    assert len(hook.deployments()) == 3


def test_it_fails_when_the_deployment_goes_on_failing(hook: Hook) -> None:
    done = hook.run(deployment_group_create=1000)

    assert done.returncode == 1
    assert len(hook.deployments()) == 3
    assert "the subscription could not be made" in done.stderr
    assert "az deployment operation group list" in done.stderr


def test_a_missing_sign_in_is_not_taken_for_a_late_function(hook: Hook) -> None:
    done = hook.run(account_show=1)

    assert done.returncode == 1
    assert "az login" in done.stderr
    assert hook.calls("functionapp") == []


def test_missing_outputs_are_all_named(hook: Hook) -> None:
    del hook.environment["EVENT_TOPIC_NAME"], hook.environment["ARCHIVE_STORAGE_ID"]

    done = hook.run()

    assert done.returncode == 1
    assert "EVENT_TOPIC_NAME ARCHIVE_STORAGE_ID" in done.stderr
    assert hook.calls() == []


def test_every_call_is_on_the_deployments_subscription(hook: Hook) -> None:
    hook.environment["AZURE_SUBSCRIPTION_ID"] = "11111111-2222-3333-4444-555555555555"

    assert hook.run().returncode == 0

    assert hook.calls()
    for call in hook.calls():
        assert call[call.index("--subscription") + 1] == "11111111-2222-3333-4444-555555555555"


def test_the_hooks_read_what_main_bicep_puts_out_and_set_what_events_bicep_takes() -> None:
    outputs = BicepFile.parse(ROOT / "infra/main.bicep").of("output")
    parameters = BicepFile.parse(ROOT / "infra/events.bicep").of("param")

    assert set(OUTPUTS) <= set(outputs)
    for name in ("postdeploy.sh", "postdeploy.ps1"):
        script = (HOOKS / name).read_text()
        assert [output for output in OUTPUTS if output not in script] == []
        passed = {parameter for parameter in parameters if f'"{parameter}=' in script}
        assert passed == set(parameters) - {"maxDeliveryAttempts"}
