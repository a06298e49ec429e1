"""NCrontab schedules and what a timer does when the host was down at its time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from local.host.functions import Function
from local.host.timers import Schedule, TimerListener
from local.host.worker import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from local.host.invocations import Invoker
    from local.host.protocol import TypedData

START = datetime(2026, 11, 22, 7, 0, 0, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("schedule", "occurrences"),
    [
        ("*/5 * * * * *", ["2026-11-22T07:00:05", "2026-11-22T07:00:10"]),
        ("0 */5 * * * *", ["2026-11-22T07:05:00", "2026-11-22T07:10:00"]),
        ("*/5 * * * *", ["2026-11-22T07:05:00", "2026-11-22T07:10:00"]),
        ("0 0 9-10 * * MON-FRI", ["2026-11-23T09:00:00", "2026-11-23T10:00:00"]),
        ("0 30 9 * Jan Mon", ["2027-01-04T09:30:00", "2027-01-11T09:30:00"]),
        ("0 0 0 1 * 1", ["2027-02-01T00:00:00", "2027-03-01T00:00:00"]),
        ("01:30:00", ["2026-11-22T08:30:00", "2026-11-22T10:00:00"]),
        ("1.00:00:00", ["2026-11-23T07:00:00", "2026-11-24T07:00:00"]),
    ],
)
def test_occurrences_are_those_of_ncrontab(schedule: str, occurrences: list[str]) -> None:
    found, moment = [], START
    for _ in occurrences:
        moment = Schedule(schedule).after(moment)
        found.append(moment.replace(tzinfo=None).isoformat())
    assert found == occurrences


@pytest.mark.parametrize(
    "schedule", ["", "* * *", "every day", "61 * * * * *", "* * * * * * *", "00:00:00", "25:00:00"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Schedule(schedule)


class RecordingInvoker:
    """Notes what a timer function is given."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []
        self.ran = asyncio.Event()

    async def run(self, function: Function, data: TypedData, *, reason: str) -> Outcome:
        assert function.name == "timed"
        assert reason.startswith("Timer fired at ")
        self.given.append(data.value())
        self.ran.set()
        return Outcome()


def listener(state: Path, schedule: str, **attributes: object) -> tuple[TimerListener, RecordingInvoker]:
    trigger = {"type": "timerTrigger", "name": "timer", "schedule": schedule, **attributes}
    function = Function("timed", "id", trigger, {}, [trigger], asynchronous=True, disabled=False)
    invoker = RecordingInvoker()
    return TimerListener(function, cast("Invoker", invoker), state), invoker


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def until(path: Path, old: str = "") -> str:
    """Wait for the status file to be written."""
    text = old
    while text == old:
        await asyncio.sleep(0.01)
        text = await asyncio.to_thread(lambda: path.read_text() if path.exists() else "") or old
    return text


async def test_a_run_that_was_missed_is_made_up_for_at_start(tmp_path: Path) -> None:
    due = datetime.now(UTC) - timedelta(hours=1)
    last = due - timedelta(days=1)
    status = {"Schedule": "0 0 0 1 1 *", "Last": last.isoformat(), "Next": due.isoformat()}
    (tmp_path / "timed.json").write_text(json.dumps(status))
    timer, invoker = listener(tmp_path, "0 0 0 1 1 *")
    task = asyncio.create_task(timer.listen())
    await invoker.ran.wait()
    after = json.loads(await until(tmp_path / "timed.json", json.dumps(status)))
    await stopped(task)
    assert [given["IsPastDue"] for given in invoker.given] == [True]
    assert invoker.given[0]["ScheduleStatus"]["Last"] == last.isoformat()
    assert datetime.fromisoformat(after["Next"]) > datetime.now(UTC)


@pytest.mark.parametrize("change", [{"schedule": "0 0 0 2 1 *"}, {"schedule": "0 0 0 1 1 *", "useMonitor": False}])
async def test_a_changed_or_unmonitored_schedule_is_never_past_due(tmp_path: Path, change: dict[str, Any]) -> None:
    due = datetime.now(UTC) - timedelta(hours=1)
    status = {"Schedule": "0 0 0 1 1 *", "Last": None, "Next": due.isoformat()}
    (tmp_path / "timed.json").write_text(json.dumps(status))
    timer, invoker = listener(tmp_path, **change, runOnStartup=True)
    task = asyncio.create_task(timer.listen())
    await invoker.ran.wait()
    await stopped(task)
    assert [given["IsPastDue"] for given in invoker.given] == [False]


async def test_a_timer_that_runs_at_start_does_so_once_and_then_waits_for_its_time(tmp_path: Path) -> None:
    timer, invoker = listener(tmp_path, "0 0 0 1 1 *", runOnStartup=True)
    task = asyncio.create_task(timer.listen())
    status = json.loads(await until(tmp_path / "timed.json"))
    await stopped(task)
    assert len(invoker.given) == 1
    assert status["Next"].endswith("-01-01T00:00:00+00:00")


@pytest.mark.parametrize(("monitored", "past_due"), [(True, [False, True]), (False, [False])])
async def test_a_timer_that_is_resumed_makes_up_for_what_it_missed_where_it_is_monitored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, monitored: bool, past_due: list[bool]
) -> None:
    timer, invoker = listener(tmp_path, "00:01:00", runOnStartup=True, useMonitor=monitored)
    # Due 50 ms after each run, for the listener alone.
    cast("Any", timer)._schedule._period = timedelta(seconds=0.05)
    timer.suspend()
    task = asyncio.create_task(timer.listen())
    while "its timer is stopped" not in caplog.text:
        await asyncio.sleep(0.01)
    missed = len(invoker.given)
    await asyncio.sleep(0.1)
    assert len(invoker.given) == missed == 1
    timer.resume()
    while len(invoker.given) < 2:
        await asyncio.sleep(0.01)
    await stopped(task)
    assert [given["IsPastDue"] for given in invoker.given][: len(past_due)] == past_due
    if not monitored:
        assert not any(given["IsPastDue"] for given in invoker.given)
