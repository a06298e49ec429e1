"""What the Functions host can be ordered to do: a drain of its instance, and faults of queue messages and timers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from local.host.keys import load_or_create
from tests.integration.host_fixtures import sample

if TYPE_CHECKING:
    from pathlib import Path

    from local.azurite import Azurite
    from tests.integration.host_fixtures import HostProcess, SampleQueues

pytest_plugins = ["tests.integration.host_fixtures"]

EXITED = "python exited with code 143 (0x8F)"


async def order(host: HostProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await host.request("POST", f"/admin/local/{path}", json=body)
    assert status in (201, 202), answer
    ordered: dict[str, Any] = json.loads(answer)
    return ordered


async def command(host: HostProcess, *arguments: str) -> tuple[int, str]:
    """Give an order to `host` on the command line."""
    return await local_host(*arguments, "--url", host.url, "--keys", str(host.keys_file))


async def local_host(*arguments: str) -> tuple[int, str]:
    """Run `python -m local host …`; its exit code and its output as one line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "host", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return await process.wait(), " ".join(output.decode().split())


async def test_a_drain_aborts_what_runs_and_its_message_comes_again_after_its_lease(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--queue-lease", "4") as host:
        await own_queues.send({"id": "drained", "seconds": 300})
        await own_queues.noted("work", "drained")
        assert await order(host, "drain", {"afterSeconds": 0.1}) == {"afterSeconds": 0.1, "replace": True}
        output = await host.says(f"Exception: WorkerProcessExitException: {EXITED}")
        assert f"Z] {EXITED}" in output
        assert "DrainMode mode enabled" in output
        await host.says("Host started", times=2)
        first, second = await own_queues.noted("work", "drained", times=2)
    assert (first["count"], second["count"]) == (1, 2)
    assert second["at"] - first["at"] >= 3.5
    assert own_queues.notes("worked") == []


async def test_a_drained_message_stays_leased_and_does_not_count_as_failed(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    # Failed, it would be visible at once.
    async with sample(azurite, own_queues, extensions__queues__visibilityTimeout="00:00:00") as host:
        await own_queues.send({"id": "drained", "seconds": 300})
        await own_queues.noted("work", "drained")
        await order(host, "drain", {"afterSeconds": 0, "replace": False})
        assert await host.ended() == 143
    queue = own_queues.raw(own_queues.name)
    assert await queue.peek_messages() == []
    assert (await queue.get_queue_properties()).approximate_message_count == 1


async def test_a_drain_without_a_time_takes_one_to_three_seconds_as_the_platforms_does(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        await own_queues.send({"id": "drained", "seconds": 300})
        await own_queues.noted("work", "drained")
        ordered = time.monotonic()
        after = (await order(host, "drain", {"replace": False}))["afterSeconds"]
        await host.says(EXITED)
        assert 1 <= after <= 3
        assert after - 0.1 <= time.monotonic() - ordered < after + 1.5


async def test_functions_that_end_within_a_drains_seconds_have_finished(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        await own_queues.send({"id": "quick", "seconds": 0.5})
        await own_queues.noted("work", "quick")
        ordered = time.monotonic()
        await order(host, "drain", {"afterSeconds": 3, "replace": False})
        assert await host.ended() == 143
        assert time.monotonic() - ordered < 2.5
        assert "(Failed" not in host.output
    assert own_queues.notes("worked", "quick")
    assert await own_queues.raw(own_queues.name).peek_messages() == []


async def test_nothing_new_is_taken_while_draining_and_a_blocked_thread_does_not_keep_the_process(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        hanging = asyncio.create_task(host.get("/api/answer/hanging"))
        await host.says("Executing 'Functions.hang'")
        await order(host, "drain", {"afterSeconds": 2, "replace": False})
        assert (await host.get("/api/echo/new"))[0] == 503
        await own_queues.send({"id": "new"})
        assert await host.ended() == 143
        assert await hanging == (500, b"")
        with pytest.raises(aiohttp.ClientError):
            await host.get("/admin/host/ping")
    (message,) = await own_queues.raw(own_queues.name).peek_messages()
    assert message.dequeue_count == 0
    assert own_queues.notes("work") == []


async def test_an_idle_instance_that_is_drained_reports_the_workers_end_as_an_error_too(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        assert await command(host, "drain", "--after", "0", "--stay-down") == (
            0,
            "Running functions are aborted after 0 s; then the host ends with exit code 143.",
        )
        assert await host.ended() == 143
        assert EXITED in host.output


async def test_a_message_is_leased_and_not_run_and_comes_again_after_its_lease(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--queue-lease", "2") as host:
        ordered = await order(host, "faults", {"kind": "not-run", "queue": own_queues.name})
        assert ordered == {"id": 1, "kind": "not-run", "queue": own_queues.name, "times": 1, "hits": 0}
        await own_queues.send({"id": "not-run"})
        await host.says("Ordered fault 1, not-run: message")
        fetched = time.time()
        await own_queues.noted("worked", "not-run")
        (only,) = own_queues.notes("work", "not-run")
        assert only["count"] == 2
        assert only["at"] - fetched >= 1.5
        await own_queues.send({"id": "next"})
        (following,) = await own_queues.noted("work", "next")
        assert following["count"] == 1


async def test_a_message_goes_to_the_poison_queue_without_a_try(azurite: Azurite, own_queues: SampleQueues) -> None:
    async with sample(azurite, own_queues) as host:
        await order(host, "faults", {"kind": "poison", "queue": own_queues.name, "times": 2})
        for name in ("first", "second", "third"):
            await own_queues.send({"id": name})
        taken = [json.loads(await own_queues.take(f"{own_queues.name}-poison"))["id"] for _ in range(2)]
        await own_queues.noted("worked")
        (run,) = own_queues.notes("work")
        assert {*taken, run["order"]["id"]} == {"first", "second", "third"}
        assert await own_queues.raw(own_queues.name).peek_messages() == []


async def test_dequeue_count_is_no_count_of_tries_so_leases_alone_make_a_message_poison(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--queue-lease", "1") as host:
        await order(host, "faults", {"kind": "not-run", "queue": own_queues.name, "times": 3})
        await own_queues.send({"id": "never-run"})
        await own_queues.take(f"{own_queues.name}-poison", lambda text: "never-run" in text)
        assert own_queues.notes("work") == []


async def test_a_stopped_timer_does_not_run_while_the_rest_of_the_host_does_until_it_is_cleared(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--auth", tick=True) as host:
        await own_queues.noted("tick")
        assert (await command(host, "fault", "add", "timer", "--function", "tick"))[0] == 0
        await host.says("'Functions.tick' is not run, its timer is stopped")
        ticks = len(own_queues.notes("tick"))
        await asyncio.sleep(2.2)
        assert len(own_queues.notes("tick")) == ticks
        assert (await host.get("/api/echo/1"))[0] == 200
        master = {"x-functions-key": host.keys.master}
        assert (await host.request("POST", "/admin/functions/tick", json={}, headers=master))[0] == 202
        await own_queues.noted("tick", times=ticks + 1)
        assert await command(host, "fault", "list") == (0, '{"id": 1, "kind": "timer", "function": "tick"}')
        assert await command(host, "fault", "clear", "1") == (0, "")
        await own_queues.noted("tick", times=ticks + 3)
        assert await command(host, "fault", "list") == (0, "")


async def test_a_stopped_timer_runs_again_in_the_process_that_replaces_the_host(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, tick=True) as host:
        await order(host, "faults", {"kind": "timer", "function": "tick"})
        await host.says("'Functions.tick' is not run, its timer is stopped")
        ticks = len(own_queues.notes("tick"))
        await order(host, "drain", {"afterSeconds": 0})
        await host.says("Host started", times=2)
        await own_queues.noted("tick", times=ticks + 3)


WRONG = [
    ("faults", {}, '"kind" is one of not-run, poison, timer, not null.'),
    ("faults", {"kind": "late"}, '"kind" is one of not-run, poison, timer, not "late".'),
    ("faults", {"kind": "not-run", "queue": "elsewhere"}, '"queue" names a queue with a trigger, not "elsewhere"'),
    (
        "faults",
        {"kind": "timer", "function": "work"},
        '"function" names a timer function, not "work"; the app has: tick.',
    ),
    ("faults", {"kind": "timer", "function": "tick", "times": 1}, '"times" is not a member of this order'),
    ("faults", {"kind": "poison", "times": -1}, '"times" is a whole number, 0 for all messages, not -1.'),
    ("drain", {"afterSeconds": 3.1}, '"afterSeconds" is a number from 0 to 3, not 3.1.'),
    ("drain", {"afterSeconds": "1"}, '"afterSeconds" is a number from 0 to 3, not "1".'),
    ("drain", {"replace": 1}, '"replace" is true or false, not 1.'),
    ("drain", {"after": 1}, '"after" is not a member of this order; its members are afterSeconds, replace.'),
    ("drain", [], "The body is not a JSON object."),
]


@pytest.mark.parametrize(("path", "body", "message"), WRONG)
async def test_a_wrong_order_is_refused_with_the_member_and_what_it_may_be(
    sample_host: HostProcess, path: str, body: object, message: str
) -> None:
    master = {"x-functions-key": sample_host.keys.master}
    status, answer = await sample_host.request("POST", f"/admin/local/{path}", json=body, headers=master)
    assert status == 400
    assert message in json.loads(answer)["message"]


async def test_orders_need_the_master_key(sample_host: HostProcess) -> None:
    key = {"x-functions-key": sample_host.keys.function_key}
    assert (await sample_host.get("/admin/local/faults", headers=key))[0] == 401
    assert (await sample_host.request("POST", "/admin/local/drain", json={}, headers=key))[0] == 401


async def test_a_command_names_what_is_wrong_and_ends_with_1(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    assert await command(sample_host, "fault", "add", "not-run", "--queue", "elsewhere") == (
        1,
        f'"queue" names a queue with a trigger, not "elsewhere"; the app has: {sample_queues.name}.',
    )
    assert await command(sample_host, "fault", "clear", "7") == (
        1,
        "There is no ordered fault with the id 7; there are: none.",
    )


async def test_a_command_with_keys_of_another_host_names_the_option(sample_host: HostProcess, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    load_or_create(other)
    assert await local_host("fault", "list", "--url", sample_host.url, "--keys", str(other)) == (
        1,
        f"The host at {sample_host.url} refuses the master key of {other}: name the keys file it was started with "
        "(--keys).",
    )


async def test_a_command_to_a_host_that_is_not_there_names_the_option() -> None:
    code, output = await local_host("drain", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert output.startswith("No Functions host answers at http://127.0.0.1:9 (")
    assert output.endswith("): start it with 'python -m local host', or name it with --url.")
