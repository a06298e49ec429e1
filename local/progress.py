"""Steps with ticks on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console


class Progress:
    """Shows the steps that run and the steps that are done.

    Parameters
    ----------
    console
        Where to; decides by itself whether it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show `text` while the body runs, then a tick and how long it took.

        The body gets a function that shows its progress: beside a spinner on a terminal, as a line elsewhere.
        """
        begin = time.monotonic()
        shown = ""
        status = self.console.status(text) if self.console.is_terminal else None

        def report(state: str) -> None:
            nonlocal shown
            if state == shown:
                return
            shown = state
            if status is not None:
                status.update(f"{text}: {state}")
            else:
                self.line(f"  … {state}")

        if status is not None:
            status.start()
        try:
            yield report
        except BaseException:
            if status is not None:
                status.stop()
            self.line(f"[red]✗[/red] {text}")
            raise
        if status is not None:
            status.stop()
        self.line(f"[green]✓[/green] {text} [dim]({time.monotonic() - begin:.1f} s)[/dim]")

    def line(self, text: str) -> None:
        """Show a line, with rich's markup."""
        self.console.print(text, highlight=False, soft_wrap=True)
