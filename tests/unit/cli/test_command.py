"""How the command is called, and what it refuses before any request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from cli.app_checks import CHECKS as APP_CHECKS
from cli.app_checks import FUNCTIONS, check_functions
from cli.deployment import base_url
from cli.doctor import examine_local
from cli.errors import UsageError
from cli.events import CHECKS as EVENT_CHECKS
from cli.events import DeadLetters, Subscription, Topic
from cli.findings import Status
from cli.local_stack import LocalEvents, LocalKeys
from cli.main import app
from infra.checks.code import Code
from local.ports import free_port
from shared.diagnostics.checks import CHECKS as INSIDE_CHECKS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say what to examine"),
        (["--url", "http://example.com"], "use https"),
        (["--url", "example.com"], "--url takes an address"),
        (["--url", "https://user:pass@example.com"], "--url takes an address"),
        (["--url", "https://example.com:port"], "--url takes an address"),
        (["--local", "--resource-group", "rg"], "exclude one another"),
        (["--local", "--url", "http://127.0.0.1:7571"], "--host-port"),
        (["--local", "--folder", "/nowhere"], "make run"),
        (["--resource-group", "rg", "--management-endpoint", "http://example.com"], "--management-endpoint"),
    ],
)
def test_wrong_options_are_one_sentence_and_exit_code_2(arguments: list[str], sentence: str) -> None:
    result = CliRunner(env={"RECORDINGS_URL": None, "RECORDINGS_KEY": None}).invoke(app, ["doctor", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "pass" not in result.stderr


@pytest.mark.parametrize("text", ["not JSON", "{}", '{"functionKeys": {}, "masterKey": "k"}'])
def test_keys_that_cannot_be_read_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    result = CliRunner().invoke(app, ["doctor", "--local", "--folder", str(tmp_path)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "--folder" in result.stderr


async def test_the_fix_for_the_local_stack_is_a_local_command() -> None:
    """No command of azd can repair the local stack."""
    address = f"http://127.0.0.1:{free_port()}"
    stack = ElsewhereSubscribed(address, address, "acs", 1)
    found = (await examine_local(address, LocalKeys("key", "master"), stack, 5)).findings
    fixes = {finding.check: finding.fix for finding in found if finding.fix}
    assert set(fixes) == {"app.reachable", "events.target"}
    assert all("make run" in fix and "azd" not in fix for fix in fixes.values())


@dataclass(frozen=True, slots=True)
class ElsewhereSubscribed(LocalEvents):
    """An Event Grid emulator that delivers to another app."""

    async def topic(self) -> Topic:
        return Topic("acs", "Succeeded", None, has_identity=True)

    async def subscriptions(self) -> list[Subscription]:
        types = ("Microsoft.Communication.RecordingFileStatusUpdated",)
        letters = DeadLetters("the local storage", "dead-letters", by_identity=False)
        return [
            Subscription(
                name="recording-files",
                state="Succeeded",
                target="http://127.0.0.1:9/runtime/webhooks/EventGrid",
                to_app=False,
                function=None,
                event_types=types,
                ttl_minutes=120,
                dead_letters=letters,
            )
        ]

    async def container_exists(self, letters: DeadLetters) -> bool:
        return letters.container == "dead-letters"


def test_the_local_stack_is_examined_whatever_deployment_the_environment_names(tmp_path: Path) -> None:
    found = CliRunner(env={"RECORDINGS_URL": "https://example.com"}).invoke(
        app, ["doctor", "--local", "--folder", str(tmp_path)]
    )
    assert "keys.json does not exist" in found.stderr


def test_an_unknown_option_is_exit_code_2() -> None:
    assert CliRunner().invoke(app, ["doctor", "--nonsense"]).exit_code == 2


def test_help_names_the_environment() -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["doctor", "--help"]).stdout
    for name in ("RECORDINGS_URL", "RECORDINGS_KEY", "AZURE_SUBSCRIPTION_ID", "--local", "--json"):
        assert name in shown


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://app.azurewebsites.net", "https://app.azurewebsites.net"),
        ("https://app.azurewebsites.net/api/", "https://app.azurewebsites.net"),
        ("http://127.0.0.1:7071/", "http://127.0.0.1:7071"),
        ("http://[::1]:7071", "http://[::1]:7071"),
        ("https://gateway.example.com/archive/api", "https://gateway.example.com/archive"),
    ],
)
def test_an_address_is_taken_with_and_without_the_path_api(given: str, url: str) -> None:
    assert base_url(given, "--url") == url


def test_a_name_that_only_begins_like_this_machine_gets_no_key() -> None:
    with pytest.raises(UsageError):
        base_url("http://127.0.0.1.example.com", "--url")


def test_the_functions_that_are_looked_for_are_those_of_the_code() -> None:
    assert set(FUNCTIONS) <= set(Code.read(ROOT).functions)


def test_a_disabled_function_is_named_with_the_setting_that_disables_it() -> None:
    finding = check_functions({**dict.fromkeys(FUNCTIONS, True), "archive_chunk": False})
    assert finding.status is Status.FAILED
    assert "AzureWebJobs.archive_chunk.Disabled" in str(finding.fix)


def test_the_document_names_every_option_of_every_command() -> None:
    page, commands = (ROOT / "docs/cli.md").read_text(), get_command(app)
    assert isinstance(commands, TyperGroup)
    missing = [
        f"recordings {command} {option}"
        for command, options in long_options(commands).items()
        for option in options
        if not re.search(rf"{option}(?![a-z-])", page)
    ]
    assert missing == []


def long_options(group: TyperGroup) -> dict[str, list[str]]:
    """The long options of each command."""
    found: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        found[name] = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        if isinstance(command, TyperGroup):
            found |= {f"{name} {inner}": options for inner, options in long_options(command).items()}
    return found


def test_the_document_names_every_check_and_no_other() -> None:
    lines = (ROOT / "docs/cli.md").read_text().splitlines()
    documented = [line.split("`")[1] for line in lines if line.startswith("| `") and not line.startswith("| `--")]
    expected = {"azure.app", *APP_CHECKS, *(check.id for check in INSIDE_CHECKS), *EVENT_CHECKS}
    assert sorted(documented) == sorted(expected)
