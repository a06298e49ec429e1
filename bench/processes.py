"""What a process that runs beside the measurement has used so far, from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, memory now and at its peak in MiB."""

    cpu_s: float
    mib: float
    peak_mib: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Look at a process.

        Raises
        ------
        OSError
            It is not there any more.
        """
        # The name in parentheses may hold spaces; user and system time are the 14th and 15th field (proc_pid_stat(5)).
        times = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[11:13]
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        return cls(sum(map(int, times)) / os.sysconf("SC_CLK_TCK"), _mib(status, "VmRSS"), _mib(status, "VmHWM"))


def forget_peak(pid: int | str = "self") -> None:
    """Reset a process's peak, so that it excludes the start; proc_pid_clear_refs(5)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _mib(status: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
