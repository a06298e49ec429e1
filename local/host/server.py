"""The host itself: reads settings, loads the app, listens, and stops in good order."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import time
import uuid
from typing import TYPE_CHECKING

from aiohttp import web
from azure_functions_runtime.version import VERSION as LIBRARY_VERSION

from local.host import console, eventgrid, settings, shutdown
from local.host.admin import Admin
from local.host.endings import Ending
from local.host.errors import HostError, PortTakenError
from local.host.eventgrid import EventGridWebhook
from local.host.faults import Faults
from local.host.functions import EVENT_GRID, HTTP, QUEUE, TIMER, Function
from local.host.http_trigger import HttpFunctions
from local.host.invocations import Invoker
from local.host.keys import Keys, load_or_create
from local.host.listeners import Listeners
from local.host.orders import Orders
from local.host.outputs import Outputs
from local.host.queues import QueueListener
from local.host.storage import Queues
from local.host.timers import TimerListener
from local.host.worker import Worker

if TYPE_CHECKING:
    from local.host.endings import Drain
    from local.host.options import HostOptions

DEFAULT_PORT = 7071
MAX_BODY = 100 * 1024 * 1024
"""Bytes of a request's body, the limit of the real host."""
_log = logging.getLogger("host")


class FunctionsHost:
    """A Functions host for one app; one a process, because the worker library's registry is global.

    Parameters
    ----------
    options
        How to run it.

    Raises
    ------
    HostError
        The settings or the keys cannot be used.
    """

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._root = options.root.resolve()
        if not self._root.is_dir():
            raise HostError(f"There is no folder {self._root}: name the app's folder with --root.")
        local = settings.read_local_settings(self._root)
        settings.apply_local_settings(local, os.environ)
        self._settings = settings.read_host_settings(self._root, os.environ)
        self._keys = load_or_create(options.keys_file)
        self._timer_state = options.keys_file.resolve().parent / "timers"
        self._port = options.port if options.port is not None else local.port or DEFAULT_PORT
        self._state = "Initializing"
        self._started = time.monotonic()
        self._instance = str(uuid.uuid4())
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._signals = 0
        self._ending = Ending.STOPPED
        self._failure: str | None = None
        self._drain: Drain | None = None
        self._functions: list[Function] = []
        self._listeners = Listeners()
        self._faults = Faults()
        self._queues = Queues(os.environ)
        self._worker = Worker(self._root, self._worker_died)
        self._outputs = Outputs(self._queues, self._settings.queues.message_encoding, self._listeners.notify)
        self._invoker = Invoker(
            self._worker, self._outputs, self._settings.function_timeout, self._timed_out, grace=options.timeout_grace
        )
        self._http: HttpFunctions | None = None
        self._webhook: EventGridWebhook | None = None
        self._admin: Admin | None = None

    @property
    def port(self) -> int:
        """The port the host listens on, once it does."""
        return self._port

    @property
    def base_url(self) -> str:
        """Where callers on this machine reach the host."""
        name = "localhost" if self._options.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else self._options.host
        return f"http://{name}:{self._port}"

    def stop(self) -> None:
        """Ask the host to stop in good order."""
        self._stop.set()

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals > 1:
            # Asked twice: no waiting for anything.
            os._exit(130)
        self._ending = Ending.STOPPED
        self.stop()

    async def run(self) -> Ending:
        """Serve until stopped by :meth:`stop`, SIGINT or SIGTERM.

        Returns
        -------
        Ending
            What is to follow: the end, or a fresh process, because a function exceeded its timeout or ended the
            worker, or a drain was ordered.

        Raises
        ------
        HostError
            The port is taken, or the app is refused.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled)
        log = console.install(self._settings.log_levels, verbose=self._options.verbose)
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await self._bind(runner)
            if await self._load_unless_stopped():
                log.loading = False
                self._listeners.start()
                self._state = "Running"
                self._announce()
                await self._stop.wait()
                await self._wind_down()
        finally:
            self._worker.stop()
            await runner.cleanup()
            await self._queues.close()
        return self._ending

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Lead a request to the host's own routes, the Event Grid webhook or a function."""
        path = request.rel_url.raw_path
        lower = path.lower().rstrip("/")
        if lower == "/admin/host/ping":
            return web.Response()
        if lower == "/admin/host/status":
            return web.json_response(self._status())
        if self._http is None or self._webhook is None or self._admin is None or self._state == "Stopping":
            return web.Response(status=503, text="Function host is not running.")
        if lower.startswith("/admin/") or lower == "":
            return await self._admin.answer(request)
        if lower == eventgrid.PATH:
            return await self._webhook.answer(request)
        return await self._http.answer(request)

    def _status(self) -> dict[str, object]:
        return {
            "id": "local",
            "state": self._state,
            "version": "4.0.0-local",
            "versionDetails": f"azure-functions-runtime {LIBRARY_VERSION}",
            "instanceId": self._instance,
            "computerName": socket.gethostname(),
            "processUptime": round((time.monotonic() - self._started) * 1000),
        }

    async def _bind(self, runner: web.AppRunner) -> None:
        site = web.TCPSite(runner, self._options.host, self._port)
        try:
            await site.start()
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"Port {self._port} is in use by another process: stop that, or choose another port with --port."
                ) from exc
            raise HostError(f"Cannot listen on {self._options.host}:{self._port}: {exc.strerror}.") from exc
        self._port = runner.addresses[0][1]
        os.environ.setdefault("WEBSITE_HOSTNAME", f"localhost:{self._port}")

    async def _load_unless_stopped(self) -> bool:
        """Load the app; False where the host was stopped before, as an app that hangs while it is imported needs it."""
        loading = asyncio.create_task(self._load())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not loading.done():
            loading.cancel()
            return False
        loading.result()
        return True

    async def _load(self) -> None:
        os.chdir(self._root)
        self._functions = await self._worker.load(os.environ)
        keys: Keys | None = self._keys if self._options.auth else None
        enabled = [function for function in self._functions if not function.disabled]
        for function in enabled:
            self._outputs.prepare(function)
            if function.kind == QUEUE:
                listener = QueueListener(
                    function,
                    self._queues,
                    self._settings.queues,
                    self._invoker,
                    faults=self._faults,
                    lease=self._options.queue_lease,
                )
                self._listeners.queues.append(listener)
            elif function.kind == TIMER:
                self._listeners.timers[function.name] = TimerListener(function, self._invoker, self._timer_state)
        prefix = self._settings.route_prefix
        self._http = HttpFunctions((f for f in enabled if f.kind == HTTP), prefix, keys, self._invoker)
        self._webhook = EventGridWebhook((f for f in enabled if f.kind == EVENT_GRID), keys, self._invoker)
        names = {listener.queue_name for listener in self._listeners.queues}
        orders = Orders(self._faults, names, self._listeners.timers, self._drain_ordered)
        self._admin = Admin(self._functions, prefix, keys, self._invoker, orders, self.base_url)

    def _timed_out(self, reason: str) -> None:
        self._replace_worker(reason, "WorkerProcessExitException: the worker process was restarted after a timeout")

    def _worker_died(self, code: int) -> None:
        end = shutdown.exited(code)
        self._loop.call_soon_threadsafe(self._replace_worker, end, f"WorkerProcessExitException: {end}")

    def _replace_worker(self, reason: str, error: str) -> None:
        """Fail what runs with `error`, and have the process replaced; not where it is ending already."""
        if self._stop.is_set():
            return
        _log.error(reason)
        self._failure = error
        self._ending = Ending.REPLACED
        self._stop.set()

    def _drain_ordered(self, drain: Drain) -> None:
        self._drain = drain
        self._ending = Ending.REPLACED if drain.replace else Ending.DRAINED
        self._stop.set()

    async def _wind_down(self) -> None:
        self._state = "Stopping"
        if self._drain is not None:
            await shutdown.drain(self._listeners, self._invoker, self._drain)
        elif self._failure is not None:
            await shutdown.fail(self._listeners, self._invoker, self._failure)
        else:
            await shutdown.stop(self._listeners, self._invoker, self._options.stop_grace)

    def _announce(self) -> None:
        """Print what `func start` prints: the functions and how to reach them."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        lines = ["", f"Local Functions host: azure-functions-runtime {LIBRARY_VERSION}, Python {python}"]
        lines += ["", "Functions:", ""]
        for function in sorted(self._functions, key=lambda f: f.kind != HTTP):
            if function.disabled:
                lines.append(f"\t{function.name}: disabled")
            elif function.kind == HTTP:
                methods = f"[{','.join(function.methods)}] " if function.methods else ""
                url = f"{self.base_url}/{function.route(self._settings.route_prefix)}"
                lines.append(f"\t{function.name}: {methods}{url}")
            else:
                lines.append(f"\t{function.name}: {function.kind}")
            lines.append("")
        if not self._options.auth:
            lines += ["Keys are not asked for (--no-auth).", ""]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        _log.info("Host started: %d functions. Listening on %s", len(self._functions), self.base_url)
