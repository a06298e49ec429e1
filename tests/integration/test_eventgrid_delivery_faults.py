"""Faults of delivery: events doubled, shuffled, late and lost, for a topic or for one subscription."""

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
from tests.integration.eventgrid_fixtures import Subscriber, emulator, event, settings, subscriber

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.eventgrid.emulator import EventGridEmulator

TOPIC = "/control/topics/acs/faults"
FIRST = "/control/topics/acs/subscriptions/first/faults"


class Two:
    """A topic with the subscriptions `first` and `second`."""

    def __init__(self, grid: EventGridEmulator, first: Subscriber, second: Subscriber) -> None:
        self.grid = grid
        self._hooks = {"first": first, "second": second}

    async def fault(self, at: str, **order: Any) -> None:
        status, answer = await self.ask("POST", at, order)
        assert status == 201, answer

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with aiohttp.ClientSession(self.grid.endpoint) as http, http.request(method, path, json=body) as response:
            return response.status, await response.json()

    def publish(self, *ids: str, **more: Any) -> None:
        body = json.dumps([event(identifier, **more) for identifier in ids]).encode()
        self.grid.publish("acs", {"aeg-sas-key": self.grid.topic_key("acs")}, "application/json", body)

    async def heard(self, name: str = "first") -> list[str]:
        assert await self.grid.wait_until_idle(5)
        return [delivered["id"] for delivered in self._hooks[name].events()]


@asynccontextmanager
async def two() -> AsyncIterator[Two]:
    # One delivery at a time, so that the order of arrival is the order of delivery.
    async with emulator(concurrent_deliveries=1) as grid, subscriber() as first, subscriber() as second:
        await grid.create_subscription("acs", settings(first.url, "first"))
        await grid.create_subscription("acs", settings(second.url, "second"))
        yield Two(grid, first, second)


async def test_an_event_is_delivered_more_than_once() -> None:
    async with two() as made:
        await made.fault(TOPIC, kind="doubled", copies=2)
        made.publish("a", "b")
        assert sorted(await made.heard("first")) == ["a", "a", "a", "b"]
        assert sorted(await made.heard("second")) == ["a", "a", "a", "b"]
        _, [shown] = await made.ask("GET", TOPIC)
        assert (shown["hits"], shown["timesLeft"]) == (1, 0)


async def test_events_arrive_in_another_order() -> None:
    async with two() as made:
        await made.fault(TOPIC, kind="shuffled", withinSeconds=600, times=None)
        sent = [f"{number:02}" for number in range(30)]
        made.publish(*sent)
        made.grid.clock.advance(600)
        heard = await made.heard()
        assert heard != sent
        assert sorted(heard) == sent


async def test_an_event_is_delivered_late() -> None:
    async with two() as made:
        await made.fault(TOPIC, kind="late", delaySeconds=3600)
        made.publish("late", "prompt")
        assert not await made.grid.wait_until_idle(0.3)
        assert {item["eventId"] for item in made.grid.pending()} == {"late"}
        made.grid.clock.advance(3601)
        assert await made.heard() == ["prompt", "late"]


async def test_an_event_is_lost_and_nothing_says_so() -> None:
    async with two() as made:
        await made.fault(TOPIC, kind="lost", filter={"subjectEndsWith": "/mine"})
        made.publish("lost", subject="/mine")
        made.publish("found", subject="/mine")
        assert (await made.heard("first"), await made.heard("second")) == (["found"], ["found"])
        metrics = made.grid.metrics("acs", "first")
        assert (metrics["MatchedEventCount"], metrics["DeliverySuccessCount"], metrics["DroppedEventCount"]) == (
            2,
            1,
            0,
        )


@pytest.mark.parametrize(
    ("order", "first"),
    [({"kind": "lost"}, []), ({"kind": "doubled"}, ["a", "a"])],
)
async def test_a_fault_of_one_subscription_leaves_the_other_alone(order: dict[str, Any], first: list[str]) -> None:
    async with two() as made:
        await made.fault(FIRST, **order)
        made.publish("a")
        assert (await made.heard("first"), await made.heard("second")) == (first, ["a"])
        assert await made.ask("DELETE", FIRST) == (200, {"removed": 1})


async def test_faults_of_delivery_and_of_publishing_do_not_use_each_other_up() -> None:
    async with two() as made:
        await made.fault(TOPIC, kind="lost")
        await made.fault(TOPIC, kind="503", taken=True)
        made.publish("a")
        made.publish("b")
        assert await made.heard() == ["b"]
        _, shown = await made.ask("GET", TOPIC)
        assert [fault["hits"] for fault in shown] == [1, 1]


@pytest.mark.parametrize(
    ("at", "order", "said"),
    [
        (FIRST, {"kind": "503"}, "order it for the topic"),
        (FIRST, {"kind": "late"}, "needs delaySeconds"),
        (TOPIC, {"kind": "lost", "copies": 3}, "does not take copies"),
        (TOPIC, {"kind": "doubled", "copies": 0}, "'copies'"),
        ("/control/topics/acs/subscriptions/none/faults", {"kind": "lost"}, "has no subscription 'none'"),
    ],
)
async def test_an_order_that_makes_no_sense_says_why(at: str, order: dict[str, Any], said: str) -> None:
    async with two() as made:
        status, answer = await made.ask("POST", at, order)
        assert status in (400, 404)
        assert said in answer["error"]["message"]


async def test_the_commands_order_list_and_remove_faults_of_a_subscription() -> None:
    app = typer.Typer()
    register(app)
    async with two() as made:

        async def command(*arguments: str) -> str:
            full = ("topic", "fault", *arguments, "--subscription", "first", "--eventgrid", made.grid.endpoint)
            result = await asyncio.to_thread(CliRunner().invoke, app, full)
            assert result.exit_code == 0, result.output
            return result.output

        await command("add", "doubled", "--copies", "3")
        await command("add", "late", "--delay", "60", "--times", "0")
        await command("add", "shuffled", "--within", "5")
        made.publish("a")
        made.grid.clock.advance(66)
        assert await made.heard("first") == ["a"] * 4
        assert await made.heard("second") == ["a"]
        listed = json.loads(await command("list", "--json"))
        assert [(fault["kind"], fault["hits"]) for fault in listed] == [("doubled", 1), ("late", 1), ("shuffled", 1)]
        assert await command("clear") == "removed 3\n"
