"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to fix.

    Attributes
    ----------
    path
        The file to fix.
    line
        The line in it, from 1; 0 for the whole file.
    check
        Which check found it: syntax, symbol, module, types, name, setting, storage, platform, workbook, checkov.
    message
        What is wrong and what is right.
    """

    path: Path
    line: int
    check: str
    message: str

    def show(self, root: Path) -> str:
        """Return `file:line: check: message`, the file relative to `root`."""
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else self.path
        return f"{path}:{self.line}: {self.check}: {self.message}"
