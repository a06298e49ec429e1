"""The cases: which source, which file, which contenders."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
RATE = 40_000_000

LIMITS = ("read-limit", "write-limit")
OFFICIAL = ("quickstart", "quickstart-md5", "stream")
PEERS = ("rclone", "azcopy", "curl")


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes
    ----------
    name, title
        What it is called, and what it is.
    size
        Bytes of the recording.
    source
        Options of the ACS emulator.
    contenders
        Who takes part.
    """

    name: str
    title: str
    size: int
    source: tuple[str, ...]
    contenders: tuple[str, ...]


CASES = (
    Case("plain-512", "unthrottled", 512 * MIB, (), ("ours", *LIMITS, *OFFICIAL, *PEERS)),
    Case(
        "throttled-512",
        "40 MB/s per connection",
        512 * MIB,
        ("--rate", str(RATE)),
        ("ours", *LIMITS, *OFFICIAL, *PEERS),
    ),
    Case(
        "latency-512",
        "40 MB/s per connection, 50 ms latency",
        512 * MIB,
        ("--rate", str(RATE), "--latency", "50ms"),
        ("ours", *LIMITS, "quickstart-md5", "stream"),
    ),
    Case(
        "no-range-512",
        "a source without Range",
        512 * MIB,
        ("--ignore-range",),
        ("ours", *LIMITS, "quickstart-md5", "stream"),
    ),
    Case("big-4096", "unthrottled, for memory", 4096 * MIB, (), ("ours", "write-limit")),
)
