"""What can be chosen on the command line; apart, so that showing `--help` imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum


class HostKind(StrEnum):
    """Which Functions host runs the app."""

    LOCAL = "local"
    FUNC = "func"


class Moment(StrEnum):
    """Points of the demo at which the Functions host can be killed."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    ANNOUNCED = "announced"
    FIRST_CHUNK = "first-chunk"
