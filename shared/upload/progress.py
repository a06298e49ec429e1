"""How much of a file is staged, and reports of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.upload.block_plan import BlockPlan

PROGRESS_SECONDS = 2.0
"""The shortest time between two reports."""


class Progress:
    """The blocks of one file that are staged.

    Parameters
    ----------
    plan
        How the file is divided.
    staged
        Names of the blocks that were staged before, by index.
    skip
        Whether these are not read again (`skips`); else they are read, but not sent again.
    report
        Called with the bytes staged, and the file's size where it is known.
    """

    def __init__(
        self,
        plan: BlockPlan,
        staged: Mapping[int, str],
        *,
        skip: bool,
        report: Callable[[int, int | None], None] | None,
    ) -> None:
        self.plan = plan
        self.skips = frozenset(staged) if skip else frozenset()
        self.names: dict[int, str] = {index: staged[index] for index in self.skips}
        self.staged_bytes = self.resumed_bytes = sum(map(plan.length, self.skips))
        self._staged = staged
        self._report = report
        self._reported = 0.0

    def was_staged(self, index: int, name: str) -> bool:
        """Whether a block was staged before, with the same bytes."""
        return self._staged.get(index) == name

    def add(self, index: int, name: str, length: int) -> None:
        """Note that a block is staged."""
        if self.was_staged(index, name):
            self.resumed_bytes += length
        self.names[index] = name
        self.staged_bytes += length

    def report(self, size: int | None, *, final: bool = False) -> None:
        """Report, unless the last report was less than `PROGRESS_SECONDS` ago and this is not the final one."""
        now = asyncio.get_running_loop().time()
        if self._report is not None and (final or now - self._reported >= PROGRESS_SECONDS):
            self._reported = now
            self._report(self.staged_bytes, size)
