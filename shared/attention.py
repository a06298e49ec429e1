"""What an operator has to look at: found once, louder as the source's last hours run out, gone when it is mended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared import log, telemetry
from shared.catalog import storage_errors_told
from shared.errors import Retryable
from shared.events import wire_time
from shared.ledger import best_effort
from shared.limits import clipped
from shared.names import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.catalog import Catalog
    from shared.ledger import Ledger

_PARTITION = "attention"
_TOLD = "attention.told"


class Kind(StrEnum):
    """What is wrong."""

    EVENT = "event"
    CONSENT = "consent"
    MESSAGE = "message"
    CHUNK = "chunk"
    WAITING = "waiting"
    GAP = "gap"
    SILENCE = "silence"
    DEAD_LETTER = "dead-letter"


class Severity(StrEnum):
    """How loud a finding is, in growing order."""

    NOTICE = "notice"
    WARNING = "warning"
    URGENT = "urgent"
    CRITICAL = "critical"


_STEPS = ((timedelta(hours=1), Severity.CRITICAL), (timedelta(hours=4), Severity.URGENT))


def severity(time_left: timedelta | None) -> Severity:
    """Return how loud a finding is with this much time until the source expires.

    More than 12 hours: notice. Up to 12, or unknown: warning. Up to 4: urgent. Up to 1, or over: critical.
    """
    if time_left is None:
        return Severity.WARNING
    for limit, level in _STEPS:
        if time_left <= limit:
            return level
    return Severity.WARNING if time_left <= timedelta(hours=12) else Severity.NOTICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that an operator has to look at.

    Attributes
    ----------
    kind, identifier
        Together they name the finding: the same found twice is one.
    reason
        What is wrong, and the mend where there is one.
    error
        Name of the error class, where there was one.
    expires_at
        When the service deletes the source; None where that is not known.
    evidence
        What is kept beside it in the archive, so that it can be put right later.
    """

    kind: Kind
    identifier: str
    reason: str
    error: str | None = None
    recording_id: str | None = None
    document_id: str | None = None
    prefix: str | None = None
    expires_at: datetime | None = None
    evidence: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """The finding's name, safe in paths."""
        return f"{self.kind}.{safe_name(self.identifier)}"


class Attention:
    """Keeps findings, and tells of each once for every step of severity.

    Parameters
    ----------
    catalog
        Keeps the evidence.
    ledger
        Keeps the list.
    announce
        Told of each finding, and of each growth of its severity; does nothing by default.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        *,
        announce: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._announce = announce
        self._now = now

    async def report(self, finding: Finding) -> None:
        """Note a finding; one that is known already only grows louder with time."""
        level = severity(finding.expires_at - self._now() if finding.expires_at else None)
        row = _row(finding) | {"severity": level.value}
        raised_at = wire_time(self._now())
        if finding.evidence is not None:
            evidence = {"raisedAt": raised_at, **row, **finding.evidence}
            await self._catalog.raise_attention(finding.key, evidence)
        first = await best_effort(self._ledger.reserve(_PARTITION, finding.key, raisedAt=raised_at, **row))
        if first is not None:
            await best_effort(self._ledger.resolve(_PARTITION, finding.key, **row))
        told = await best_effort(self._ledger.reserve(_TOLD, f"{finding.key}.{level}"))
        if told is None:
            log.error("attention.raised", **row, hoursLeft=self._hours_left(finding.expires_at))
            telemetry.attention_raised(level, finding.kind)
            await self._tell(row)

    async def _tell(self, row: dict[str, Any]) -> None:
        if self._announce is None:
            return
        try:
            await self._announce(row)
        except Retryable:
            # It counts as told only when it was: whatever found it comes again, and finds it once more.
            await best_effort(self._ledger.release(_TOLD, f"{row['id']}.{row['severity']}"))
            raise

    async def restore(self, row: Mapping[str, str]) -> bool:
        """Put a finding back on a list that was lost, without telling of it again; returns whether it was missing.

        Parameters
        ----------
        row
            As the list had it.
        """
        if await self._ledger.reserve(_PARTITION, row["id"], **row) is not None:
            return False
        expires_at = datetime.fromisoformat(row["expiresAt"]) if "expiresAt" in row else None
        level = severity(expires_at - self._now() if expires_at else None)
        await self._ledger.reserve(_TOLD, f"{row['id']}.{level}")
        return True

    async def settle(self, key: str) -> bool:
        """Take a finding off the list; returns whether it was on it. The evidence stays.

        Raises
        ------
        StorageUnavailable
            The list cannot be reached.
        """
        with storage_errors_told():
            return await self._ledger.release(_PARTITION, key)

    async def findings(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is on the list, each with its severity as of now."""
        async for _, row in self._ledger.claims(_PARTITION):
            expires_at = datetime.fromisoformat(row["expiresAt"]) if "expiresAt" in row else None
            level = severity(expires_at - self._now() if expires_at else None)
            yield {**row, "severity": level, "hoursLeft": self._hours_left(expires_at)}

    async def loudest_first(self) -> list[dict[str, Any]]:
        """Return the list, the loudest first, and of those the one that expires first.

        Raises
        ------
        StorageUnavailable
            The list cannot be reached.
        """
        levels = list(Severity)
        with storage_errors_told():
            rows = [row async for row in self.findings()]
        return sorted(
            rows,
            key=lambda row: (-levels.index(row["severity"]), row.get("expiresAt") or "~"),
        )

    def _hours_left(self, expires_at: datetime | None) -> float | None:
        return None if expires_at is None else max(0.0, round((expires_at - self._now()) / timedelta(hours=1), 2))


def _row(finding: Finding) -> dict[str, str]:
    members = {
        "id": finding.key,
        "kind": finding.kind.value,
        "reason": clipped(finding.reason),
        "error": finding.error,
        "recordingId": finding.recording_id,
        "documentId": finding.document_id,
        "prefix": finding.prefix,
        "expiresAt": wire_time(finding.expires_at) if finding.expires_at else None,
    }
    return {name: value for name, value in members.items() if value is not None}
