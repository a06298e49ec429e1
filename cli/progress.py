"""The progress of a long command, on standard error: one updated line on a terminal, separate lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from cli.text import say

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status


class Progress:
    """Reports progress; `with` starts and ends it."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - --help is to be quick

            self._status = Console(stderr=True).status("")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def step(self, text: str) -> None:
        """Report a small step: shown only on a terminal, where it replaces the previous one."""
        if self._status is not None:
            from rich.text import Text  # noqa: PLC0415

            self._status.update(Text(text))

    def page(self, text: str) -> None:
        """Report a step that gets a line."""
        if self._status is None:
            say(text, err=True)
        else:
            self.step(text)
