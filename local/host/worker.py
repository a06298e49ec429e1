"""The app's side: `azure-functions-runtime` in a thread with an event loop of its own.

In Azure the worker is a process beside the host. Here it is a thread beside the host's loop, so that a function which
blocks its loop does what it does there: it stalls the app's other async functions, and neither the HTTP listener, the
renewal of message leases nor the function timeout. The library's registry is global: one app a process.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import azure_functions_runtime as library
from azure_functions_runtime import handle_event

from local.host.errors import AppLoadError
from local.host.functions import Function, from_metadata
from local.host.protocol import Message, ParameterBinding, RpcHttp, StatusResult, TypedData, request

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Mapping
    from pathlib import Path

_running_function: contextvars.ContextVar[str | None] = contextvars.ContextVar("running_function", default=None)
_functions_by_invocation: dict[str, str] = {}
_log = logging.getLogger("host.worker")


def current_function() -> str | None:
    """Name the function in whose invocation the caller runs, on the loop or in a thread of the pool; else None."""
    invocation_id = library.invocation_id_cv.get()
    return _running_function.get() or (_functions_by_invocation.get(invocation_id) if invocation_id else None)


@dataclass(slots=True, frozen=True)
class Call:
    """What an invocation hands to the worker.

    Parameters
    ----------
    function
        What to run.
    invocation_id
        A UUID.
    data
        The trigger's value.
    metadata
        Trigger metadata by name.
    trace_parent, trace_state
        W3C trace context.
    """

    function: Function
    invocation_id: str
    data: TypedData
    metadata: dict[str, TypedData] = field(default_factory=dict)
    trace_parent: str = ""
    trace_state: str = ""


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of an invocation.

    Parameters
    ----------
    error
        ``Type: text`` of the function's exception; None where it succeeded.
    stack_trace
        Its traceback.
    return_value
        What an HTTP function or a ``$return`` binding gave.
    outputs
        What output bindings were set to, by name.
    """

    error: str | None = None
    stack_trace: str = ""
    return_value: TypedData | None = None
    outputs: dict[str, TypedData] = field(default_factory=dict)

    @property
    def http(self) -> RpcHttp | None:
        """The HTTP response, if that is what the function returned."""
        found = getattr(self.return_value, "http", None)
        return found if isinstance(found, RpcHttp) else None


