"""Runs functions as the host does: logged, within host.json's function timeout, outputs delivered."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from local.host.settings import format_timespan
from local.host.worker import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.host.functions import Function
    from local.host.outputs import Outputs
    from local.host.protocol import TypedData
    from local.host.worker import Worker

VIA_HOST = "This function was programmatically called via the host APIs."
_log = logging.getLogger("host.function")


class Invoker:
    """Runs functions of the loaded app.

    A function that takes longer than the timeout fails at once. If its code does not end by itself within `grace`
    seconds, the process that runs it is replaced, and every other invocation in that process fails with it: so does
    the platform's host (WebScriptHostExceptionHandler; azure-functions-host issue 8720, pull request 11159).

    Parameters
    ----------
    worker
        Runs the code.
    outputs
        Delivers what it puts out.
    timeout
        Seconds an invocation may take; None for no limit.
    on_timeout
        Called with the reason when a function exceeded its timeout and its code did not end: the process is to be
        replaced.
    grace
        Seconds that code has to end after its timeout.
    """

    def __init__(
        self,
        worker: Worker,
        outputs: Outputs,
        timeout: float | None,
        on_timeout: Callable[[str], None],
        *,
        grace: float = 2.0,
    ) -> None:
        self._worker = worker
        self._outputs = outputs
        self._timeout = timeout
        self._on_timeout = on_timeout
        self._grace = grace
        self._aborted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._overdue: set[asyncio.Task[None]] = set()
        self._running: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many invocations are on their way."""
        return len(self._running)

    async def until_idle(self, grace: float) -> None:
        """Wait until nothing runs, `grace` seconds at most."""
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return

    def cancel_all(self) -> None:
        """Ask all running invocations to end."""
        for invocation_id in self._running:
            self._worker.cancel(invocation_id)

    def abort_all(self, error: str) -> None:
        """Fail all running invocations with `error` now; their code runs until the process ends."""
        if not self._aborted.done():
            self._aborted.set_result(error)

    async def run(
        self,
        function: Function,
        data: TypedData,
        *,
        reason: str = VIA_HOST,
        details: str = "",
        metadata: Mapping[str, TypedData] | None = None,
        trace_parent: str = "",
        trace_state: str = "",
    ) -> Outcome:
        """Run `function` once.

        Parameters
        ----------
        data
            The trigger's value.
        reason, details
            For the log: why it runs, and what it runs on.
        metadata
            Trigger metadata by name.
        trace_parent, trace_state
            The caller's W3C trace context; a new trace is begun without one.

        Returns
        -------
        Outcome
            With the error of the function, of its timeout, or of an output that could not be delivered.
        """
        call = Call(
            function=function,
            invocation_id=str(uuid.uuid4()),
            data=data,
            metadata=dict(metadata or {}),
            trace_parent=trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
            trace_state=trace_state,
        )
        mark = {"category": f"Function.{function.name}"}
        begun = (function.name, reason, call.invocation_id)
        _log.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", *begun, extra=mark)
        if details:
            _log.info("Trigger Details: %s", details, extra=mark)
        started = time.perf_counter()
        self._running.add(call.invocation_id)
        self._idle.clear()
        try:
            outcome = await self._deliver(call, await self._run_in_time(call))
        finally:
            self._running.discard(call.invocation_id)
            if not self._running:
                self._idle.set()
        took = round((time.perf_counter() - started) * 1000)
        ended = (function.name, call.invocation_id, took)
        if outcome.error is None:
            _log.info("Executed 'Functions.%s' (Succeeded, Id=%s, Duration=%dms)", *ended, extra=mark)
        else:
            _log.error("Executed 'Functions.%s' (Failed, Id=%s, Duration=%dms)", *ended, extra=mark)
            _log.error(
                "Exception while executing function: Functions.%s. Result: Failure\nException: %s\nStack: %s",
                function.name,
                outcome.error,
                outcome.stack_trace.rstrip(),
                extra=mark,
            )
        return outcome

    async def _deliver(self, call: Call, outcome: Outcome) -> Outcome:
        if outcome.error is not None or not call.function.outputs:
            return outcome
        try:
            await self._outputs.deliver(call.function, outcome)
        except (AzureError, UnicodeDecodeError) as exc:
            return Outcome(error=f"An output binding failed: {type(exc).__name__}: {exc}")
        return outcome

    async def _run_in_time(self, call: Call) -> Outcome:
        invocation = asyncio.ensure_future(self._worker.invoke(call))
        ends: set[asyncio.Future[Any]] = {invocation, self._aborted}
        done, _ = await asyncio.wait(ends, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        if invocation in done:
            return invocation.result()
        if done:
            return Outcome(error=self._aborted.result())
        text = (
            f"Timeout value of {format_timespan(self._timeout or 0)} was exceeded by function: "
            f"Functions.{call.function.name}"
        )
        _log.error("%s (Id: '%s'). Initiating cancellation.", text, call.invocation_id)
        overdue = asyncio.create_task(self._end_overdue(call, invocation))
        self._overdue.add(overdue)
        overdue.add_done_callback(self._overdue.discard)
        return Outcome(error=f"FunctionTimeoutException: {text}")

    async def _end_overdue(self, call: Call, invocation: asyncio.Future[Outcome]) -> None:
        done, _ = await asyncio.wait({invocation}, timeout=self._grace)
        if not done:
            self._on_timeout(
                "A function timeout has occurred. Restarting worker process executing invocationId "
                f"'{call.invocation_id}'."
            )
