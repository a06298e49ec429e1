"""`recordings doctor --local`: all green on the stack, and with one thing broken it names exactly that."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from azure.core.exceptions import ResourceNotFoundError

from local.ports import free_port
from tests.integration.doctor_fixtures import (
    Refusal,
    Run,
    StorageProxy,
    doctor,
    host_with,
    recordings,
    subscribe,
)
from tests.integration.processes import Command, no_process_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from local.stack import Stack

# What other tests leave on the shared stack for a person to look at.
LEFT_BY_OTHERS = {"storage.queue.poison", "archive.attention"}
PORTS = ("host", "blob", "queue", "table", "acs", "acs-second", "eventgrid")


async def test_a_fresh_stack_is_all_green(tmp_path: Path) -> None:
    ports = {name: free_port() for name in PORTS}
    options = [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]
    async with await Command.start("up", "--folder", str(tmp_path), *options) as command:
        await command.read_until("Ctrl-C stops everything.")
        shown = await recordings(
            *("doctor", "--local", "--folder", str(tmp_path), "--host-port", str(ports["host"])),
            *("--eventgrid-port", str(ports["eventgrid"]), "--blob-port", str(ports["blob"])),
        )
    lines = shown.output.splitlines()
    assert (shown.code, shown.errors) == (0, "")
    assert [line for line in lines[:-1] if not line.startswith("✓ ")] == []
    assert lines[-1] == f"{len(lines) - 1} checks: {len(lines) - 1} ok"
    await no_process_of(str(tmp_path))


async def test_the_shared_stack_is_green_and_the_command_shows_no_key(stack: Stack) -> None:
    run = await doctor(stack)
    assert (run.code, run.checks("failed"), run.checks("skipped")) == (0, {}, {})
    assert set(run.checks("warning")) <= LEFT_BY_OTHERS
    assert stack.function_key not in run.output
    assert stack.keys.master not in run.output


def names_only(run: Run, check: str) -> str:
    """Assert that exactly `check` failed, with a fix; returns what was found."""
    failed = run.checks("failed")
    assert list(failed) == [check], run.output
    assert next(found["mend"] for found in run.report["checks"] if found["check"] == check)
    assert run.code == 1
    return failed[check]


class Setting(NamedTuple):
    """A setting that is wrong, the check that says so, and what it says."""

    name: str
    value: str
    check: str
    found: str


NOT_THE_KEY = base64.b64encode(b"another key").decode()
WRONG_SETTINGS = [
    Setting("ACS_CONNECTION_STRING", f"endpoint={{acs}};accesskey={NOT_THE_KEY}", "acs.access", "401"),
    Setting("ACS_CONNECTION_STRING", "endpoint={nobody};accesskey=c2VjcmV0", "acs.access", "cannot be reached"),
    Setting("ARCHIVE_CONTAINER", "missing", "storage.container.read", "does not exist"),
    Setting("COPY_BLOCK_MIB", "0", "settings", "COPY_BLOCK_MIB"),
    Setting("RECORDING_TRUSTED_ORIGINS", "http://127.0.0.1:*,https://*.com", "settings.origins", "https://*.com"),
    Setting("RECORDING_TRUSTED_ORIGINS", "https://*.asm.skype.com", "settings.origins", "none of the service's hosts"),
    Setting("AzureWebJobs.stop_recording.Disabled", "true", "app.functions", "stop_recording"),
]


@pytest.mark.parametrize("wrong", WRONG_SETTINGS, ids=lambda wrong: f"{wrong.name}={wrong.value[:24]}")
async def test_a_wrong_setting_is_named(stack: Stack, wrong: Setting) -> None:
    value = wrong.value.format(acs=stack.acs.endpoint, nobody=f"http://127.0.0.1:{free_port()}")
    async with host_with(stack, **{wrong.name: value}) as url:
        run = await doctor(stack, url=url)
    assert wrong.found in names_only(run, wrong.check)
    assert NOT_THE_KEY not in run.output


async def test_a_retention_that_the_service_no_longer_has_is_a_warning(stack: Stack) -> None:
    async with host_with(stack, RECORDING_RETENTION_HOURS="48") as url:
        run = await doctor(stack, url=url)
    assert run.code == 0
    assert "48" in run.checks("warning")["settings.retention"]


@pytest.fixture(scope="module")
async def storage(stack: Stack) -> AsyncIterator[tuple[StorageProxy, str]]:
    """Storage that can be made to refuse, and a host that uses it."""
    async with AsyncExitStack() as exits:
        proxy = await exits.enter_async_context(StorageProxy(stack.storage))
        url = await exits.enter_async_context(host_with(stack, ARCHIVE_STORAGE=proxy.connection_string))
        yield proxy, url


DENIED = "AuthorizationPermissionMismatch"
REFUSALS = [
    (Refusal("GET", "/recordings", 403, DENIED), "storage.container.read", "Storage Blob Data Contributor"),
    (Refusal("PUT", "/recordings/", 403, DENIED), "storage.container.write", "Storage Blob Data Contributor"),
    (Refusal("DELETE", "/recordings/", 403, DENIED), "storage.container.delete", "Storage Blob Data Contributor"),
    (Refusal("GET", "/recording-chunks", 404, "QueueNotFound"), "storage.queue.read", "azd provision"),
    (Refusal("POST", "/recording-chunks/messages", 403, DENIED), "storage.queue.write", "Storage Queue Data"),
    (Refusal("PATCH", "/diagnostics", 403, DENIED), "storage.tables", "Storage Table Data Contributor"),
    (Refusal("PATCH", "/diagnostics", 403, "AuthorizationFailure"), "storage.tables", "firewall"),
]


@pytest.mark.parametrize(("refusal", "check", "fix"), REFUSALS, ids=lambda value: getattr(value, "code", value))
async def test_a_role_that_is_missing_is_named(
    stack: Stack, storage: tuple[StorageProxy, str], refusal: Refusal, check: str, fix: str
) -> None:
    proxy, url = storage
    proxy.refusals = [refusal]
    try:
        run = await doctor(stack, url=url)
    finally:
        proxy.refusals = []
    names_only(run, check)
    assert fix in next(found["mend"] for found in run.report["checks"] if found["check"] == check)


async def test_a_clock_that_is_off_is_named(stack: Stack, storage: tuple[StorageProxy, str]) -> None:
    proxy, url = storage
    proxy.clock_offset = timedelta(minutes=10)
    try:
        run = await doctor(stack, url=url)
    finally:
        proxy.clock_offset = timedelta()
    assert "behind that of storage" in names_only(run, "clock")


async def test_an_immutable_container_keeps_one_probe_however_often_it_is_examined(
    stack: Stack, storage: tuple[StorageProxy, str]
) -> None:
    proxy, url = storage
    proxy.refusals = [Refusal("DELETE", "/recordings/", 409, "BlobImmutableDueToPolicy")]
    try:
        first, second = await doctor(stack, url=url), await doctor(stack, url=url)
    finally:
        proxy.refusals = []
    async with stack.blob_service() as blobs:
        container = blobs.get_container_client("recordings")
        left = [blob.name async for blob in container.list_blobs(name_starts_with="diagnostics/")]
        await container.delete_blob("diagnostics/probe.json")
    assert (first.code, second.code) == (0, 0)
    assert "immutable" in second.checks("ok")["storage.container.delete"]
    assert left == ["diagnostics/probe.json"]


async def test_an_examination_leaves_blobs_and_messages_as_they_were(stack: Stack) -> None:
    before = await contents(stack)
    await doctor(stack)
    assert await contents(stack) == before


async def contents(stack: Stack) -> list[object]:
    async with stack.blob_service() as blobs, stack.queue_service() as queues:
        names = [blob.name async for blob in blobs.get_container_client("recordings").list_blobs()]
        queue = await queues.get_queue_client("recording-chunks").get_queue_properties()
        return [names, queue.approximate_message_count]


SUBSCRIPTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"ttl_minutes": 1440}, "events.ttl", "nothing is left"),
    ({"types": ("Microsoft.Communication.CallStarted",)}, "events.subscription", "RecordingFileStatusUpdated"),
    ({"dead_letters": None}, "events.dead_letter", "dropped"),
    ({"dead_letters": "nowhere-at-all"}, "events.dead_letter_container", "nowhere-at-all"),
]


@pytest.mark.parametrize(("changes", "check", "found"), SUBSCRIPTIONS, ids=lambda value: str(value)[:40])
async def test_a_wrong_subscription_is_named(stack: Stack, changes: dict[str, Any], check: str, found: str) -> None:
    await subscribe(stack, **changes)
    try:
        run = await doctor(stack)
    finally:
        await stack.subscribe()
    assert found in names_only(run, check)


async def test_a_missing_subscription_is_named(stack: Stack) -> None:
    await stack.eventgrid.delete_subscription("acs", "recording-files")
    try:
        run = await doctor(stack)
    finally:
        await stack.subscribe()
    names_only(run, "events.subscription")


async def test_a_subscription_of_another_app_is_named(stack: Stack) -> None:
    async with host_with(stack) as url:
        run = await doctor(stack)
    assert url in names_only(run, "events.target")


async def test_a_missing_topic_is_named(stack: Stack) -> None:
    names_only(await doctor(stack, "--topic", "another"), "events.topic")


async def test_a_key_that_opens_nothing_is_named_and_not_shown(stack: Stack, tmp_path: Path) -> None:
    keys = json.loads((stack.options.folder / "keys.json").read_text())
    (tmp_path / "keys.json").write_text(json.dumps({**keys, "functionKeys": {"default": "not-the-key"}}))
    run = await doctor(stack, folder=tmp_path)
    names_only(run, "app.key")
    assert "not-the-key" not in run.output
    assert "app.health" in run.checks("ok"), "what everybody may know is shown all the same"


async def test_a_host_that_is_down_is_named(stack: Stack) -> None:
    run = await doctor(stack, url=f"http://127.0.0.1:{free_port()}")
    assert "app.reachable" in run.checks("failed")
    assert set(run.checks("failed")) <= {"app.reachable", "events.target"}


async def test_what_waits_for_a_person_is_a_warning(stack: Stack) -> None:
    async with stack.blob_service() as blobs, stack.queue_service() as queues:
        container = blobs.get_container_client("recordings")
        poison = queues.get_queue_client("recording-chunks-poison")
        try:
            await poison.get_queue_properties()
        except ResourceNotFoundError:
            await poison.create_queue()
        await container.upload_blob("attention/test.doctor.json", b"{}")
        message = await poison.send_message("test", visibility_timeout=600)
        try:
            run = await doctor(stack)
        finally:
            await container.delete_blob("attention/test.doctor.json")
            await poison.delete_message(message)
    assert run.code == 0
    assert set(run.checks("warning")) == LEFT_BY_OTHERS


async def test_without_a_key_and_without_azure_skipped_checks_say_why(stack: Stack) -> None:
    run = await recordings("doctor", "--json", environment={"RECORDINGS_URL": f"{stack.url}/api"})
    assert (run.code, run.checks("failed")) == (0, {})
    assert set(run.checks("ok")) == {"app.reachable", "app.health"}
    assert "--key" in run.checks("skipped")["app.key"]
    assert "--resource-group" in run.checks("skipped")["events.subscription"]


async def test_the_key_may_come_from_the_environment(stack: Stack) -> None:
    environment = {"RECORDINGS_URL": stack.url, "RECORDINGS_KEY": stack.function_key}
    run = await recordings("doctor", "--json", environment=environment)
    assert (run.code, run.checks("failed")) == (0, {})
    assert "storage.container.write" in run.checks("ok")
    assert run.report["facts"]["versions"]["python"].startswith("3.13")
