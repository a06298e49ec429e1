"""What an operator has to look at: found once, louder as the source's last hours run out, gone when it is mended.

The list is rows of the ledger. What was found only once has evidence in the archive besides, under `attention/`, from
which a row that the ledger did not take, or lost, is put back (`shared.upkeep`). A row that is settled stays for some
days, so that what was dealt with is not found again; the evidence says too that it is settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.blob_names import chunk_identifier, safe_name
from shared.core.errors import Retryable
from shared.core.limits import clipped
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.evidence_blobs import RAISED_AT, SETTLED_AT, SETTLED_BY
from shared.incidents.kinds import KINDS, IncidentKind, Severity, severity
from shared.storage.ledger import best_effort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.core.errors import ManifestUnreadable
    from shared.events.chunk_message import ChunkMessage
    from shared.incidents.evidence_blobs import EvidenceBlobs
    from shared.storage.claims import Claims

_PARTITION = "attention"
_TOLD = "attention.told"
_CRASHED_AFTER = timedelta(minutes=4)
"""How long whoever claimed to tell of a finding may take."""

_SAID = ("reason", "error", "recordingId", "documentId", "prefix", "expiresAt")
_SHOWN = ("id", "kind", *_SAID)

OPERATOR, SWEEP = "operator", "sweep"
"""Who settles a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
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

    kind: IncidentKind
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


def manifest_incident(prefix: str, error: ManifestUnreadable) -> Incident:
    """Return what is found of a recording whose manifest cannot be read."""
    return Incident(
        kind=IncidentKind.GAP, identifier=prefix, reason=str(error), error=type(error).__name__, prefix=prefix
    )


