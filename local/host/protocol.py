"""Plain objects in place of the protobuf messages that the real host and its Python worker exchange.

`azure-functions-runtime` takes the message classes from a property of the requests it is given, so that any objects
with the right names and fields will do. The names are those of Microsoft's FunctionRpc.proto.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any


class TypedData:
    """A value of one kind: ``string``, ``json``, ``bytes``, ``http``, ``int``, ``double`` or a collection.

    Only the field of its kind exists; asking for another one raises AttributeError, on which the library relies.
    """

    def __init__(self, **one: Any) -> None:
        self.kind: str | None = next(iter(one), None)
        self.__dict__ |= one

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Name the field that is set."""
        return self.kind

    def value(self) -> Any:
        """Return the value, JSON parsed; None where nothing is set."""
        if self.kind is None:
            return None
        value = getattr(self, self.kind)
        return json.loads(value) if self.kind == "json" else value


class ParameterBinding:
    """A named value that goes into a function or comes out of it."""

    def __init__(self, name: str = "", data: TypedData | None = None) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        """Name how the value travels: always in the message itself, never in shared memory."""
        return "data"


class BindingInfo(SimpleNamespace):
    """Direction, type and data type of a binding."""

    # `in` is a keyword, so it is set below; data types count from zero as well.
    out = 1
    inout = 2
    undefined = 0
    string = 1
    binary = 2
    stream = 3


setattr(BindingInfo, "in", 0)


class StatusResult(SimpleNamespace):
    """How a request went."""

    Failure = 0
    Success = 1
    Cancelled = 2


class RpcHttp:
    """An HTTP request or response.

    Parameters
    ----------
    status_code
        A text, as the library sends it; only in responses.
    params
        Route parameters; only in requests.
    body
        A value of kind ``bytes`` or ``string``.
    """

    def __init__(self, **fields: Any) -> None:
        self.method: str = fields.get("method", "")
        self.url: str = fields.get("url", "")
        self.headers: dict[str, str] = fields.get("headers") or {}
        self.body: TypedData = fields.get("body") or TypedData()
        self.params: dict[str, str] = fields.get("params") or {}
        self.query: dict[str, str] = fields.get("query") or {}
        self.status_code: str = fields.get("status_code", "200")
        self.cookies: list[RpcHttpCookie] = fields.get("cookies") or []


class RpcHttpCookie(SimpleNamespace):
    """A cookie of a response; absent attributes are None."""

    class SameSite:
        """What a cookie's SameSite says; `None` of the protocol is set below, since it is a keyword."""

        Lax = 1
        Strict = 2
        ExplicitNone = 3


setattr(RpcHttpCookie.SameSite, "None", 0)


class RpcException(SimpleNamespace):
    """An exception of a function: `message` is ``Type: text``, `stack_trace` the formatted traceback."""


class Message(SimpleNamespace):
    """Any other message: its fields are what it was made with."""


class Protocol:
    """The namespace the library looks message classes up in."""

    TypedData = TypedData
    ParameterBinding = ParameterBinding
    BindingInfo = BindingInfo
    StatusResult = StatusResult
    RpcHttp = RpcHttp
    RpcHttpCookie = RpcHttpCookie
    RpcException = RpcException
    RpcFunctionMetadata = Message
    RpcRetryOptions = Message
    WorkerMetadata = Message
    WorkerInitResponse = Message
    FunctionMetadataResponse = Message
    FunctionLoadResponse = Message
    InvocationResponse = Message
    FunctionEnvironmentReloadResponse = Message
    NullableString = Message
    NullableBool = Message
    NullableDouble = Message
    NullableTimestamp = Message
    Timestamp = Message


def request(**parts: Message) -> Message:
    """Wrap a request the way the proxy worker hands it to the library.

    Parameters
    ----------
    parts
        The one message, under its name: ``worker_init_request``, ``invocation_request`` …
    """
    return Message(request=Message(**parts), properties={"protos": Protocol, "host": "127.0.0.1"})
