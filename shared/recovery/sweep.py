"""The sweep: finds what failed or was lost, tries it again, and reports what it cannot fix.

Every step can be repeated, and run by any number of instances concurrently: messages and events may come twice, and an
incident is kept once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import log
from shared.core.azure_errors import storage_errors_translated
from shared.core.errors import ArchiverError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

type Step = Callable[[], Awaitable[None]]


class Sweep:
    """Runs `steps`, in their order; their names are for the log."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps

    async def sweep(self) -> None:
        """Run every step once; one that fails does not stop the others.

        Raises
        ------
        ExceptionGroup
            The steps that failed.
        """
        failures: list[Exception] = []
        for name, step in self._steps.items():
            try:
                with storage_errors_translated():
                    await step()
            except Exception as error:  # noqa: BLE001 - no failure of one step may stop the others
                reason = str(error) if isinstance(error, ArchiverError | ExceptionGroup) else type(error).__name__
                log.error("sweep.step_failed", step=name, reason=reason)
                failures.append(error)
        if failures:
            raise ExceptionGroup("steps of the sweep failed", failures)
