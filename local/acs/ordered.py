"""Ordered faults, and which of them a request meets."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from local.acs.faults import MODIFIERS, FaultKind, FaultOrder, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.acs.clock import Clock


@dataclass(slots=True)
class Fault:
    """An ordered fault, and how often it has been met."""

    fault_id: str
    order: FaultOrder
    expires: float | None
    seen: int = 0
    hits: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the control routes show it."""
        order = self.order.model_dump(mode="json", by_alias=True, exclude_none=True)
        left = None if self.order.times is None else self.order.times - self.hits
        return {"id": self.fault_id, **order, "times": self.order.times, "hits": self.hits, "timesLeft": left}


@dataclass(slots=True)
class MetFaults:
    """The faults that one request meets: modifiers, and at most one that decides the answer.

    `hit` is how many requests met that one before.
    """

    modifiers: dict[FaultKind, FaultOrder] = field(default_factory=dict)
    main: FaultOrder | None = None
    hit: int = 0

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

    def meet(self, target: Target, document_id: str | None = None, *, locator: str | None = None) -> MetFaults:
        """Return what a request meets, and count it."""
        met = MetFaults()
        for fault in self._faults.values():
            order = fault.order
            if not self._applies(fault, target, document_id, locator) or not _in_burst(fault):
                continue
            if order.kind in MODIFIERS:
                if order.kind in met.modifiers:
                    continue
                met.modifiers[order.kind] = order
            elif met.main is None:
                met.main, met.hit = order, fault.hits
            else:
                continue
            fault.hits += 1
        return met

    def _applies(self, fault: Fault, target: Target, document_id: str | None, locator: str | None) -> bool:
        order = fault.order
        return (
            order.target in (target, Target.ANY)
            and (order.document_id is None or order.document_id == document_id)
            and (order.locator is None or order.locator == locator)
            and (order.times is None or fault.hits < order.times)
            and (fault.expires is None or self._clock.time() < fault.expires)
        )


def _in_burst(fault: Fault) -> bool:
    """Count a request that the fault is for, and return whether its rhythm lets it meet the fault."""
    seen, burst = fault.seen, fault.order.burst
    fault.seen += 1
    return burst is None or seen % (burst + (fault.order.gap or burst)) < burst
