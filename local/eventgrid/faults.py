"""Faults that can be ordered for a topic: what goes wrong when somebody publishes to it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from local.eventgrid.errors import EventGridError
from local.eventgrid.subscriptions import EventFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from local.eventgrid.schemas import AcceptedEvent

log = logging.getLogger(__name__)

_LOOK_AGAIN = 0.05  # real seconds between two looks whether a stalled publisher is still there


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    RESET = "reset"
    STALL = "stall"
    LATENCY = "latency"


#: The parameters of each kind; True for one that must be given.
PARAMETERS: dict[FaultKind, dict[str, bool]] = {
    FaultKind.STATUS: {"status": True, "retryAfter": False, "taken": False},
    FaultKind.RESET: {"taken": False},
    FaultKind.STALL: {"taken": False},
    FaultKind.LATENCY: {"latencySeconds": True},
}


class FaultOrder(BaseModel):
    """A fault of a topic as it is ordered.

    Parameters
    ----------
    kind
        What goes wrong: an HTTP status, a connection that is closed without an answer, no answer until the publisher
        goes away, a late answer. `"503"`, `"429"` and other status codes stand for `status` with that code.
    filter
        Only requests with an event that passes it, as a subscription's filter would; all by default.
    times
        How many requests it meets; None for all until it is removed. One, or all where `for_seconds` is given.
    for_seconds
        Emulated seconds after which it goes by itself.
    status
        HTTP status to answer.
    retry_after
        Seconds in a Retry-After header.
    latency_seconds
        Real seconds before the answer.
    taken
        Whether the events are taken all the same, so that the publisher does not know that they were. Late ones
        always are.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )

    kind: FaultKind
    filter: EventFilter = EventFilter()
    times: int | None = Field(default=1, ge=1)
    for_seconds: float | None = Field(default=None, gt=0)
    status: int | None = Field(default=None, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    latency_seconds: float | None = Field(default=None, ge=0)
    taken: bool = False

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        if isinstance(value, dict) and str(value.get("kind", "")).isdigit():
            value = {"status": int(value["kind"]), **value, "kind": "status"}
        if isinstance(value, dict) and "times" not in value and value.get("forSeconds") is not None:
            # Who gives a fault a time wants it for that long, not once.
            value = {**value, "times": None}
        return value

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        known = PARAMETERS[self.kind]
        every = {name for parameters in PARAMETERS.values() for name in parameters}
        given = every & self.model_dump(by_alias=True, exclude_defaults=True).keys()
        if missing := [name for name, needed in known.items() if needed and name not in given]:
            raise ValueError(f"a fault of kind {self.kind} needs {' and '.join(missing)}")
        if foreign := sorted(given - known.keys()):
            raise ValueError(
                f"a fault of kind {self.kind} does not take {', '.join(foreign)}; it takes {', '.join(known)}"
            )
        return self

    @property
    def takes_events(self) -> bool:
        """Whether the events are taken, whatever the publisher is told."""
        return self.taken or self.kind is FaultKind.LATENCY


@dataclass(slots=True)
class Fault:
    """An ordered fault, and how often it has been met."""

    fault_id: str
    order: FaultOrder
    expires: float | None
    hits: int = 0

    def shown(self) -> dict[str, Any]:
        """Return the fault as the control routes show it."""
        order = self.order.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        left = None if self.order.times is None else self.order.times - self.hits
        return {"id": self.fault_id, **order, "times": self.order.times, "hits": self.hits, "timesLeft": left}


class Faults:
    """A topic's faults, spent ones included until they are cleared. Faults that follow each other are met in turn."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = count(1)

    def add(self, order: FaultOrder, now: float = 0.0) -> Fault:
        """Take an order; `now` is the emulated time, for one that goes by itself."""
        expires = None if order.for_seconds is None else now + order.for_seconds
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

    def meet(self, events: Sequence[AcceptedEvent], now: float) -> FaultOrder | None:
        """Return the fault that a request with these events meets, and count it."""
        for fault in self._faults.values():
            order = fault.order
            if order.times is not None and fault.hits >= order.times:
                continue
            if fault.expires is not None and now >= fault.expires:
                continue
            if any(order.filter.matches(event) for event in events):
                fault.hits += 1
                return order
        return None


async def answer(request: web.Request, order: FaultOrder) -> web.Response:
    """Answer a publisher as the fault wants it."""
    match order.kind:
        case FaultKind.STATUS:
            status = order.status or 503
            retry = {} if order.retry_after is None else {"Retry-After": str(order.retry_after)}
            error = EventGridError(
                "The topic cannot take events now: a fault was ordered.", status=status, code="Fault"
            )
            return web.json_response(error.body(), status=status, headers=retry)
        case FaultKind.RESET:
            if request.transport is not None:
                request.transport.abort()
        case FaultKind.STALL:
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - none says so
                await asyncio.sleep(_LOOK_AGAIN)
        case FaultKind.LATENCY:
            await asyncio.sleep(order.latency_seconds or 0)
    return web.Response()
