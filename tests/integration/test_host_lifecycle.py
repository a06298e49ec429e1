"""How the Functions host stops, dies, restarts, and what becomes of the messages it was working on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from local.host.storage import create_if_missing
from tests.integration.host_fixtures import sample

if TYPE_CHECKING:
    from local.azurite import Azurite
    from tests.integration.host_fixtures import SampleQueues


pytest_plugins = ["tests.integration.host_fixtures"]


async def test_a_graceful_stop_lets_functions_finish_and_ends_with_0(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        await own_queues.send({"id": "finishing", "seconds": 0.6})
        await own_queues.noted("work", "finishing")
        assert await host.terminate() == 0
    assert own_queues.notes("worked", "finishing")
    assert await own_queues.raw(own_queues.name).peek_messages() == []


async def test_what_does_not_finish_is_handed_back_so_that_the_next_host_takes_it_at_once(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    # The lease is ten minutes: only a message that was handed back comes to the second host within the test.
    async with sample(azurite, own_queues, "--stop-grace", "0.1", functionTimeout="00:10:00") as host:
        await own_queues.send({"id": "interrupted", "seconds": 300})
        await own_queues.noted("work", "interrupted")
        assert await host.terminate() == 0
        assert "was not finished and is handed back" in host.output
    async with sample(azurite, own_queues, "--stop-grace", "0.1", functionTimeout="00:10:00"):
        first, second = await own_queues.noted("work", "interrupted", times=2)
    assert (first["count"], second["count"]) == (1, 2)
    assert own_queues.notes("worked") == []


async def test_a_killed_hosts_message_is_finished_by_the_next_one_after_its_lease(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--queue-lease", "2") as host:
        await own_queues.send({"id": "orphan", "seconds": 1})
        await own_queues.noted("work", "orphan")
        await host.kill()
    assert own_queues.notes("worked") == []
    async with sample(azurite, own_queues, "--queue-lease", "2"):
        await own_queues.noted("worked", "orphan")
        assert await own_queues.take(own_queues.done) == "orphan"
    assert [note["count"] for note in own_queues.notes("work", "orphan")] == [1, 2]


async def test_a_function_whose_code_ends_soon_after_its_timeout_fails_alone(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, functionTimeout="00:00:00.5") as host:
        await own_queues.send({"id": "late", "seconds": 1})
        first, second = await own_queues.noted("work", "late", times=2)
        assert (first["count"], second["count"]) == (1, 2)
        await host.says("Timeout value of 00:00:00.500 was exceeded by function: Functions.work", times=2)
        await own_queues.noted("worked", "late", times=2)
        assert (await host.get("/api/echo/after"))[0] == 200
        assert host.output.count("Host started") == 1


async def test_a_function_that_exceeds_its_timeout_ends_every_invocation_of_its_process(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--timeout-grace", "0", functionTimeout="00:00:02") as host:
        _, before = await host.get("/admin/host/status")
        await own_queues.send({"id": "too-long", "seconds": 60})
        await own_queues.noted("work", "too-long")
        await asyncio.sleep(0.8)
        await own_queues.send({"id": "beside", "seconds": 60})
        await own_queues.noted("work", "beside")
        # Its own timeout would come only after that of the first.
        assert await host.get("/api/answer/slow") == (500, b"")
        output = await host.says("A function timeout has occurred. Restarting worker process executing invocationId")
        assert output.count("Initiating cancellation.") == 1
        await host.says("WorkerProcessExitException: the worker process was restarted after a timeout", times=2)
        await host.says("Host started", times=2)
        # The lease is ten minutes: they come again so soon because they failed.
        for order in ("too-long", "beside"):
            first, second = await own_queues.noted("work", order, times=2)
            assert (first["count"], second["count"]) == (1, 2)
            assert second["at"] - first["at"] >= 1
        _, after = await host.get("/admin/host/status")
        assert json.loads(before)["instanceId"] != json.loads(after)["instanceId"]


async def test_a_function_that_ends_its_process_fails_the_invocations_beside_it(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues) as host:
        await own_queues.send({"id": "beside-exit", "seconds": 60})
        await own_queues.noted("work", "beside-exit")
        assert await host.get("/api/answer/exit") == (500, b"")
        await host.says("Exception: WorkerProcessExitException: python exited with code 3 (0x3)", times=2)
        first, second = await own_queues.noted("work", "beside-exit", times=2)
        assert (first["count"], second["count"]) == (1, 2)


@pytest.mark.parametrize("kind", ["blocking", "hanging", "exit"])
async def test_a_function_that_cannot_be_ended_or_ends_its_process_is_followed_by_a_fresh_process(
    azurite: Azurite, own_queues: SampleQueues, kind: str
) -> None:
    async with sample(azurite, own_queues, "--timeout-grace", "0.2", functionTimeout="00:00:00.5") as host:
        url, process = host.url, host.process.pid
        await own_queues.send({"id": "bystander", "seconds": 0})
        await own_queues.noted("worked", "bystander")
        with pytest.raises(aiohttp.ClientError):
            # The first blocks the worker's event loop for a minute; the host itself is not blocked.
            status, _ = await host.get(f"/api/answer/{kind}")
            raise aiohttp.ClientError(f"answered with {status}")
        await host.says("Host started", times=2)
        assert host.url == url
        assert host.process.pid == process
        assert (await host.get("/api/echo/again"))[0] == 200


async def test_a_blocked_event_loop_does_not_keep_the_host_from_answering_and_stopping(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(azurite, own_queues, "--stop-grace", "0.2") as host:
        blocked = asyncio.create_task(host.get("/api/answer/blocking"))
        await host.says("Executing 'Functions.answer'")
        status, body = await host.get("/admin/host/status")
        assert (status, json.loads(body)["state"]) == (200, "Running")
        assert await host.terminate() == 0
        await asyncio.wait({blocked})
        assert isinstance(blocked.exception(), aiohttp.ClientError) or blocked.result()[0] >= 500


async def test_settings_of_host_json_are_overridden_by_the_environment(
    azurite: Azurite, own_queues: SampleQueues
) -> None:
    async with sample(
        azurite, own_queues, extensions__http__routePrefix="v2", extensions__queues__messageEncoding="none"
    ) as host:
        assert (await host.get("/v2/echo/1"))[0] == 200
        assert (await host.get("/api/echo/1"))[0] == 404
        raw = own_queues.raw(own_queues.name)
        await create_if_missing(raw)
        await raw.send_message(json.dumps({"id": "plain"}))
        await own_queues.noted("worked", "plain")
        assert await own_queues.take(own_queues.done, raw=True) == "plain"
