"""The picture of a recorded call: which second of the call it is in large digits, the call's id, who is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTH, HEIGHT = 1920, 1080

_BACKGROUND, _INK, _DIM = 32, 235, 160
_CHROMA_BLUE, _CHROMA_RED = 140, 116


class Painter:
    """Paints the pictures of one chunk.

    Parameters
    ----------
    title
        Written above the digits.
    lines
        Written below them, one under the other.
    """

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        self._digits = ImageFont.load_default(size=340)
        small = ImageFont.load_default(size=44)
        self._canvas = Image.new("L", (WIDTH, HEIGHT), _BACKGROUND)
        draw = ImageDraw.Draw(self._canvas)
        draw.text((60, 50), title, fill=_DIM, font=small)
        for number, line in enumerate(lines):
            draw.text((60, 760 + number * 60), line, fill=_DIM, font=small)
        self._chroma = np.concatenate(
            [np.full(WIDTH * HEIGHT // 4, value, np.uint8) for value in (_CHROMA_BLUE, _CHROMA_RED)]
        )

    def paint(self, second: int) -> NDArray[np.uint8]:
        """Return the picture for a second of the call as planar YUV 4:2:0 of shape (1620, 1920)."""
        picture = self._canvas.copy()
        text = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        ImageDraw.Draw(picture).text((WIDTH // 2, 420), text, fill=_INK, font=self._digits, anchor="mm")
        return np.concatenate([np.asarray(picture).reshape(-1), self._chroma]).reshape(HEIGHT * 3 // 2, WIDTH)
