"""The picture of the architecture, as docs/architecture.md describes the code of today."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 1000, 660

# Light first; a browser whose page is dark takes the second part. Either is readable on either page.
_STYLE = """\
    text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2328; }
    .page { fill: #ffffff; stroke: #d1d9e0; }
    .group { fill: #f6f8fa; stroke: #d1d9e0; }
    .box { fill: #ffffff; stroke: #8c959f; }
    .ours { fill: #ddf4ff; stroke: #0969da; }
    .kept { fill: #dafbe1; stroke: #1a7f37; }
    .heading { font-weight: 600; fill: #59636e; }
    .name { font-weight: 600; font-size: 14px; }
    .code { font: 600 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
    .note, .label { font-size: 12px; fill: #59636e; }
    .arrow { fill: none; stroke: #59636e; stroke-width: 1.5; }
    .media { stroke: #1a7f37; stroke-width: 4; }
    .head { fill: #59636e; }
    .media-head { fill: #1a7f37; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .page { fill: #0d1117; stroke: #3d444d; }
      .group { fill: #151b23; stroke: #3d444d; }
      .box { fill: #0d1117; stroke: #656c76; }
      .ours { fill: #0c2d4f; stroke: #4493f8; }
      .kept { fill: #0f2d1a; stroke: #3fb950; }
      .heading, .note, .label { fill: #b1bac4; }
      .arrow { stroke: #b1bac4; }
      .media { stroke: #3fb950; }
      .head { fill: #b1bac4; }
      .media-head { fill: #3fb950; }
    }"""


@dataclass(frozen=True, slots=True)
class Group:
    """A group: a frame with a heading. Lengths are pixels of the picture."""

    heading: str
    x: int
    width: int
    height: int = 446


@dataclass(frozen=True, slots=True)
class Box:
    """A part: its name, which is `code` where it is one in the code or in Azure, and up to two lines about it."""

    x: int
    y: int
    width: int
    name: str
    notes: tuple[str, ...]
    kind: str = "box"
    code: bool = False
    height: int = 78


@dataclass(frozen=True, slots=True)
class Arrow:
    """A way: a path, whether media goes there, and lines beside it, the first of them at `at`."""

    path: str
    at: tuple[int, int]
    labels: tuple[str, ...]
    media: bool = False
    anchor: str = "middle"


_GROUPS = (
    Group("Azure", 20, 240, 342),
    Group("This app, in Azure Functions", 360, 280),
    Group("Your storage account", 740, 240),
)

_BOXES = (
    Box(360, 22, 280, "Your programs", ("start, pause, resume, stop, ask for the state",), height=58),
    Box(32, 158, 216, "Communication Services", ("Call Recording API",)),
    Box(32, 262, 216, "Event Grid", ("a system topic of", "Communication Services")),
    Box(32, 366, 216, "Communication Services", ("the recording's files,", "deleted after 24 hours")),
    Box(376, 158, 248, "HTTP API", ("controls recordings,", "reports their states"), kind="ours"),
    Box(
        376,
        262,
        248,
        "recording_file_status_updated",
        ("queues the event; a second function", "keeps it and lists its chunks"),
        "ours",
        True,
    ),
    Box(
        376,
        366,
        248,
        "archive_chunk",
        ("checks and digests the media;", "then its metadata, then the manifest"),
        "ours",
        True,
    ),
    Box(
        376, 470, 248, "sweep", ("every 5 minutes: finds what was lost", "or is late, and tries it again"), "ours", True
    ),
    Box(752, 158, 216, "table recordings", ("what was asked of a recording,", "and what became of it"), code=True),
    Box(
        752,
        262,
        216,
        "queue recording-chunks",
        ("a failed chunk is tried again", "until its source expires"),
        code=True,
    ),
    Box(752, 366, 216, "container recordings", ("media, metadata, events,", "manifest.json"), "kept", True),
    Box(752, 470, 216, "Dead letters", ("and poison messages: what could", "not be delivered or handled")),
    Box(360, 584, 280, "Operators", ("alerts, and the list at GET /api/attention",), height=58),
)

_ARROWS = (
    Arrow("M608 80V158", (598, 104), ("HTTP, function key",), anchor="end"),
    Arrow("M376 197H248", (312, 174), ("start, pause,", "resume, stop")),
    Arrow("M624 197H752", (688, 189), ("ledger",)),
    Arrow("M248 301H376", (312, 278), ("event:", "files are ready")),
    Arrow("M624 284H752", (688, 261), ("one message", "a chunk")),
    Arrow("M752 318H690V388H624", (700, 350), ("trigger",), anchor="start"),
    Arrow("M248 405H376", (312, 382), ("range requests,", "each signed"), media=True),
    Arrow("M624 420H752", (688, 442), ("blocks,", "one commit"), media=True),
    Arrow("M752 509H624", (688, 501), ("sent again",)),
    Arrow("M500 548V584", (512, 579), ("incidents",), anchor="start"),
)


def picture() -> str:
    """Return the picture as SVG."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" role="img" aria-labelledby="title desc">',
            '  <title id="title">How a recording gets into the archive</title>',
            '  <desc id="desc">Your programs control recordings through the HTTP API of this app, which calls the Call '
            "Recording API of Azure Communication Services. When files are ready, Event Grid calls the function "
            "recording_file_status_updated, which puts the event into the queue recording-events; from there "
            "archive_recording_files keeps it and sends one message a chunk to the queue recording-chunks, which "
            "triggers archive_chunk. That reads the media from Communication Services "
            "with signed range requests and writes it in blocks to the container recordings. A timer runs sweep, which "
            "replays dead letters, tries again what was lost, and reports incidents to operators.</desc>",
            f"  <style>\n{_STYLE}\n  </style>",
            "  <defs>",
            '    <marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
            'markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0l10 5-10 5z"/></marker>',
            '    <marker id="media-head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="15" markerHeight="15" '
            'markerUnits="userSpaceOnUse" orient="auto"><path class="media-head" d="M0 0l10 5-10 5z"/></marker>',
            "  </defs>",
            f'  <rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="10"/>',
            *map(_group, _GROUPS),
            *map(_box, _BOXES),
            *map(_arrow, _ARROWS),
            "</svg>\n",
        )
    )


def _group(group: Group) -> str:
    return (
        f'  <rect class="group" x="{group.x}" y="118" width="{group.width}" height="{group.height}" rx="8"/>\n'
        f'  <text class="heading" x="{group.x + 16}" y="143">{escape(group.heading)}</text>'
    )


def _box(box: Box) -> str:
    middle = box.x + box.width // 2
    # The baseline of the name, so that name and notes together stand in the middle.
    first = box.y + box.height // 2 - 9 * len(box.notes) + 5
    name = "name code" if box.code else "name"
    return "\n".join(
        (
            f'  <rect class="{box.kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>',
            _line(name, middle, first, "middle", box.name),
            *(_line("note", middle, first + 18 * row, "middle", note) for row, note in enumerate(box.notes, 1)),
        )
    )


def _arrow(arrow: Arrow) -> str:
    x, y = arrow.at
    kind, head = ("arrow media", "media-head") if arrow.media else ("arrow", "head")
    return "\n".join(
        (
            f'  <path class="{kind}" d="{arrow.path}" marker-end="url(#{head})"/>',
            *(_line("label", x, y + 15 * row, arrow.anchor, label) for row, label in enumerate(arrow.labels)),
        )
    )


def _line(kind: str, x: int, y: int, anchor: str, text: str) -> str:
    return f'  <text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
