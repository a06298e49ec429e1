"""The sweep: finds what failed or was lost, puts it back to work, and reports what it cannot fix.

All its steps can be done twice, and by any number of instances at once: they only send messages that may come twice,
take in events that may come twice, and report incidents that are kept once.
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
    """Takes one step after the other.

    Parameters
    ----------
    steps
        By name, in the order in which they are taken.
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps

    async def sweep(self) -> None:
        """Take every step once; one that fails does not keep the others from being taken.

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
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one step, the others have their turn
                reason = str(error) if isinstance(error, ArchiverError | ExceptionGroup) else type(error).__name__
                log.error("sweep.step_failed", step=name, reason=reason)
                failures.append(error)
        if failures:
            raise ExceptionGroup("steps of the sweep failed", failures)
