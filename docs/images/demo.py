"""The picture of the demo: a terminal with what a real run printed, as docs/images/demo.txt has it.

The picture shows the steps, the digests and the end. The archive's tree and the manifest are left out, and of each
SHA-256 the first digits are shown. Nothing is added.
"""

from __future__ import annotations

import re
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCE = Path(__file__).with_name("demo.txt")

_COMMAND = "$ make demo"
_DIGESTS = "Digests recomputed from the downloaded blobs"
_SHA256 = re.compile(r"(sha256 [0-9a-f]{12})[0-9a-f]{52}\b")
# A tick, "sha256 … = manifest = source", and the seconds at a line's end have colours of their own.
_PARTS = re.compile(r"(?P<good>^✓|= manifest = source$|^Archived, whole and verified.*$)|(?P<dim> \(\d+\.\d s\)$)")

_WIDTH, _LINE, _TOP, _LEFT, _BOTTOM = 860, 19, 62, 24, 24

_STYLE = """\
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e6edf3; }
    .window { fill: #0d1117; stroke: #484f58; }
    .bar { fill: #21262d; }
    .name, .dim { fill: #9198a1; }
    .good { fill: #3fb950; }
    .command { font-weight: bold; }"""


def shown(output: str) -> list[str]:
    """Return the lines of the demo's output that the picture shows, with digests shortened.

    Parameters
    ----------
    output
        Everything that a successful run printed.

    Raises
    ------
    ValueError
        The output has no digests, or does not end as a successful run does.
    """
    lines = output.splitlines()
    if _DIGESTS not in lines or not lines[-1].startswith("Archived, whole and verified"):
        raise ValueError(f"{SOURCE.name} is not the output of a demo that succeeded; run: python -m docs.images.record")
    steps = [line for line in takewhile(str.strip, lines) if "/azurite" not in line]
    end = [line for line in lines[lines.index(_DIGESTS) :] if not line.strip().startswith("md5")]
    return [_SHA256.sub(r"\1…", line) for line in (*steps, "", *end)]


def picture() -> str:
    """Return the picture as SVG."""
    lines = shown(SOURCE.read_text(encoding="utf-8"))
    height = _TOP + _LINE * len(lines) + _BOTTOM
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="title desc">',
            '  <title id="title">What make demo prints</title>',
            '  <desc id="desc">A terminal. The demo starts the local stack, records a call, pauses, resumes and stops '
            "the recording, archives its chunks, and finds each file's digest equal to the manifest's and the "
            f"source's. It ends with: {escape(lines[-1])}</desc>",
            f"  <style>\n{_STYLE}\n  </style>",
            f'  <rect class="window" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="10"/>',
            f'  <path class="bar" d="M1 34V11a10 10 0 0 1 10-10H{_WIDTH - 11}a10 10 0 0 1 10 10v23z"/>',
            '  <circle cx="22" cy="18" r="6" fill="#ff5f57"/>',
            '  <circle cx="42" cy="18" r="6" fill="#febc2e"/>',
            '  <circle cx="62" cy="18" r="6" fill="#28c840"/>',
            f'  <text class="name" x="{_WIDTH / 2:g}" y="22" text-anchor="middle">acs-recording-archiver</text>',
            f'  <text class="command" x="{_LEFT}" y="{_TOP}">{_COMMAND}</text>',
            *_text(lines),
            "</svg>\n",
        )
    )


def _text(lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line:
            dim = ' class="dim"' if line.startswith("  …") else ""
            at = f'x="{_LEFT}" y="{_TOP + number * _LINE}"'
            yield f'  <text{dim} {at} xml:space="preserve">{_coloured(line)}</text>'


def _coloured(line: str) -> str:
    begin, parts = 0, []
    for found in _PARTS.finditer(line):
        parts += [escape(line[begin : found.start()]), f'<tspan class="{found.lastgroup}">{escape(found[0])}</tspan>']
        begin = found.end()
    return "".join((*parts, escape(line[begin:])))
