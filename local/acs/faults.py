"""Faults that can be ordered, and which of them a request meets."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from local.acs.forms import CamelModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.acs.clock import Clock


class Target(StrEnum):
    """What a request is for."""

    START = "start"
    GET = "get"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
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


#: The parameters of each kind; True for one that must be given.
PARAMETERS: dict[FaultKind, dict[str, bool]] = {
    FaultKind.STATUS: {"status": True, "retryAfter": False, "carriedOut": False},
    FaultKind.HTML: {"status": False, "retryAfter": False, "carriedOut": False},
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
}

#: These make an answer slower or otherwise shaped and go together with each other and with one more fault.
MODIFIERS = frozenset({FaultKind.RATE, FaultKind.LATENCY, FaultKind.IGNORE_RANGE, FaultKind.RANGE_200})

#: These bend the body of a file, and mean nothing for the recording API.
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
    }
)
_BODY_TARGETS = frozenset({Target.CONTENT, Target.METADATA})

#: Requests about an object, which both origins serve.
_OBJECT_TARGETS = _BODY_TARGETS | {Target.DELETE}

#: Requests after which something is not as it was before.
_CHANGING_TARGETS = frozenset({Target.START, Target.PAUSE, Target.RESUME, Target.STOP, Target.DELETE})


class FaultOrder(CamelModel):
    """A fault as it is ordered.

    Parameters
    ----------
    kind
        What goes wrong. `"503"`, `"429"` and other status codes stand for `status` with that code.
    target
        Which requests it meets; kinds that bend a body meet content unless told otherwise.
    document_id
        Only requests for this object.
    times
        How many requests it meets; None for all until it is removed. One, or all where `for_seconds` is given.
    for_seconds
        Emulated seconds after which it goes by itself.
    status
        HTTP status to answer (`status`; 200 or 400 for `html`; 301, 302, 307 or 308 for `redirect`).
    retry_after
        Seconds in a Retry-After header.
    after_bytes
        Bytes of the body that are sent before it happens.
    stall_seconds
        Real seconds of silence; None until the client goes away.
    delta
        How far Content-Length, or the total in Content-Range, is off.
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
    times: Annotated[int, Field(ge=1)] | None = 1
    for_seconds: Annotated[float, Field(gt=0)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None
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
        if isinstance(value, dict) and "times" not in value and value.get("forSeconds") is not None:
            # Who gives a fault a time wants it for that long, not once.
            value = {**value, "times": None}
        if isinstance(value, dict) and "target" not in value:
            kind = value.get("kind")
            if kind in {str(k) for k in _BODY_KINDS | {FaultKind.HTML, FaultKind.REDIRECT}}:
                value = {**value, "target": "content"}
            elif kind == "start-failed":
                value = {**value, "target": "start"}
        return value

    @field_validator("location")
    @classmethod
    def _check_location(cls, value: str | None) -> str | None:
        if value is not None and any(character in value for character in "\r\n"):
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
        if self.kind is FaultKind.REDIRECT and self.location is None and self.target not in _OBJECT_TARGETS:
            raise ValueError(f"a redirect of target {self.target} needs location")
        return self


@dataclass(slots=True)
class Fault:
    """An ordered fault, and how often it has been met."""

    fault_id: str
    order: FaultOrder
    expires: float | None
    hits: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the control routes show it."""
        order = self.order.model_dump(mode="json", by_alias=True, exclude_none=True)
        left = None if self.order.times is None else self.order.times - self.hits
        return {"id": self.fault_id, **order, "times": self.order.times, "hits": self.hits, "timesLeft": left}


@dataclass(slots=True)
class Mischief:
    """The faults that one request meets: modifiers, and at most one that decides the answer."""

    modifiers: dict[FaultKind, FaultOrder] = field(default_factory=dict)
    main: FaultOrder | None = None

    def latency(self, otherwise: float) -> float:
        """Return the real seconds before the answer begins."""
        slow = self.modifiers.get(FaultKind.LATENCY)
        return otherwise if slow is None or slow.latency_seconds is None else slow.latency_seconds

    @property
    def kinds(self) -> list[str]:
        """Names of all faults that were met."""
        return [*self.modifiers, *([self.main.kind] if self.main else [])]


class Faults:
    """All ordered faults, spent ones included until they are cleared."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: dict[str, Fault] = {}
        self._numbers = count(1)

    def add(self, order: FaultOrder) -> Fault:
        """Take an order."""
        expires = None if order.for_seconds is None else self._clock.time() + order.for_seconds
        fault = Fault(str(next(self._numbers)), order, expires)
        self._faults[fault.fault_id] = fault
        return fault

    def all(self) -> Iterable[Fault]:
        """Return all faults in the order in which they were ordered."""
        return tuple(self._faults.values())

    def remove(self, fault_id: str) -> bool:
        """Take a fault back; False when there is none with this id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> int:
        """Take all faults back; returns how many there were."""
        number = len(self._faults)
        self._faults.clear()
        return number

    def meet(self, target: Target, document_id: str | None = None) -> Mischief:
        """Return what a request meets, and count it."""
        mischief = Mischief()
        for fault in self._faults.values():
            order = fault.order
            if not self._applies(fault, target, document_id):
                continue
            if order.kind in MODIFIERS:
                if order.kind in mischief.modifiers:
                    continue
                mischief.modifiers[order.kind] = order
            elif mischief.main is None:
                mischief.main = order
            else:
                continue
            fault.hits += 1
        return mischief

    def _applies(self, fault: Fault, target: Target, document_id: str | None) -> bool:
        order = fault.order
        return (
            order.target in (target, Target.ANY)
            and (order.document_id is None or order.document_id == document_id)
            and (order.times is None or fault.hits < order.times)
            and (fault.expires is None or self._clock.time() < fault.expires)
        )
