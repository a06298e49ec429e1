"""Faults as they can be ordered."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from local.acs.forms import CamelModel


class Target(StrEnum):
    """What a request is for."""

    START = "start"
    GET = "get"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    RESULT = "result"
    CONTENT = "content"
    METADATA = "metadata"
    DELETE = "delete"
    ANY = "any"


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    HTML = "html"
    EMPTY = "empty"
    CUT = "cut"
    STALL = "stall"
    WRONG_LENGTH = "wrong-length"
    WRONG_TOTAL = "wrong-total"
    RATE = "rate"
    LATENCY = "latency"
    REDIRECT = "redirect"
    RESET = "reset"
    IGNORE_RANGE = "ignore-range"
    RANGE_200 = "range-200"
    START_FAILED = "start-failed"
    CLOSE = "close"
    HANG = "hang"
    SHORT = "short"
    GROW = "grow"
    JSON_ERROR = "json-error"


class Locator(StrEnum):
    """By which id a start names its call."""

    SERVER_CALL = "serverCallLocator"
    GROUP = "groupCallLocator"
    ROOM = "roomCallLocator"
    CONNECTION = "callConnectionId"


class Framing(StrEnum):
    """How a body without a Content-Length ends."""

    CHUNKED = "chunked"
    CLOSE = "close"


class Encoding(StrEnum):
    """How a page is encoded."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"


#: The parameters of each kind; True for one that must be given.
PARAMETERS: dict[FaultKind, dict[str, bool]] = {
    FaultKind.STATUS: dict.fromkeys(("code", "message", "retryAfter", "retryAfterAsDate", "carriedOut"), False)
    | {"status": True},
    FaultKind.HTML: dict.fromkeys(
        ("status", "retryAfter", "retryAfterAsDate", "carriedOut", "encoding", "contentType"), False
    ),
    FaultKind.EMPTY: {},
    FaultKind.CUT: {"afterBytes": True},
    FaultKind.STALL: {"afterBytes": False, "stallSeconds": False},
    FaultKind.WRONG_LENGTH: {"delta": True},
    FaultKind.WRONG_TOTAL: {"delta": True},
    FaultKind.RATE: {"bytesPerSecond": True},
    FaultKind.LATENCY: {"latencySeconds": True},
    FaultKind.REDIRECT: {"location": False, "status": False},
    FaultKind.RESET: {"afterBytes": False, "carriedOut": False},
    FaultKind.IGNORE_RANGE: {},
    FaultKind.RANGE_200: {},
    FaultKind.START_FAILED: {},
    FaultKind.CLOSE: {"carriedOut": False},
    FaultKind.HANG: {"stallSeconds": False, "carriedOut": False},
    FaultKind.SHORT: {"afterBytes": True, "framing": False},
    FaultKind.GROW: {"afterBytes": True, "delta": False},
    FaultKind.JSON_ERROR: {"status": False, "code": False, "message": False, "carriedOut": False},
}

#: These make an answer slower or otherwise shaped and go together with each other and with one more fault.
MODIFIERS = frozenset({FaultKind.RATE, FaultKind.LATENCY, FaultKind.IGNORE_RANGE, FaultKind.RANGE_200})

#: These change the body of a file, and mean nothing for the recording API.
_BODY_KINDS = frozenset(
    {
        FaultKind.EMPTY,
        FaultKind.CUT,
        FaultKind.STALL,
        FaultKind.WRONG_LENGTH,
        FaultKind.WRONG_TOTAL,
        FaultKind.RATE,
        FaultKind.IGNORE_RANGE,
        FaultKind.RANGE_200,
        FaultKind.SHORT,
        FaultKind.GROW,
    }
)
_BODY_TARGETS = frozenset({Target.CONTENT, Target.METADATA})

#: Requests about an object, which both origins serve.
_OBJECT_TARGETS = _BODY_TARGETS | {Target.DELETE}

#: Requests after which something is not as it was before.
_CHANGING_TARGETS = frozenset({Target.START, Target.PAUSE, Target.RESUME, Target.STOP, Target.DELETE})


#: What makes a fault last beyond one request.
_LASTING = ("forSeconds", "for_seconds", "burst")


