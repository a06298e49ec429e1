"""Faults that can be ordered: for a topic what goes wrong when it is published to, and for both what in delivery."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from local.eventgrid.subscriptions import EventFilter

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

    from local.eventgrid.schemas import AcceptedEvent


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    RESET = "reset"
    STALL = "stall"
    LATENCY = "latency"
    DOUBLED = "doubled"
    SHUFFLED = "shuffled"
    LATE = "late"
    LOST = "lost"


#: The kinds that meet the delivery of single events; the others meet requests that publish.
DELIVERY = (FaultKind.DOUBLED, FaultKind.SHUFFLED, FaultKind.LATE, FaultKind.LOST)

#: The parameters of each kind; True for one that must be given.
PARAMETERS: dict[FaultKind, dict[str, bool]] = {
    FaultKind.STATUS: {"status": True, "retryAfter": False, "taken": False},
    FaultKind.RESET: {"taken": False},
    FaultKind.STALL: {"taken": False},
    FaultKind.LATENCY: {"latencySeconds": True},
    FaultKind.DOUBLED: {"copies": False},
    FaultKind.SHUFFLED: {"withinSeconds": True},
    FaultKind.LATE: {"delaySeconds": True},
    FaultKind.LOST: {},
}


class FaultOrder(BaseModel):
    """A fault as it is ordered.

    Parameters
    ----------
    kind
        What goes wrong. For a publisher: an HTTP status, a connection that is closed without an answer, no answer until
        the publisher goes away, a late answer. `"503"`, `"429"` and other status codes stand for `status` with that
        code. In delivery: an event is delivered more than once, out of order, late, or never.
    filter
        Only requests with an event that passes it, as a subscription's filter would, or only such events; all by
        default.
    times
        How many requests, or events in delivery, it meets; None for all until it is removed. One, or all where
        `for_seconds` is given.
    for_seconds
        Emulated seconds after which it goes by itself.
    status
        HTTP status to answer.
    retry_after
        Seconds in a Retry-After header.
    latency_seconds
        Real seconds before the answer.
    taken
        Whether the events are taken all the same, so that the publisher does not know that they were. Those of a late
        answer always are.
    copies
        How many more times an event is delivered.
    within_seconds
        Each event is delivered after a random share of so many emulated seconds.
    delay_seconds
        Emulated seconds after which an event is delivered.
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
    copies: int = Field(default=1, ge=1, le=20)
    within_seconds: float | None = Field(default=None, gt=0)
    delay_seconds: float | None = Field(default=None, gt=0)

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
                f"a fault of kind {self.kind} does not take {', '.join(foreign)}; "
                f"it takes {', '.join(known) or 'no parameters'}"
            )
        return self

    @property
    def takes_events(self) -> bool:
        """Whether the events are taken, whatever the publisher hears."""
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
    """The faults of a topic or a subscription, spent ones included until they are cleared.

    Faults that follow each other are met in turn; in delivery one of each kind at the same time.
    """

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
        for fault in self._live(now):
            if fault.order.kind not in DELIVERY and any(fault.order.filter.matches(event) for event in events):
                fault.hits += 1
                return fault.order
        return None

    def meet_delivery(self, event: AcceptedEvent, now: float) -> list[FaultOrder]:
        """Return the faults that the delivery of an event meets, at most one of each kind, and count them."""
        met: dict[FaultKind, FaultOrder] = {}
        for fault in self._live(now):
            order = fault.order
            if order.kind in DELIVERY and order.kind not in met and order.filter.matches(event):
                fault.hits += 1
                met[order.kind] = order
        return list(met.values())

    def _live(self, now: float) -> Iterator[Fault]:
        for fault in self._faults.values():
            spent = fault.order.times is not None and fault.hits >= fault.order.times
            over = fault.expires is not None and now >= fault.expires
            if not spent and not over:
                yield fault


def delays(orders: Sequence[FaultOrder], randomness: random.Random) -> list[float]:
    """Return the emulated seconds after which each copy of an event is delivered; empty for one that is lost."""
    if any(order.kind is FaultKind.LOST for order in orders):
        return []
    copies = 1 + sum(order.copies for order in orders if order.kind is FaultKind.DOUBLED)
    late = sum(order.delay_seconds or 0.0 for order in orders)
    within = sum(order.within_seconds or 0.0 for order in orders)
    return [late + within * randomness.random() for _ in range(copies)]
