"""Queue triggers, queue outputs and timers of the Functions host, against Azurite."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.host_fixtures import HostProcess, SampleQueues

pytest_plugins = ["tests.integration.host_fixtures"]


async def test_an_output_of_several_items_is_as_many_messages_each_run_by_the_trigger(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    orders = [json.dumps({"id": f"listed-{number}"}) for number in range(6)]
    assert (await sample_host.request("POST", "/api/send", json=orders))[0] == 202
    for number in range(6):
        assert await sample_queues.take(sample_queues.done, lambda text, n=number: text == f"listed-{n}")  # type: ignore[misc]


async def test_a_message_comes_with_its_properties(sample_host: HostProcess, sample_queues: SampleQueues) -> None:
    await sample_queues.send({"id": "properties"})
    (note,) = await sample_queues.noted("work", "properties")
    assert note["count"] == 1
    assert note["receipt"] is True
    assert datetime.fromisoformat(note["expires"]) - datetime.fromisoformat(note["inserted"]) == timedelta(days=7)
    assert datetime.fromisoformat(note["next_visible"]) > datetime.fromisoformat(note["inserted"])
    output = await sample_host.says(f"Trigger Details: MessageId: {note['id']}, DequeueCount: 1, InsertionTime: ")
    assert f"Reason='New queue message detected on '{sample_queues.name}'.'" in output
    await sample_host.says("Z] working on properties")


async def test_outputs_are_base64_as_host_json_says(sample_host: HostProcess, sample_queues: SampleQueues) -> None:
    await sample_queues.send({"id": "encoded"})
    await sample_queues.noted("worked", "encoded")
    wanted = base64.b64encode(b"encoded").decode()
    assert await sample_queues.take(sample_queues.done, lambda text: text == wanted, raw=True)


async def test_a_failed_message_is_tried_again_after_the_visibility_timeout(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    await sample_queues.send({"id": "second-try", "fail": 1})
    first, second = await sample_queues.noted("work", "second-try", times=2)
    assert (first["count"], second["count"]) == (1, 2)
    assert second["at"] - first["at"] >= 0.9
    await sample_queues.noted("worked", "second-try")


async def test_a_message_that_fails_every_try_goes_to_the_poison_queue_with_its_body(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    order = {"id": "hopeless", "fail": 99}
    await sample_queues.send(order)
    poisoned = await sample_queues.take(f"{sample_queues.name}-poison", lambda text: "hopeless" in text)
    assert json.loads(poisoned) == order
    assert [note["count"] for note in sample_queues.notes("work", "hopeless")] == [1, 2, 3]
    await sample_host.says(
        f"Message has reached MaxDequeueCount of 3. Moving message to queue '{sample_queues.name}-poison'."
    )


async def test_a_message_in_another_encoding_goes_to_the_poison_queue_at_once(
    sample_host: HostProcess, sample_queues: SampleQueues
) -> None:
    await sample_queues.send({"id": "makes-the-queue"})
    await sample_queues.raw(sample_queues.name).send_message("{plain}")
    await sample_host.says("is not base64, as host.json's messageEncoding wants it")
    await sample_host.says(f"Moving message to queue '{sample_queues.name}-poison'")
    assert await sample_queues.take(f"{sample_queues.name}-poison", lambda text: text == "{plain}", raw=True)


@pytest.mark.parametrize("kind", ["seconds", "blocking"])
async def test_a_lease_is_renewed_while_the_function_runs_even_if_it_blocks_its_event_loop(
    sample_host: HostProcess, sample_queues: SampleQueues, kind: str
) -> None:
    # The host leases for two seconds; without renewal the message would be taken a second time.
    await sample_queues.send({"id": f"long-{kind}", kind: 2.6})
    await sample_queues.noted("worked", f"long-{kind}")
    await sample_queues.take(sample_queues.done, lambda text: text == f"long-{kind}")
    await sample_queues.send({"id": f"after-long-{kind}"})
    await sample_queues.noted("worked", f"after-long-{kind}")
    assert len(sample_queues.notes("work", f"long-{kind}")) == 1


async def test_messages_run_side_by_side(sample_host: HostProcess, sample_queues: SampleQueues) -> None:
    for number in range(4):
        await sample_queues.send({"id": f"beside-{number}", "seconds": 0.8})
    begun, ended = [], []
    for number in range(4):
        ended += await sample_queues.noted("worked", f"beside-{number}")
        begun += sample_queues.notes("work", f"beside-{number}")
    # At least two of them at once: the second began before the first ended.
    assert sorted(note["at"] for note in begun)[1] < min(note["at"] for note in ended)


async def test_a_timer_runs_at_start_and_on_its_schedule(sample_host: HostProcess, sample_queues: SampleQueues) -> None:
    first, second, third = (await sample_queues.noted("tick", times=3))[:3]
    assert first["past_due"] is False
    assert first["status"]["Last"].startswith("0001-01-01")
    assert second["status"]["Last"] < third["status"]["Last"]
    assert datetime.fromisoformat(third["status"]["Next"]) > datetime.fromisoformat(third["status"]["Last"])