def chunk_incident(message: ChunkMessage, reason: str, error: str | None = None) -> Incident:
    """Return what is found of a chunk that cannot be archived; its message is the evidence."""
    return Incident(
        kind=IncidentKind.CHUNK,
        identifier=chunk_identifier(message.recording_id, message.prefix, message.chunk.document_id),
        reason=reason,
        error=error,
        recording_id=message.recording_id,
        document_id=message.chunk.document_id,
        prefix=message.prefix,
        expires_at=message.expires_at,
        evidence=message.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


class Incidents:
    """Keeps findings, and tells of each once for every step of severity.

    Parameters
    ----------
    evidence
        Keeps what a row cannot, and outlives the table.
    claims
        Keep the list.
    announce
        Told of each finding, and of each growth of its severity; does nothing by default.
    """

    def __init__(
        self,
        evidence: EvidenceBlobs,
        claims: Claims,
        *,
        announce: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
        now: Now = utc_now,
    ) -> None:
        self.evidence = evidence
        self._claims = claims
        self._announce = announce
        self._now = now

    async def report(self, finding: Incident, seen: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Note a finding; one that is known already only grows louder with time.

        What an operator settled is back on the list when it happens once more. What every sweep finds again is not,
        unless its error is another one now.

        Parameters
        ----------
        seen
            The list as `rows` returned it: saves requests.
        """
        row, now = _row(finding), iso_time(self._now())
        level = self.level(row)
        if finding.evidence is not None:
            evidence = {"raisedAt": now, **row, "severity": level.value, **finding.evidence}
            await self.evidence.raise_(finding.key, evidence)
        known = seen.get(finding.key) if seen is not None else None
        if known is None:
            facts = {"raisedAt": now, "seenAt": now, "severity": level.value}
            known = await best_effort(self._claims.claim(_PARTITION, finding.key, **row, **facts))
        if known is None:
            await self._tell(row, None)
            return
        is_settled = bool(known.get("settledAt"))
        if is_settled and _is_standing(finding.kind) and _is_dealt_with(known, row):
            return
        changes = {name: row.get(name, "") for name in _SAID if known.get(name, "") != row.get(name, "")}
        if not _is_standing(finding.kind):
            changes["seenAt"] = now
        if is_settled:
            changes |= {"raisedAt": now, "settledAt": "", "settledBy": "", "toldAs": ""}
        if changes:
            await best_effort(self._claims.amend(_PARTITION, finding.key, **changes))
        await self._tell(row, None if is_settled else known.get("toldAs"))

    def has_grown(self, row: Mapping[str, Any]) -> bool:
        """Whether a finding is on the list and louder than it was told, or was not told."""
        return not row.get("settledAt") and _is_louder(self.level(row), row.get("toldAs"))

    async def report_growth(self, row: Mapping[str, Any]) -> None:
        """Tell of a finding on the list, as `rows` returned it, if it has grown."""
        await self._tell({name: row[name] for name in _SHOWN if row.get(name)}, row.get("toldAs"))

    async def _tell(self, row: Mapping[str, str], told_as: str | None) -> None:
        """Tell of a finding once for each severity, whoever finds it; what was left undone is done by the next."""
        level, now = self.level(row), self._now()
        if not _is_louder(level, told_as):
            return
        claim = f"{row['id']}.{level}"
        told = {**row, "severity": level.value}
        known = await best_effort(self._claims.claim(_TOLD, claim, at=iso_time(now)))
        if known is None:
            log.error("attention.raised", **told, hoursLeft=self._hours_left(row))
            telemetry.attention_raised(level, row["kind"])
        elif not known.get("failed") and self._is_recent(known.get("at")):
            return
        if self._announce is not None:
            try:
                await self._announce(told)
            except Retryable as error:
                log.warning("attention.not_announced", id=row["id"], reason=str(error))
                await best_effort(self._claims.amend(_TOLD, claim, failed="yes"))
                return
        await best_effort(self._claims.amend(_PARTITION, row["id"], toldAs=level.value, severity=level.value))

    async def restore(self, row: Mapping[str, str], marks: Mapping[str, str]) -> bool:
        """Put a finding back into a ledger that does not know it; returns whether it is back on the list.

        Parameters
        ----------
        row
            As the evidence has it. It counts as told as loud as it was then.
        marks
            Those of the evidence: what is settled is settled there too.
        """
        settled = {"settledAt": marks.get(SETTLED_AT), "settledBy": marks.get(SETTLED_BY)}
        said = {name: value for name, value in settled.items() if value}
        known = await self._claims.claim(_PARTITION, row["id"], **row, toldAs=row["severity"], **said)
        return known is None and not said

    async def reopen(self, key: str, raised_at: str) -> None:
        """Put a settled finding back on the list: it happened once more, and the ledger did not take that."""
        await self._claims.amend(_PARTITION, key, raisedAt=raised_at, settledAt="", settledBy="", toldAs="")

    async def touch(self, key: str) -> None:
        """Note that somebody works on a finding: for a while every sweep looks whether it is mended."""
        await self._claims.amend(_PARTITION, key, seenAt=iso_time(self._now()))

    async def settle(self, key: str, by: str = OPERATOR) -> bool:
        """Take a finding off the list; returns whether it was on it. The evidence stays.

        Raises
        ------
        StorageUnavailable
            The list, or the evidence, cannot be reached: do it again.
        """
        with storage_errors_translated():
            row = await self._claims.get(_PARTITION, key)
            if row is None or not row.get("id"):
                return False
            was_open, now = not row.get("settledAt"), iso_time(self._now())
            if not was_open and by == OPERATOR:
                return False
            await self._claims.amend(_PARTITION, key, settledAt=now, settledBy=by)
            await self.mark_settled({**row, "settledAt": now, "settledBy": by})
            for level in Severity:
                await self._claims.release(_TOLD, f"{key}.{level}")
        if was_open:
            log.info("attention.settled", id=key, by=by)
        return was_open

    async def mark_settled(self, row: Mapping[str, Any]) -> bool:
        """Note beside the evidence that a finding is settled, for the day the ledger is lost.

        Returns whether storage let it: an immutable container does not, and then only the ledger knows.
        """
        marks = {RAISED_AT: row["raisedAt"], SETTLED_AT: row["settledAt"], SETTLED_BY: row["settledBy"]}
        # What every sweep finds again has no evidence; without a mark it would come back with the next.
        wanted = _is_standing(row["kind"]) and row["settledBy"] == OPERATOR
        return await self.evidence.settle(row["id"], marks, shown(row) if wanted else None)

    async def forget(self, key: str) -> None:
        """Forget a finding that is settled."""
        await self._claims.release(_PARTITION, key)

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Return everything the ledger has, by id: what is settled too, and what is not shown."""
        found = [row async for _, row in self._claims.all(_PARTITION)]
        return {row["id"]: row for row in found if row.get("id")}

    async def find(self, key: str) -> Mapping[str, Any] | None:
        """Return one of those rows."""
        return await self._claims.get(_PARTITION, key)

    async def findings(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is on the list, each with its severity as of now."""
        for row in (await self.rows()).values():
            if not row.get("settledAt"):
                yield {**shown(row), "severity": self.level(row), "hoursLeft": self._hours_left(row)}

    async def loudest_first(self) -> list[dict[str, Any]]:
        """Return the list, the loudest first, and of those the one that expires first.

        Raises
        ------
        StorageUnavailable
            The list cannot be reached.
        """
        levels = list(Severity)
        with storage_errors_translated():
            rows = [row async for row in self.findings()]
        return sorted(rows, key=lambda row: (-levels.index(row["severity"]), row.get("expiresAt") or "~"))

    def level(self, row: Mapping[str, Any]) -> Severity:
        """Return how loud a finding is now."""
        return severity(IncidentKind(row["kind"]), self._left(row))

    def _is_recent(self, at: str | None) -> bool:
        return at is not None and self._now() - datetime.fromisoformat(at) < _CRASHED_AFTER

    def _left(self, row: Mapping[str, Any]) -> timedelta | None:
        return datetime.fromisoformat(row["expiresAt"]) - self._now() if row.get("expiresAt") else None

    def _hours_left(self, row: Mapping[str, Any]) -> float | None:
        left = self._left(row)
        return None if left is None else max(0.0, round(left / timedelta(hours=1), 2))


def _is_standing(kind: str) -> bool:
    return KINDS[IncidentKind(kind)].found_by_every_sweep


def _is_louder(level: Severity, told_as: str | None) -> bool:
    levels = list(Severity)
    return not told_as or levels.index(level) > levels.index(Severity(told_as))


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list shows of a row."""
    return {name: row[name] for name in (*_SHOWN, "raisedAt", "severity") if row.get(name)}


def _is_dealt_with(known: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    return known.get("settledBy") == OPERATOR and known.get("error", "") == row.get("error", "")


def _row(finding: Incident) -> dict[str, str]:
    members = {
        "id": finding.key,
        "kind": finding.kind.value,
        "reason": clipped(finding.reason),
        "error": finding.error,
        "recordingId": finding.recording_id,
        "documentId": finding.document_id,
        "prefix": finding.prefix,
        "expiresAt": iso_time(finding.expires_at) if finding.expires_at else None,
    }
    return {name: value for name, value in members.items() if value is not None}
