"""Incidents: what an operator must look at. Severity grows as the source's expiry comes near.

The list is rows of the ledger's table. An incident that happens only once also has evidence in the archive, under
`attention/`, from which a missing row is restored (`shared.recovery.upkeep`). The row of a settled incident stays for
some days, so that it is not reported again; the evidence is marked as settled too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import limits, log, telemetry
from shared.core.azure_errors import storage_errors_translated
from shared.core.blob_names import chunk_identifier, digest, safe_name
from shared.core.errors import Retryable
from shared.core.limits import clipped
from shared.core.times import Now, iso_time, utc_now
from shared.incidents.evidence_blobs import RAISED_AT, SETTLED_AT, SETTLED_BY
from shared.incidents.kinds import KINDS, IncidentKind, Severity, severity
from shared.storage.ledger import best_effort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shared.core.errors import ArchiverError, InvalidEvent, ManifestUnreadable
    from shared.events.chunk_message import ChunkMessage
    from shared.incidents.evidence_blobs import EvidenceBlobs
    from shared.storage.claims import Claims

_PARTITION = "attention"
_REPORTS = "attention.told"
"""The claims on reporting an incident at one severity, which make that happen once."""

_REPORTED_AS = "toldAs"
"""The row's property with the severity at which the incident was reported last."""

_CRASHED_AFTER = timedelta(minutes=4)
"""How long a worker that claimed a report may take for it."""

_DETAILS = ("reason", "error", "recordingId", "documentId", "prefix", "expiresAt")
_SHOWN = ("id", "kind", *_DETAILS)

_OPEN_AGAIN = {"settledAt": "", "settledBy": "", _REPORTED_AS: ""}

OPERATOR, SWEEP = "operator", "sweep"
"""Who settles an incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that an operator has to look at.

    Attributes
    ----------
    kind, identifier
        Together they name the incident: the same one found twice is one.
    reason
        What is wrong, and the fix where there is one.
    error
        Name of the error class, where there was one.
    expires_at
        When the service deletes the source; None where that is not known.
    evidence
        What is kept of it in the archive, so that its work can be done later.
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
        """The incident's name, safe in paths."""
        return f"{self.kind}.{safe_name(self.identifier)}"


def manifest_incident(prefix: str, error: ManifestUnreadable) -> Incident:
    """Return the incident of a recording whose manifest cannot be read."""
    return Incident(
        kind=IncidentKind.GAP, identifier=prefix, reason=str(error), error=type(error).__name__, prefix=prefix
    )


def message_incident(body: str, error: InvalidEvent) -> Incident:
    """Return what is found of a queue message that cannot be read; its body is the evidence."""
    return Incident(
        kind=IncidentKind.MESSAGE,
        identifier=digest(body),
        reason=str(error),
        error=type(error).__name__,
        evidence={"message": body},
    )


