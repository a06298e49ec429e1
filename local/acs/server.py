"""The emulator as a whole: two origins, one clock."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Self

from aiohttp import web

from local.acs.api import RecordingApi
from local.acs.clock import EmulatedClock
from local.acs.control import Control
from local.acs.errors import AcsEmulatorError
from local.acs.faults import FaultOrder
from local.acs.gate import Gate
from local.acs.headers import add_service_headers
from local.acs.objects import ObjectRoutes
from local.acs.options import AcsOptions
from local.acs.ordered import Faults
from local.acs.requests import RequestLog
from local.acs.service import RecordingService
from local.acs.signatures import Verifier

if TYPE_CHECKING:
    from types import TracebackType

    from local.acs.clock import Clock

__all__ = ["AcsEmulator", "AcsOptions"]

_SHUTDOWN_SECONDS = 0.5


class AcsEmulator:
    """Emulates the call recording of one Azure Communication Services resource.

    Use it as an asynchronous context manager; it listens from entering to leaving.

    Parameters
    ----------
    options
        What can be set; see `AcsOptions`.
    clock
        Emulated time, shared with other emulators; a new one by default.

    Raises
    ------
    AcsEmulatorError
        On entering, when a port is taken or the certificate cannot be read.
    """

    def __init__(self, options: AcsOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or AcsOptions()
        self.clock = clock or EmulatedClock()
        self.log = RequestLog()
        self.faults = Faults(self.clock)
        self._verifier = Verifier(self.options.access_key, accept_any_token=self.options.accept_any_token)
        self._service: RecordingService | None = None
        self._runners: list[web.AppRunner] = []
        self._authority = ""
        self._second_authority = ""

    @property
    def endpoint(self) -> str:
        """Address of the resource, without a slash at its end."""
        return f"{self._scheme}://{self._authority}"

    @property
    def media_origin(self) -> str:
        """The first media origin, which the events name; the endpoint's own where no other host is set."""
        return self._origin(self.options.media_host, self._authority)

    @property
    def second_origin(self) -> str:
        """The second media origin, to which redirects lead."""
        return self._origin(self.options.second_media_host, self._second_authority)

    @property
    def connection_string(self) -> str:
        """Connection string of the resource, as the portal would show it."""
        return f"endpoint={self.endpoint}/;accesskey={self.options.access_key}"

    @property
    def service(self) -> RecordingService:
        """Calls, recordings and events, for use in the same process."""
        if self._service is None:
            raise RuntimeError("the emulator is used before it was entered")
        return self._service

    @property
    def topic(self) -> str | None:
        """URL that events are posted to; may be set while the emulator runs."""
        return self.service.publisher.topic

    @topic.setter
    def topic(self, url: str | None) -> None:
        self.service.publisher.topic = url

    @property
    def topic_key(self) -> str | None:
        """Value of the `aeg-sas-key` header; may be set while the emulator runs."""
        return self.service.publisher.key

    @topic_key.setter
    def topic_key(self, key: str | None) -> None:
        self.service.publisher.key = key

    def order_fault(self, **order: object) -> None:
        """Order a fault; takes the fields of `FaultOrder` by their Python or their JSON names."""
        self.faults.add(FaultOrder.model_validate(order))

    async def __aenter__(self) -> Self:
        options = self.options
        tls = _tls(options)
        first = _listener(options.host, options.port, "--port")
        try:
            second = _listener(options.host, options.second_port, "--second-port")
        except AcsEmulatorError:
            first.close()
            raise
        self._authority = _authority(options.host, first)
        self._second_authority = _authority(options.host, second)
        self._service = RecordingService(options, self.clock, self.media_origin)
        await asyncio.to_thread(self._service.forget_old_media)
        gate = Gate(self._service, self._verifier, self.log)
        objects = ObjectRoutes(self._service, gate, self.faults, self._known_hosts, lambda: self.second_origin)

        main = web.Application(middlewares=[gate.middleware("first")])
        RecordingApi(self._service, gate, self.faults).add_to(main)
        objects.add_to(main)
        about = {
            "endpoint": self.endpoint,
            "connectionString": self.connection_string,
            "secondOrigin": self.second_origin,
        }
        Control(self._service, self.faults, self.log, about).add_to(main)
        other = web.Application(middlewares=[gate.middleware("second")])
        objects.add_to(other, second=True)
        for app, listener in ((main, first), (other, second)):
            app.on_response_prepare.append(add_service_headers)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handler_cancellation=True)
            await runner.setup()
            self._runners.append(runner)
            await web.SockSite(runner, listener, ssl_context=tls).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        await self.service.close()

    @property
    def _scheme(self) -> str:
        return "http" if self.options.certificate is None else "https"

    def _origin(self, host: str | None, authority: str) -> str:
        port = authority.rpartition(":")[2]
        return f"{self._scheme}://{authority if host is None else f'{host}:{port}'}"

    def _known_hosts(self) -> frozenset[str]:
        """Return every name by which a client may know the resource, with the port and without."""
        port = self._authority.rpartition(":")[2]
        own = self._authority.rpartition(":")[0]
        names = {own, "127.0.0.1", "localhost", *(host.lower() for host in self.options.resource_hosts)}
        return frozenset(names | {f"{name}:{port}" for name in names})


def _tls(options: AcsOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.certificate_key)
    except (OSError, ssl.SSLError) as exc:
        raise AcsEmulatorError(
            f"The ACS emulator cannot serve with the certificate {options.certificate} ({exc.strerror or exc}): "
            "give --certificate a PEM file, and --certificate-key its key where that is in another file."
        ) from exc
    return context


def _listener(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as exc:
        listener.close()
        raise AcsEmulatorError(
            f"The ACS emulator cannot listen on {host}:{port} ({exc.strerror}): "
            f"free that port or choose another with {option}."
        ) from exc
    return listener


def _authority(host: str, listener: socket.socket) -> str:
    port: int = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
