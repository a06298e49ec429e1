"""Draws the pictures of the README: `python -m docs.images.draw`. The same sources give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docs.images import architecture, demo

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent


def pictures() -> Mapping[str, str]:
    """Return each picture by its file's name, as SVG."""
    return {"architecture.svg": architecture.picture(), "demo.svg": demo.picture()}


if __name__ == "__main__":
    for name, svg in pictures().items():
        (FOLDER / name).write_text(svg, encoding="utf-8", newline="\n")