def chunk_incident(message: ChunkMessage, reason: str, error: str | None = None) -> Incident:
    """Return the incident of a chunk that cannot be archived; its message is the evidence."""
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
    """Keeps incidents, and reports each once for every severity.

    Parameters
    ----------
    evidence
        Keeps what a row cannot hold, and stays when the table is lost.
    claims
        Keep the list.
    announce
        Called with each incident, and again when its severity grows; does nothing by default.
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

    async def report(self, incident: Incident, seen: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Put an incident on the list; of one that is known already only the severity grows.

        An incident that an operator settled is back on the list when it happens again. One that every sweep finds again
        is not, unless its error has changed.

        Parameters
        ----------
        seen
            The list as `rows` returned it: saves requests.
        """
        row, now = _row(incident), iso_time(self._now())
        level = self.level(row)
        if incident.evidence is not None:
            evidence = {"raisedAt": now, **row, "severity": level.value, **incident.evidence}
            await self.evidence.raise_(incident.key, evidence)
        known = seen.get(incident.key) if seen is not None else None
        if known is None:
            facts = {"raisedAt": now, "seenAt": now, "severity": level.value}
            known = await best_effort(self._claims.claim(_PARTITION, incident.key, **row, **facts))
        if known is None:
            await self._report(row, None)
            return
        is_settled, is_standing = bool(known.get("settledAt")), _is_standing(incident.kind)
        if is_settled and is_standing and _is_dealt_with(known, row):
            return
        changes = {name: row.get(name, "") for name in _DETAILS if known.get(name, "") != row.get(name, "")}
        if not is_standing:
            changes["seenAt"] = now
        if is_settled:
            changes |= {"raisedAt": now, **_OPEN_AGAIN}
        if changes:
            await best_effort(self._claims.amend(_PARTITION, incident.key, **changes))
        await self._report(row, None if is_settled else known.get(_REPORTED_AS))

    async def refuse_event(
        self, event: Mapping[str, Any], error: ArchiverError, *, expires_at: datetime | None = None, **marks: Any
    ) -> None:
        """Report a refused event; `marks` are kept with it: the `documents` at fault, `cut` where only its head is."""
        identifier, kept = limits.identifier_of(event), limits.evidence_of(event)
        count = len(marks.get("documents", ())) or None
        log.error("event.refused", eventId=identifier, documents=count, reason=str(error))
        evidence = {**marks, **({} if kept is event else {"cut": True}), "event": kept}
        kind, name = IncidentKind.EVENT, type(error).__name__
        await self.report(
            Incident(
                kind=kind, identifier=identifier, reason=str(error), error=name, expires_at=expires_at,
                evidence=evidence,
            )
        )  # fmt: skip

    def has_grown(self, row: Mapping[str, Any]) -> bool:
        """Whether an incident is on the list and was not reported at its present severity yet."""
        return not row.get("settledAt") and _is_more_severe(self.level(row), row.get(_REPORTED_AS))

    async def report_growth(self, row: Mapping[str, Any]) -> None:
        """Report an incident on the list, as `rows` returned it, if its severity has grown."""
        await self._report({name: row[name] for name in _SHOWN if row.get(name)}, row.get(_REPORTED_AS))

    async def _report(self, row: Mapping[str, str], reported_as: str | None) -> None:
        """Report an incident once for each severity; a report that failed is made by the next worker."""
        level, now = self.level(row), self._now()
        if not _is_more_severe(level, reported_as):
            return
        claim = f"{row['id']}.{level}"
        incident = {**row, "severity": level.value}
        known = await best_effort(self._claims.claim(_REPORTS, claim, at=iso_time(now)))
        if known is None:
            log.error("attention.raised", **incident, hoursLeft=self._hours_left(row))
            telemetry.attention_raised(level, row["kind"])
        elif not known.get("failed") and self._is_recent(known.get("at")):
            return
        if self._announce is not None:
            try:
                await self._announce(incident)
            except Retryable as error:
                log.warning("attention.not_announced", id=row["id"], reason=str(error))
                await best_effort(self._claims.amend(_REPORTS, claim, failed="yes"))
                return
        reported = {_REPORTED_AS: level.value, "severity": level.value}
        await best_effort(self._claims.amend(_PARTITION, row["id"], **reported))

    async def restore(self, row: Mapping[str, str], marks: Mapping[str, str]) -> bool:
        """Restore the row of an incident that the ledger does not know; return whether it is back on the list.

        Parameters
        ----------
        row
            As the evidence has it; the incident counts as reported at the severity that it had then.
        marks
            Those of the evidence, which say whether it is settled.
        """
        settled = {"settledAt": marks.get(SETTLED_AT), "settledBy": marks.get(SETTLED_BY)}
        facts = {name: value for name, value in settled.items() if value}
        known = await self._claims.claim(_PARTITION, row["id"], **row, **{_REPORTED_AS: row["severity"]}, **facts)
        return known is None and not facts

    async def reopen(self, key: str, raised_at: str) -> None:
        """Put a settled incident back on the list: it happened again, and the ledger could not be written then."""
        await self._claims.amend(_PARTITION, key, raisedAt=raised_at, **_OPEN_AGAIN)

    async def touch(self, key: str) -> None:
        """Note that an incident is worked on: for some time every sweep checks whether it is resolved."""
        await self._claims.amend(_PARTITION, key, seenAt=iso_time(self._now()))

    async def settle(self, key: str, by: str = OPERATOR) -> bool:
        """Take an incident off the list; return whether it was on it. The evidence stays.

        Raises
        ------
        StorageUnavailable
            The list, or the evidence, cannot be reached: try again.
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
                await self._claims.release(_REPORTS, f"{key}.{level}")
        if was_open:
            log.info("attention.settled", id=key, by=by)
        return was_open

    async def mark_settled(self, row: Mapping[str, Any]) -> bool:
        """Mark the evidence of an incident as settled, so that this is known when the ledger is lost.

        Returns whether storage allowed it: an immutable container does not, and then only the ledger knows.
        """
        marks = {RAISED_AT: row["raisedAt"], SETTLED_AT: row["settledAt"], SETTLED_BY: row["settledBy"]}
        # An incident that every sweep finds again has no evidence; without a mark the next sweep would report it.
        wanted = _is_standing(row["kind"]) and row["settledBy"] == OPERATOR
        return await self.evidence.settle(row["id"], marks, shown(row) if wanted else None)

    async def forget(self, key: str) -> None:
        """Delete the row of a settled incident."""
        await self._claims.release(_PARTITION, key)

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Return all rows by id, those of settled incidents too."""
        found = [row async for _, row in self._claims.all(_PARTITION)]
        return {row["id"]: row for row in found if row.get("id")}

    async def find(self, key: str) -> Mapping[str, Any] | None:
        """Return one of those rows."""
        return await self._claims.get(_PARTITION, key)

    async def findings(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the incidents on the list, each with its present severity."""
        for row in (await self.rows()).values():
            if not row.get("settledAt"):
                yield {**shown(row), "severity": self.level(row), "hoursLeft": self._hours_left(row)}

    async def by_severity(self) -> list[dict[str, Any]]:
        """Return the list, the most severe first, and of equal severity the one that expires first.

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
        """Return the present severity of an incident."""
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


def _is_more_severe(level: Severity, reported_as: str | None) -> bool:
    levels = list(Severity)
    return not reported_as or levels.index(level) > levels.index(Severity(reported_as))


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list shows of a row."""
    return {name: row[name] for name in (*_SHOWN, "raisedAt", "severity") if row.get(name)}


def _is_dealt_with(known: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    return known.get("settledBy") == OPERATOR and known.get("error", "") == row.get("error", "")


def _row(incident: Incident) -> dict[str, str]:
    members = {
        "id": incident.key,
        "kind": incident.kind.value,
        "reason": clipped(incident.reason),
        "error": incident.error,
        "recordingId": incident.recording_id,
        "documentId": incident.document_id,
        "prefix": incident.prefix,
        "expiresAt": iso_time(incident.expires_at) if incident.expires_at else None,
    }
    return {name: value for name, value in members.items() if value is not None}
