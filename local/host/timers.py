"""Timer triggers: NCrontab and TimeSpan schedules, and the status by which a run is past due."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from croniter import CroniterError, croniter

from local.host import settings
from local.host.errors import AppLoadError, SettingsError
from local.host.protocol import TypedData

if TYPE_CHECKING:
    from pathlib import Path

    from local.host.functions import Function
    from local.host.invocations import Invoker

_NEVER = "0001-01-01T00:00:00"
_log = logging.getLogger("host.timers")


class Schedule:
    """When a timer is due, in UTC.

    Parameters
    ----------
    text
        NCrontab of five fields (minute first) or six (second first), in which day of month and day of week both have to
        match; or a TimeSpan ``hh:mm:ss`` between runs.

    Raises
    ------
    ValueError
        It is neither.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._period: timedelta | None = None
        if ":" in text and " " not in text.strip():
            try:
                seconds = settings.parse_timespan(text, "schedule")
            except SettingsError as exc:
                raise ValueError(str(exc)) from exc
            if seconds <= 0:
                raise ValueError("a period is longer than nothing")
            self._period = timedelta(seconds=seconds)
            return
        if len(text.split()) not in (5, 6):
            raise ValueError("a schedule has five or six fields, or is a time hh:mm:ss")
        try:
            self.after(datetime.now(UTC))
        except CroniterError as exc:
            raise ValueError(str(exc)) from exc

    def after(self, moment: datetime) -> datetime:
        """Return the first occurrence after `moment`."""
        if self._period is not None:
            return moment + self._period
        found: datetime = croniter(self.text, moment, second_at_beginning=True, day_or=False).get_next(datetime)
        return found


class TimerListener:
    """Runs one function on its schedule.

    Parameters
    ----------
    function
        With a timer trigger.
    invoker
        Runs the function.
    state
        The folder in which its status is kept between runs of the host.

    Raises
    ------
    AppLoadError
        The schedule cannot be read.
    """

    def __init__(self, function: Function, invoker: Invoker, state: Path) -> None:
        try:
            self._schedule = Schedule(str(function.trigger["schedule"]))
        except ValueError as exc:
            raise AppLoadError(
                f"Function '{function.name}': the schedule '{function.trigger['schedule']}' cannot be read: {exc}."
            ) from exc
        self._stopping = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._function = function
        self._invoker = invoker
        self._status = state / f"{function.name}.json"
        now = datetime.now(UTC)
        first = self._schedule.after(now)
        # As in the real host, schedules of less than a minute are not monitored: they would be past due at every start.
        often = self._schedule.after(first) - first < timedelta(minutes=1)
        self._monitored = function.trigger.get("useMonitor") is not False and not often

    def stop(self) -> None:
        """End :meth:`listen`, after the run it may be at."""
        self._stopping.set()

    def suspend(self) -> None:
        """Let occurrences pass without a run, until :meth:`resume`; the first of them is kept as past due."""
        self._going.clear()

    def resume(self) -> None:
        """Run on schedule again, after a run that is past due where an occurrence has passed."""
        self._going.set()

    async def listen(self) -> None:
        """Run the function at each occurrence, and at start where it is past due or wants that, until stopped."""
        last, due = self._read_status()
        now = datetime.now(UTC)
        if due is not None and due <= now:
            _log.info("Function 'Functions.%s' is past due: it was to run at %s", self._function.name, due)
            last = await self._run(last, past_due=True)
        elif _is_true(self._function.trigger.get("runOnStartup")):
            last = await self._run(last, past_due=False)
        while not self._stopping.is_set():
            due = self._schedule.after(datetime.now(UTC))
            self._write_status(last, due)
            # A sleep may end a little early, and the next occurrence would be the same one again.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((due - datetime.now(UTC)).total_seconds() + 0.005):
                    await self._stopping.wait()
                return
            suspended = not self._going.is_set()
            if suspended:
                if not await self._resumed():
                    return
                if not self._monitored:
                    continue
            last = await self._run(last, past_due=suspended)

    async def _resumed(self) -> bool:
        """Wait until the timer is resumed; False where it is stopped before that."""
        _log.warning("Ordered fault: function 'Functions.%s' is not run, its timer is stopped", self._function.name)
        waits = {asyncio.create_task(self._going.wait()), asyncio.create_task(self._stopping.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        return not self._stopping.is_set()

    async def _run(self, last: datetime | None, *, past_due: bool) -> datetime:
        started = datetime.now(UTC)
        await self._invoker.run(
            self._function,
            trigger_data(self._schedule.after(started), last, past_due=past_due),
            reason=f"Timer fired at {started.isoformat()}",
        )
        return started

    def _read_status(self) -> tuple[datetime | None, datetime | None]:
        if not self._monitored:
            return None, None
        try:
            status = json.loads(self._status.read_text(encoding="utf-8"))
            if status["Schedule"] != self._schedule.text:
                return None, None
            last = datetime.fromisoformat(status["Last"]) if status["Last"] else None
            return last, datetime.fromisoformat(status["Next"])
        except (OSError, ValueError, KeyError, TypeError):
            return None, None

    def _write_status(self, last: datetime | None, due: datetime) -> None:
        if not self._monitored:
            return
        status = {"Schedule": self._schedule.text, "Last": last and last.isoformat(), "Next": due.isoformat()}
        self._status.parent.mkdir(parents=True, exist_ok=True)
        self._status.write_text(json.dumps(status), encoding="utf-8")


def trigger_data(due: datetime, last: datetime | None, *, past_due: bool) -> TypedData:
    """Build what a timer function is given.

    Parameters
    ----------
    due
        The next occurrence.
    last
        The last run; None if there was none.
    """
    status = {
        "Last": last.isoformat() if last is not None else _NEVER,
        "Next": due.isoformat(),
        "LastUpdated": last.isoformat() if last is not None else _NEVER,
    }
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return TypedData(json=json.dumps(info))


def _is_true(value: object) -> bool:
    return value is True or str(value).lower() == "true"