class Worker:
    """Loads one function app and runs its functions, in a thread of its own.

    Parameters
    ----------
    root
        The folder of function_app.py; becomes first on `sys.path`.
    on_death
        Called, in the worker's thread, with the exit code when a function ended the loop by `sys.exit` and the like;
        nothing more can run.
    """

    def __init__(self, root: Path, on_death: Callable[[int], None]) -> None:
        self._root = root
        self._on_death = on_death
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="worker", daemon=True)
        self._running: dict[str, asyncio.Task[Message]] = {}

    async def load(self, environment: Mapping[str, str]) -> list[Function]:
        """Import, index and type-check the app.

        Returns
        -------
        list of Function
            In the order of their definition.

        Raises
        ------
        AppLoadError
            The library refused the app; the message is its reason, with the place in the app's source.
        SettingsError
            A binding refers to an app setting that is not there.
        """
        if not (self._root / "function_app.py").is_file():
            raise AppLoadError(f"There is no function_app.py in {self._root}: name the app's folder with --root.")
        sys.path.insert(0, str(self._root))
        self._thread.start()
        return await asyncio.wrap_future(self._submit(self._load(dict(environment))))

    async def invoke(self, call: Call) -> Outcome:
        """Run a function once; its exceptions are in the outcome, and so is a cancellation."""
        return await asyncio.wrap_future(self._submit(self._invoke(call)))

    def cancel(self, invocation_id: str) -> None:
        """Ask a running invocation to end; one that runs in a thread only stops being waited for."""

        def cancel_task() -> None:
            task = self._running.get(invocation_id)
            if task is not None:
                task.cancel("the host gave the invocation up")

        self._loop.call_soon_threadsafe(cancel_task)

    def stop(self) -> None:
        """Stop the loop; functions still running are left behind, in threads that end with the process."""
        self._stopping = True
        executor = library.get_threadpool_executor()
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _submit[T](self, coroutine: Any) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        code = 0
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as exc:
            # asyncio lets these two end the loop, as they end the worker process in Azure.
            _log.exception("A function ended the worker")
            code = _exit_code(exc)
        if not self._stopping:
            self._on_death(code)

    async def _load(self, environment: dict[str, str]) -> list[Function]:
        library.start_threadpool_executor()
        init = Message(capabilities={}, function_app_directory=str(self._root))
        try:
            answer = await library.worker_init_request(request(worker_init_request=init))
        except SystemExit as exc:
            raise AppLoadError(_refusal(self._root, f"SystemExit({exc}): function_app.py ended the process")) from exc
        if answer.result.status != StatusResult.Success:
            raised = answer.result.exception
            raise AppLoadError(_refusal(self._root, raised.message, raised.stack_trace))
        if handle_event.HttpV2Registry.http_v2_enabled():
            raise AppLoadError(
                "The app uses HTTP streaming (azurefunctions-extensions-http-fastapi), which the local host does not "
                "have: take func.HttpRequest and return func.HttpResponse."
            )
        indexed = await library.functions_metadata_request(request())
        functions = []
        for metadata in indexed.function_metadata_results or []:
            load = Message(function_id=metadata.function_id, metadata=metadata)
            await library.function_load_request(request(function_load_request=load))
            if metadata.retry_options is not None:
                _log.warning("Function '%s': its retry policy is not applied by the local host", metadata.name)
            info = handle_event._functions.get_function(metadata.function_id)
            functions.append(
                from_metadata(
                    metadata.name,
                    metadata.function_id,
                    metadata.raw_bindings,
                    asynchronous=info.is_async,
                    environment=environment,
                )
            )
        if not functions:
            raise AppLoadError(f"{self._root / 'function_app.py'} defines no function: decorate one with a trigger.")
        return functions

    async def _invoke(self, call: Call) -> Outcome:
        _running_function.set(call.function.name)
        message = Message(
            invocation_id=call.invocation_id,
            function_id=call.function.id,
            input_data=[ParameterBinding(str(call.function.trigger["name"]), call.data)],
            trigger_metadata=call.metadata,
            trace_context=Message(trace_parent=call.trace_parent, trace_state=call.trace_state, attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        task = self._loop.create_task(library.invocation_request(request(invocation_request=message)))
        self._running[call.invocation_id] = task
        _functions_by_invocation[call.invocation_id] = call.function.name
        try:
            await asyncio.wait({task})
        finally:
            self._running.pop(call.invocation_id, None)
            _functions_by_invocation.pop(call.invocation_id, None)
        return _outcome(task)


def _exit_code(exc: SystemExit | KeyboardInterrupt) -> int:
    """Return the code with which Python ends a process after `exc`."""
    if isinstance(exc, KeyboardInterrupt):
        return 130
    return exc.code if isinstance(exc.code, int) else int(exc.code is not None)


def _outcome(task: asyncio.Task[Message]) -> Outcome:
    if task.cancelled():
        return Outcome(error="CancelledError: the invocation was cancelled")
    exception = task.exception()
    if exception is not None:
        _log.error("The worker library failed", exc_info=exception)
        return Outcome(error=f"{type(exception).__name__}: {exception}")
    answer = task.result()
    if answer.result.status != StatusResult.Success:
        return Outcome(error=answer.result.exception.message, stack_trace=answer.result.exception.stack_trace)
    return Outcome(
        return_value=answer.return_value,
        outputs={binding.name: binding.data for binding in answer.output_data if binding.data is not None},
    )


def _refusal(root: Path, message: str, stack_trace: str = "") -> str:
    """Write why an app was refused, with the innermost place of its own source."""
    # The library adds the whole of sys.path to an import's message.
    message = message.partition(". Cannot find module.")[0]
    lines = [f"The function app in {root} cannot be loaded.", "", f"  {message}"]
    own = str(root) + "/"
    places = [
        (file.removeprefix(own), line)
        for file, line in re.findall(r'File "([^"]+)", line (\d+)', stack_trace)
        if file.startswith(own) and "/site-packages/" not in file
    ]
    if places:
        lines.append(f"  at {places[-1][0]}, line {places[-1][1]}")
    return "\n".join(lines)
