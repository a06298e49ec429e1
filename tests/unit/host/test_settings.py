"""host.json, local.settings.json and app settings of the local Functions host."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host import settings
from local.host.console import level_of
from local.host.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def host_json(folder: Path, content: object, environment: dict[str, str] | None = None) -> settings.HostSettings:
    (folder / "host.json").write_text(json.dumps(content))
    return settings.read_host_settings(folder, environment or {})


def queues(**values: Any) -> dict[str, Any]:
    return {"version": "2.0", "extensions": {"queues": values}}


def test_defaults_are_those_of_the_platform_and_of_local_development(tmp_path: Path) -> None:
    read = host_json(tmp_path, {"version": "2.0"})
    assert read.route_prefix == "api"
    assert read.function_timeout == 1800
    assert read.queues == settings.QueueSettings(16, 8, 5, 0.0, 2.0, "base64")


def test_host_json_is_read_without_regard_to_case(tmp_path: Path) -> None:
    read = host_json(
        tmp_path,
        {
            "version": "2.0",
            "functionTimeout": "01:00:30",
            "extensions": {
                "HTTP": {"routeprefix": "/v1/"},
                "queues": {
                    "batchSize": 4,
                    "newBatchThreshold": 0,
                    "maxDequeueCount": 40,
                    "visibilityTimeout": "00:00:30",
                    "maxPollingInterval": "00:00:00.5",
                    "messageEncoding": "None",
                },
            },
        },
    )
    assert (read.route_prefix, read.function_timeout) == ("v1", 3630)
    assert read.queues == settings.QueueSettings(4, 0, 40, 30.0, 0.5, "none")


def test_the_threshold_defaults_to_half_the_batch(tmp_path: Path) -> None:
    assert host_json(tmp_path, queues(batchSize=6)).queues.new_batch_threshold == 3


def test_settings_override_host_json_and_need_no_section_there(tmp_path: Path) -> None:
    environment = {
        "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:07",
        "AZUREFUNCTIONSJOBHOST__EXTENSIONS__QUEUES__BATCHSIZE": "3",
        "AzureFunctionsJobHost__functionTimeout": "-1",
        "AzureFunctionsJobHost__logging__logLevel__Function": "Debug",
    }
    read = host_json(tmp_path, queues(batchSize=4), environment)
    assert (read.queues.visibility_timeout, read.queues.batch_size) == (7.0, 3)
    assert read.function_timeout is None
    assert read.log_levels["function"] == logging.DEBUG


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, '"version"'),
        ({"version": "1.0"}, '"version"'),
        (queues(batchSize=33), "extensions.queues.batchSize"),
        (queues(batchSize=True), "extensions.queues.batchSize"),
        (queues(maxDequeueCount="many"), "extensions.queues.maxDequeueCount"),
        (queues(visibilityTimeout=30), "extensions.queues.visibilityTimeout"),
        (queues(visibilityTimeout="00:00:61"), "extensions.queues.visibilityTimeout"),
        (queues(messageEncoding="utf16"), "extensions.queues.messageEncoding"),
        ({"version": "2.0", "functionTimeout": "00:00:00"}, "functionTimeout"),
        ({"version": "2.0", "extensions": []}, "extensions"),
        ({"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}, "logging.logLevel.default"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, content: object, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        host_json(tmp_path, content)


@given(st.integers(0, 10**6), st.integers(0, 999))
def test_a_written_time_span_reads_back(seconds: int, milliseconds: int) -> None:
    span = seconds % 86400 + milliseconds / 1000
    assert settings.parse_timespan(settings.format_timespan(span), "x") == pytest.approx(span, abs=1e-9)


def test_time_spans_have_days_and_fractions() -> None:
    assert settings.parse_timespan("1.02:03:04.5", "x") == 93784.5


def test_the_process_environment_wins_over_local_settings(tmp_path: Path) -> None:
    content = {"IsEncrypted": False, "Values": {"A": "file", "B": "file"}, "Host": {"LocalHttpPort": 7171}}
    (tmp_path / "local.settings.json").write_text(json.dumps(content))
    read = settings.read_local_settings(tmp_path)
    environment = {"B": "process"}
    settings.apply_local_settings(read, environment)
    assert (environment["A"], environment["B"], read.port) == ("file", "process", 7171)
    assert environment["AZURE_FUNCTIONS_ENVIRONMENT"] == "Development"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"IsEncrypted": true, "Values": {}}', "func settings decrypt"),
        ('{"Values": {"COPY_BLOCK_MIB": 4}}', '"COPY_BLOCK_MIB" is a text in quotes'),
        ('{"Values": []}', '"Values" is an object'),
        ("{", "not readable as JSON"),
        ("[]", "holds a JSON object"),
    ],
)
def test_unusable_local_settings_are_refused(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "local.settings.json").write_text(content)
    with pytest.raises(SettingsError, match=named):
        settings.read_local_settings(tmp_path)


def test_without_local_settings_there_are_none(tmp_path: Path) -> None:
    assert settings.read_local_settings(tmp_path) == settings.LocalSettings()


def test_percent_names_resolve_to_app_settings() -> None:
    assert settings.resolve("a-%X%-%Y%", {"X": "1", "Y": "2"}, "here") == "a-1-2"
    with pytest.raises(SettingsError, match="here: %Z% does not resolve"):
        settings.resolve("%Z%", {}, "here")


@pytest.mark.parametrize(
    ("value", "disabled"), [("true", True), ("1", True), ("True", True), ("false", False), ("", False)]
)
def test_a_function_is_disabled_by_its_setting(value: str, disabled: bool) -> None:
    assert settings.is_disabled("f", {"AzureWebJobs.f.Disabled": value}) is disabled


def test_the_longest_named_category_decides_the_level() -> None:
    levels = {"default": 20, "function": 30, "function.archive": 10, "host": 40}
    assert level_of("Function.archive.User", levels) == 10
    assert level_of("Function.other", levels) == 30
    assert level_of("Host.General", levels) == 40
    assert level_of("Worker", levels) == 20
