"""Faults that can be ordered: what the platform is known to do to queue messages and timers, once in a while.

Sources, as issues of azure-functions-host: messages leased and not run for ten minutes, 10373; messages in the poison
queue that were never run, 11849; timers that stop while HTTP functions go on, 11828.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(StrEnum):
    """What goes wrong."""

    NOT_RUN = "not-run"
    """A message is fetched and neither run nor given back: it comes again when its lease ends."""

    POISON = "poison"
    """A message goes to the poison queue without being run."""

    TIMER = "timer"
    """A timer function is not run on its schedule."""


@dataclass(slots=True)
class Fault:
    """One order.

    Parameters
    ----------
    id
        Counts from 1.
    kind
        What goes wrong.
    target
        The queue, or the timer function.
    times
        How many messages it meets; 0 for all until it is cleared. A timer stays stopped until then.
    hits
        How many messages it has met.
    """

    id: int
    kind: Kind
    target: str
    times: int
    hits: int = 0

    @property
    def used_up(self) -> bool:
        """Whether it has met all the messages it was ordered for."""
        return 0 < self.times <= self.hits

    def as_json(self) -> dict[str, object]:
        """Return the order as the admin API shows it."""
        if self.kind is Kind.TIMER:
            return {"id": self.id, "kind": self.kind, "function": self.target}
        return {"id": self.id, "kind": self.kind, "queue": self.target, "times": self.times, "hits": self.hits}


class Faults:
    """The faults ordered of one host process; they end with it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._last_id = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def add(self, kind: Kind, target: str, times: int) -> Fault:
        """Order a fault."""
        self._last_id += 1
        fault = Fault(self._last_id, kind, target, times)
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take an order back."""
        self._faults.remove(fault)

    def meet(self, queue: str) -> Fault | None:
        """Return the fault that the next message of `queue` meets, the oldest first, and count it."""
        for fault in self._faults:
            if fault.kind is not Kind.TIMER and fault.target == queue and not fault.used_up:
                fault.hits += 1
                return fault
        return None

    def stops(self, function: str) -> bool:
        """Whether the timer of `function` is stopped."""
        return any(fault.kind is Kind.TIMER and fault.target == function for fault in self._faults)
