"""Faults of a topic, as a publisher and a subscriber meet them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import typer
from typer.testing import CliRunner

from local.eventgrid.cli import register
from local.eventgrid.clock import EmulatedClock
from tests.integration.eventgrid_fixtures import Subscriber, emulator, event, settings, subscriber

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.eventgrid.emulator import EventGridEmulator

ABOUT = "/topics/acs/faults"


class Publisher:
    """Publishes to the topic, and orders faults."""

    def __init__(self, grid: EventGridEmulator, session: aiohttp.ClientSession, hook: Subscriber) -> None:
        self.grid = grid
        self._session = session
        self._hook = hook

    async def control(self, method: str, path: str = ABOUT, body: object = None) -> tuple[int, Any]:
        async with self._session.request(method, f"{self.grid.endpoint}/control{path}", json=body) as response:
            return response.status, await response.json()

    async def fault(self, **order: Any) -> None:
        status, said = await self.control("POST", body=order)
        assert status == 201, said

    async def publish(self, identifier: str, *, key: str | None = None, **more: Any) -> tuple[int, str | None]:
        headers = {"aeg-sas-key": key or self.grid.topic_key("acs")}
        url = self.grid.topic_endpoint("acs")
        async with self._session.post(url, json=[event(identifier, **more)], headers=headers) as response:
            return response.status, response.headers.get("Retry-After")

    async def heard(self) -> list[str]:
        assert await self.grid.wait_until_idle(5)
        return [delivered["id"] for delivered in self._hook.events()]


@asynccontextmanager
async def publishing(clock: EmulatedClock | None = None) -> AsyncIterator[Publisher]:
    async with emulator(clock=clock) as grid, subscriber() as hook, aiohttp.ClientSession() as session:
        await grid.create_subscription("acs", settings(hook.url))
        yield Publisher(grid, session, hook)


async def test_a_status_is_answered_as_often_as_ordered_and_the_events_are_not_taken() -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="429", retryAfter=7, times=2)
        assert [await publisher.publish(name) for name in "abc"] == [(429, "7"), (429, "7"), (200, None)]
        assert await publisher.heard() == ["c"]
        assert publisher.grid.metrics("acs")["PublishFailCount"] == 2
        _, [shown] = await publisher.control("GET")
        assert (shown["hits"], shown["timesLeft"]) == (2, 0)


@pytest.mark.parametrize("taken", [True, False])
async def test_a_publisher_without_an_answer_does_not_know_whether_the_events_were_taken(taken: bool) -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="reset", taken=taken)
        with pytest.raises(aiohttp.ClientError):
            await publisher.publish("a")
        assert await publisher.publish("a") == (200, None)
        assert await publisher.heard() == ["a"] * (2 if taken else 1)


async def test_a_publisher_is_kept_waiting_until_it_goes_away() -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="stall")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await publisher.publish("a")
        assert await publisher.publish("b") == (200, None)
        assert await publisher.heard() == ["b"]


async def test_a_late_answer_comes_after_the_events_were_taken() -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="latency", latencySeconds=60)
        waiting = asyncio.create_task(publisher.publish("a"))
        while not await publisher.heard():
            await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_fault_meets_only_the_events_that_pass_its_filter() -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="500", times=None, filter={"subjectEndsWith": "/mine"})
        assert await publisher.publish("a", subject="/yours") == (200, None)
        assert await publisher.publish("b", subject="/mine") == (500, None)


async def test_who_is_refused_anyway_uses_no_fault_up() -> None:
    async with publishing() as publisher:
        await publisher.fault(kind="503")
        assert (await publisher.publish("a", key="wrong"))[0] == 401
        assert (await publisher.publish("a", eventTime="never"))[0] == 400
        assert (await publisher.publish("a"))[0] == 503


async def test_a_fault_goes_when_its_emulated_time_is_over_or_it_is_taken_back() -> None:
    clock = EmulatedClock()
    async with publishing(clock) as publisher:
        await publisher.fault(kind="503", forSeconds=3600)
        assert [(await publisher.publish("a"))[0] for _ in range(2)] == [503, 503]
        clock.advance(3600)
        assert (await publisher.publish("a"))[0] == 200
        await publisher.fault(kind="500", times=None)
        assert (await publisher.publish("a"))[0] == 500
        assert await publisher.control("DELETE", f"{ABOUT}/2") == (200, {"removed": 1})
        assert (await publisher.control("DELETE", f"{ABOUT}/2"))[0] == 404
        assert (await publisher.publish("a"))[0] == 200
        assert await publisher.control("DELETE") == (200, {"removed": 1})


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"kind": "status"}, "needs status"),
        ({"kind": "stall", "retryAfter": 3}, "does not take retryAfter"),
        ({"kind": "latency", "latencySeconds": 1, "taken": True}, "does not take taken"),
        ({"kind": "503", "times": 0}, "'times'"),
    ],
)
async def test_an_order_that_makes_no_sense_says_why(order: dict[str, Any], said: str) -> None:
    async with publishing() as publisher:
        status, answer = await publisher.control("POST", body=order)
        assert status == 400
        assert said in answer["error"]["message"]


async def test_the_commands_order_list_and_take_back() -> None:
    app = typer.Typer()
    register(app)
    async with publishing() as publisher:

        async def command(*arguments: str) -> str:
            full = ("topic", "fault", *arguments, "--eventgrid", publisher.grid.endpoint)
            result = await asyncio.to_thread(CliRunner().invoke, app, full)
            assert result.exit_code == 0, result.output
            return result.output

        await command("add", "503", "--times", "0", "--retry-after", "2", "--subject-ends-with", "/mine", "--taken")
        assert await publisher.publish("a", subject="/mine") == (503, "2")
        assert await publisher.heard() == ["a"]
        [listed] = json.loads(await command("list", "--json"))
        assert (listed["status"], listed["times"], listed["hits"]) == (503, None, 1)
        assert await command("clear") == "removed 1\n"