class FaultOrder(CamelModel):
    """A fault as it is ordered.

    Parameters
    ----------
    kind
        What goes wrong. `"503"`, `"429"` and other status codes stand for `status` with that code.
    target
        Which requests it meets; kinds that change a body meet content unless another is given.
    document_id
        Only requests for this object.
    locator
        Only starts that name the call by this id.
    times
        How many requests it meets; None for all until it is removed. One, or all where `for_seconds` or `burst` is
        given.
    burst, gap
        It meets so many requests, lets so many pass, and so on; `gap` is as long as the burst unless given.
    for_seconds
        Emulated seconds after which it goes by itself.
    status
        HTTP status to answer (`status`; 200 or 400 for `html`; 301, 302, 307 or 308 for `redirect`; 200 for
        `json-error` unless given).
    code, message
        What the error says.
    retry_after
        Seconds in a Retry-After header, or any text.
    retry_after_as_date
        Write those seconds as the HTTP date that lies so far ahead in real time.
    encoding, content_type
        How a page is encoded, and what its Content-Type says of it.
    after_bytes
        Bytes of the body that are sent before it happens; the file's size at first for `grow`.
    framing
        How a body that ends short says that it has ended: by the last chunk of a chunked body, or by closing.
    stall_seconds
        Real seconds of silence; None until the client goes away.
    delta
        How far Content-Length, or the total in Content-Range, is off; bytes more at each request for `grow`.
    bytes_per_second
        Speed of each response.
    latency_seconds
        Real seconds before the response begins.
    location
        Where the redirect leads; None for the same object on the second origin.
    carried_out
        Whether the request is carried out all the same, so that the client does not know that it was.
    """

    kind: FaultKind
    target: Target = Target.ANY
    document_id: str | None = None
    locator: Locator | None = None
    times: Annotated[int, Field(ge=1)] | None = 1
    burst: Annotated[int, Field(ge=1)] | None = None
    gap: Annotated[int, Field(ge=1)] | None = None
    for_seconds: Annotated[float, Field(gt=0)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: str | None = None
    message: str | None = None
    retry_after: Annotated[int, Field(ge=0)] | str | None = None
    retry_after_as_date: bool = False
    encoding: Encoding | None = None
    content_type: str | None = None
    framing: Framing | None = None
    after_bytes: Annotated[int, Field(ge=0)] | None = None
    stall_seconds: Annotated[float, Field(ge=0)] | None = None
    delta: int | None = None
    bytes_per_second: Annotated[float, Field(gt=0)] | None = None
    latency_seconds: Annotated[float, Field(ge=0)] | None = None
    location: str | None = None
    carried_out: bool = False

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        if isinstance(value, dict) and str(value.get("kind", "")).isdigit():
            value = {"status": int(value["kind"]), **value, "kind": "status"}
        lasting = isinstance(value, dict) and any(value.get(name) is not None for name in _LASTING)
        if lasting and "times" not in value:
            # Who gives a fault a time or a rhythm wants it for longer than one request.
            value = {**value, "times": None}
        if isinstance(value, dict) and "target" not in value:
            kind = value.get("kind")
            if kind in {str(k) for k in _BODY_KINDS | {FaultKind.HTML, FaultKind.REDIRECT}}:
                value = {**value, "target": "content"}
            elif kind == "start-failed" or value.get("locator") is not None:
                value = {**value, "target": "start"}
            elif kind == "json-error":
                value = {**value, "target": "metadata"}
        return value

    @field_validator("location", "retry_after", "content_type")
    @classmethod
    def _check_header(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, str) and any(character in value for character in "\r\n"):
            raise ValueError("must be one line")
        return value

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        known = PARAMETERS[self.kind]
        every = {name for parameters in PARAMETERS.values() for name in parameters}
        dumped = self.model_dump(by_alias=True, exclude_defaults=True)
        given = {name for name, value in dumped.items() if name in every and value is not None}
        if missing := [name for name, needed in known.items() if needed and name not in given]:
            raise ValueError(f"a fault of kind {self.kind} needs {' and '.join(missing)}")
        if foreign := sorted(given - known.keys()):
            takes = ", ".join(known) or "no parameters"
            raise ValueError(f"a fault of kind {self.kind} does not take {', '.join(foreign)}; it takes {takes}")
        if self.kind in _BODY_KINDS and self.target not in _BODY_TARGETS:
            raise ValueError(f"a fault of kind {self.kind} needs target content or metadata, not {self.target}")
        if self.kind is FaultKind.START_FAILED and self.target is not Target.START:
            raise ValueError(f"a fault of kind start-failed needs target start, not {self.target}")
        if self.carried_out and self.target not in _CHANGING_TARGETS:
            raise ValueError(f"carriedOut needs target start, pause, resume, stop or delete, not {self.target}")
        if self.locator is not None and self.target is not Target.START:
            raise ValueError(f"locator needs target start, not {self.target}")
        if self.gap is not None and self.burst is None:
            raise ValueError("gap needs burst")
        if self.retry_after_as_date and not isinstance(self.retry_after, int):
            raise ValueError("retryAfterAsDate needs retryAfter in seconds")
        if self.kind is FaultKind.REDIRECT and self.location is None and self.target not in _OBJECT_TARGETS:
            raise ValueError(f"a redirect of target {self.target} needs location")
        return self
