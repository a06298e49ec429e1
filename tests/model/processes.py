"""The processes of the protocol, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import chunks, intake, recovery, starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.operations import Program, Requests

PROCESSES: dict[str, Callable[..., Program | Requests]] = {
    "intake": intake.intake,
    "intake_start": intake.intake_start,
    "intake_manifest": intake.intake_manifest,
    "intake_messages": intake.intake_messages,
    "worker": chunks.worker,
    "copy": chunks.copy,
    "record": chunks.record,
    "start": starts.start,
    "callback": starts.join,
    "join": starts.join,
    "join_manifest": starts.join_manifest,
    "sweep_start": starts.sweep_start,
    "reconcile_start": starts.reconcile_start,
    "clean_up": starts.clean_up,
    "sweep_row": recovery.sweep_row,
    "sweep_poison": recovery.sweep_poison,
    "reconcile": recovery.reconcile,
}
