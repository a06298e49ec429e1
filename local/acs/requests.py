"""Remembers which requests came in, so that a test can prove what was asked for and what was signed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.acs.faults import Target
    from local.acs.ordered import MetFaults
    from local.acs.signatures import Scheme

_LENGTH = 20_000


@dataclass(slots=True)
class RequestRecord:
    """One request; `status` is None while it is being answered, and `signed` None when it was not signed rightly."""

    time: str
    origin: str
    method: str
    path: str
    query: str
    range: str | None
    target: Target | None = None
    document_id: str | None = None
    recording_id: str | None = None
    authorized: bool = False
    signed: Scheme | None = None
    signature_problem: str | None = None
    faults: list[str] = field(default_factory=list)
    status: int | None = None

    def met(self, met: MetFaults) -> MetFaults:
        """Note the faults that the request met."""
        self.faults.extend(met.kinds)
        return met

    def line(self) -> str:
        """Return the request in a line for a person."""
        extra = [f"range {self.range}" if self.range else "", *(f"fault {kind}" for kind in self.faults)]
        extra.append(self.signature_problem or "")
        return "  ".join([f"{self.time[11:19]} {self.status} {self.method} {self.path}", *filter(None, extra)])

    def as_json(self) -> dict[str, Any]:
        """Return the record as the control routes show it."""
        return {
            "time": self.time,
            "origin": self.origin,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "range": self.range,
            "target": self.target,
            "documentId": self.document_id,
            "recordingId": self.recording_id,
            "authorizationSent": self.authorized,
            "signed": self.signed,
            "signatureProblem": self.signature_problem,
            "faults": self.faults,
            "status": self.status,
        }


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self) -> None:
        #: Called with each request when its answer is known; set it to follow what happens.
        self.on_answered: Callable[[RequestRecord], object] = lambda _: None
        self._records: deque[RequestRecord] = deque(maxlen=_LENGTH)

    def add(self, record: RequestRecord) -> None:
        """Remember a request."""
        self._records.append(record)

    def clear(self) -> None:
        """Forget all requests."""
        self._records.clear()

    def all(self) -> list[RequestRecord]:
        """Return all remembered requests."""
        return list(self._records)
