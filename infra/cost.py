"""What the archive costs a month: `python -m infra.cost` prints the tables of docs/cost.md.

Prices change and differ by region: they are the parameters at the top, with their sources, and not the result.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

VOLUMES = (100, 10_000, 1_000_000)
"""Recordings a month."""

HOURS = 730
"""Hours of a month."""

ZONES = 1.25
"""Price of zone-redundant over locally redundant storage. An assumption."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price in US dollars, where it is from, and whether that was looked up or is assumed."""

    amount: float
    unit: str
    source: str


_BLOB = "Azure list price, East US, LRS, as github.com/api-evangelist/microsoft-azure-blob-storage gives it, May 2026"
_FLEX = "modal.com/blog/azure-function-pricing-guide, East US, May 2025"
_ASSUMED = "**assumption**"

PRICES = {
    "recording_audio": Price(0.002, "minute of mixed audio", _ASSUMED),
    "recording_video": Price(0.01, "minute of mixed audio and video", _ASSUMED),
    "event": Price(0.60 / 1e6, "Event Grid operation after the first 100 000", _ASSUMED),
    "compute": Price(0.000026, "GB-second on demand after the first 100 000", _FLEX),
    "ready": Price(0.000004, "GB-second of an always-ready instance, waiting", _ASSUMED),
    "execution": Price(0.40 / 1e6, "execution after the first 250 000", _ASSUMED),
    "hot": Price(0.018, "GB and month, hot", _BLOB),
    "cool": Price(0.01, "GB and month, cool", _BLOB),
    "cold": Price(0.0036, "GB and month, cold", _BLOB),
    "write": Price(0.055 / 1e4, "write, hot", _BLOB),
    "read": Price(0.0044 / 1e4, "read, hot", _BLOB),
    "write_cool": Price(0.10 / 1e4, "write to cool, for a change of tier", _ASSUMED),
    "write_cold": Price(0.18 / 1e4, "write to cold, for a change of tier", _ASSUMED),
    "queue": Price(0.004 / 1e4, "queue operation", _ASSUMED),
    "log": Price(2.30, "GB of logs after the first 5", _ASSUMED),
    "alert_metric": Price(0.10, "metric watched by an alert", _ASSUMED),
    "alert_log_15": Price(0.50, "log alert every 15 minutes", _ASSUMED),
    "alert_log_5": Price(1.50, "log alert every 5 minutes", _ASSUMED),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A typical recording: one chunk of `minutes`; `rate` is MB a minute, `price` the key of what the service takes."""

    name: str
    minutes: float
    rate: float
    price: str

    @property
    def megabytes(self) -> float:
        """Size of its media file, MB (10^6 bytes)."""
        return self.minutes * self.rate


# Rates: https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording
AUDIO = Recording("10 minutes of mixed audio (mp3)", 10, 0.36, "recording_audio")
VIDEO = Recording("10 minutes of mixed audio and video (mp4)", 10, 7.5, "recording_video")

# What one recording asks of the app, from its own behaviour.
BLOCK_MIB = 8
BLOBS = 4  # media, metadata, manifest, event
SMALL_WRITES = 5  # block list, metadata, event, manifest twice
READS = 4  # manifest, at each step
QUEUE_OPERATIONS = 4
EVENT_QUEUE_OPERATIONS = 3  # put, get, delete; in the host's account, whose requests are not logged
EVENT_OPERATIONS = 2  # published, delivered
EXECUTIONS = 3.1  # webhook, intake and chunk; one in ten chunks is tried twice
MEGABYTES_A_SECOND = 20.0  # a cautious rate of copying on one instance
OVERHEAD_SECONDS = 1.5  # all executions without the copy
LOG_KB = 14.0  # the app's and the host's lines; and 1 KB for each storage request

# What runs without any recording.
INSTANCE_GB = 2
READY_INSTANCES = 2  # one for the webhook, one for the intake
POLLS = 2 * HOURS * 3600 / 5  # both queues, every 5 s
IDLE_LOG_GB = 0.5
METRIC_ALERTS, LOG_ALERTS_15, LOG_ALERTS_5 = 4, 5, 1

# Months in each tier when the archive is a year old: the lifecycle's defaults.
MONTHS = {"hot": 1, "cool": 2, "cold": 9}


def monthly(recording: Recording, count: int) -> dict[str, float]:
    """Return US dollars a month by item, for `count` recordings a month, in the archive's twelfth month."""
    price = {name: found.amount for name, found in PRICES.items()}
    blocks = math.ceil(recording.megabytes * 1e6 / (BLOCK_MIB << 20))
    seconds = count * (OVERHEAD_SECONDS + recording.megabytes / MEGABYTES_A_SECOND)
    gigabytes = count * recording.megabytes / 1000
    logs = IDLE_LOG_GB + count * (LOG_KB + blocks + SMALL_WRITES + READS + QUEUE_OPERATIONS) / 1e6
    return {
        "Recording, by the service": count * recording.minutes * price[recording.price],
        "Event Grid": max(0, count * EVENT_OPERATIONS - 100_000) * price["event"],
        "Functions, always ready": READY_INSTANCES * INSTANCE_GB * HOURS * 3600 * price["ready"],
        "Functions, at work": max(0, seconds * INSTANCE_GB - 100_000) * price["compute"]
        + max(0, count * EXECUTIONS - 250_000) * price["execution"],
        "Storage requests": ZONES * count * (blocks + SMALL_WRITES) * price["write"]
        + count * READS * price["read"]
        + (count * (QUEUE_OPERATIONS + EVENT_QUEUE_OPERATIONS) + POLLS) * price["queue"],
        "Changes of tier": ZONES * count * BLOBS * (price["write_cool"] + price["write_cold"]),
        "Capacity, twelve months of recordings": ZONES * gigabytes * sum(n * price[tier] for tier, n in MONTHS.items()),
        "Logs": max(0, logs - 5) * price["log"],
        "Alerts": METRIC_ALERTS * price["alert_metric"]
        + LOG_ALERTS_15 * price["alert_log_15"]
        + LOG_ALERTS_5 * price["alert_log_5"],
    }


def tables() -> str:
    """Return the Markdown of the results and of the prices."""
    lines = []
    for recording in (AUDIO, VIDEO):
        columns = [monthly(recording, count) for count in VOLUMES]
        lines += [f"### {recording.name}: {recording.megabytes:g} MB each", ""]
        lines += ["| US dollars a month | " + " | ".join(f"{count:,}".replace(",", " ") for count in VOLUMES) + " |"]
        lines += ["|---|" + "---:|" * len(VOLUMES)]
        for item in columns[0]:
            lines.append(f"| {item} | " + " | ".join(_money(column[item]) for column in columns) + " |")
        totals = [sum(column.values()) for column in columns]
        lines.append("| **Together** | " + " | ".join(f"**{_money(total)}**" for total in totals) + " |")
        each = [f"{total / count:.4f}" for total, count in zip(totals, VOLUMES, strict=True)]
        lines += ["| a recording | " + " | ".join(each) + " |", ""]
    lines += ["### Prices", "", "| US dollars | for each | source |", "|---:|---|---|"]
    lines += [f"| {_price(price.amount)} | {price.unit} | {price.source} |" for price in PRICES.values()]
    return "\n".join(lines) + "\n"


def _money(amount: float) -> str:
    return f"{amount:,.2f}".replace(",", " ")


def _price(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    sys.stdout.write(tables())
