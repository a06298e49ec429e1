"""What can go wrong in the Event Grid emulator.

EventGridEmulatorError              the person at the terminal can fix it; one sentence says how
├── EventGridError                  a request that the service would refuse; carries status and code
│   ├── UnknownResourceError        404: no such topic or subscription
│   └── HandshakeError              400: the endpoint did not prove that it wants the events
├── StartError                      the emulator cannot listen on its address
└── CommandError                    a command got no answer that it can use from a running emulator
DeadLetterWriteError                a dead letter could not be written this time
"""

from __future__ import annotations


class EventGridEmulatorError(Exception):
    """Something that the person at the terminal can fix.

    The message is one sentence that names the cause and the fix; show it without a traceback.
    """


class EventGridError(EventGridEmulatorError):
    """A request that Event Grid refuses.

    Parameters
    ----------
    message
        One sentence that names the field or setting.
    status
        HTTP status of the answer.
    code
        The error code, as in the service's ``{"error": {"code", "message"}}``.
    detail_code
        Code of the entry under ``details``, where the service gives one.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str = "BadRequest", detail_code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail_code = detail_code

    def body(self) -> dict[str, object]:
        """Return the JSON body of the answer."""
        error: dict[str, object] = {"code": self.code, "message": str(self)}
        if self.detail_code is not None:
            error["details"] = [{"code": self.detail_code, "message": str(self)}]
        return {"error": error}


class UnknownResourceError(EventGridError):
    """There is no topic or subscription of that name."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=404, code="ResourceNotFound")


class HandshakeError(EventGridError):
    """The validation handshake with a webhook failed, so there is no subscription.

    Parameters
    ----------
    message
        One sentence that says why.
    transient
        Whether a host that is still starting could explain it.
    timed_out
        Whether the endpoint did not answer in time.
    """

    def __init__(self, message: str, *, transient: bool = False, timed_out: bool = False) -> None:
        super().__init__(message, code="URL validation")
        self.transient = transient
        self.timed_out = timed_out


class StartError(EventGridEmulatorError):
    """The emulator cannot listen on the address it was given, or an option is out of bounds."""


class CommandError(EventGridEmulatorError):
    """No emulator answers a command, or it refuses."""


class DeadLetterWriteError(Exception):
    """The dead-letter container could not be written to this time."""
