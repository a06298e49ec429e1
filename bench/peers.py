"""Other programs that move the same file: rclone, AzCopy, curl. What is not installed is named in the report.

apt-get install rclone curl
npm install --prefix .local/peers @azure-tools/azcopy-linux
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from bench.services import CONTAINER, PROJECT
from local.azurite import ACCOUNT, KEY
from shared.download.signing import HmacSigner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.services import Recording, Storage

PEERS = PROJECT / ".local" / "peers"
_AZCOPY = PEERS / "node_modules" / "@azure-tools" / "azcopy-linux" / "dist" / "bin" / "azcopy_linux_amd64"


@dataclass(frozen=True, slots=True)
class Used:
    """What programs took: seconds, CPU seconds, and the largest one's peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class PeerFailed(Exception):  # noqa: N818 - what happened
    """A peer is not installed or did not do its work; the message says which and why."""


def version(name: str) -> str | None:
    """Return a peer's version, or None where it is not installed."""
    program = _program(name)
    if program is None:
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env=_environment())
    if answer.returncode:
        return f"{name} does not start"
    found = re.search(r"\d+\.\d+[\w.-]*", answer.stdout)
    return f"{name} {found[0] if found else '(unknown version)'}"


async def run(name: str, recording: Recording, storage: Storage, blob: str, folder: Path) -> Used:
    """Let a peer move a recording into a blob.

    Raises
    ------
    PeerFailed
        It is not installed, or it failed.
    """
    signer = HmacSigner(recording.endpoint, recording.access_key)
    headers = await signer.headers("GET", recording.url)
    download = folder / "peer.mp4"
    try:
        match name:
            case "rclone":
                return await _take([_rclone(recording, headers, storage, blob)])
            case "azcopy":
                target = f"{storage.blob_url}/{CONTAINER}/{blob}?{_sas()}"
                return await _take(
                    [
                        _curl(recording, headers, download),
                        [_need("azcopy"), "copy", str(download), target, "--from-to=LocalBlob", "--put-md5"],
                    ]
                )
            case "curl":
                return await _take([_curl(recording, headers, download)])
            case _:
                raise PeerFailed(f"{name} is not a peer")
    finally:
        download.unlink(missing_ok=True)


def _rclone(recording: Recording, headers: dict[str, str], storage: Storage, blob: str) -> list[str]:
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    return [
        *(_need("rclone"), "copyurl", recording.url, f":azureblob:{CONTAINER}/{blob}", "--config", os.devnull),
        *given,
        *("--azureblob-sas-url", f"{storage.blob_url}/{CONTAINER}?{_sas()}"),
    ]


def _curl(recording: Recording, headers: dict[str, str], target: Path) -> list[str]:
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    return [_need("curl"), "--silent", "--show-error", "--fail", *given, "--output", str(target), recording.url]


def _sas() -> str:
    permission = ContainerSasPermissions(read=True, write=True, create=True, list=True, add=True, delete=True)
    return generate_container_sas(
        ACCOUNT, CONTAINER, account_key=KEY, permission=permission, expiry=datetime.now(UTC) + timedelta(hours=2)
    )


def _program(name: str) -> str | None:
    if name == "azcopy" and _AZCOPY.exists():
        _AZCOPY.chmod(0o755)  # npm does not mark it as a program
        return str(_AZCOPY)
    return shutil.which(name)


def _need(name: str) -> str:
    program = _program(name)
    if program is None:
        raise PeerFailed(f"{name} is not installed")
    return program


def _environment() -> dict[str, str]:
    logs = str(PEERS / "azcopy")
    return {
        **os.environ,
        "AZCOPY_LOG_LOCATION": logs,
        "AZCOPY_JOB_PLAN_LOCATION": logs,
        "AZCOPY_DISABLE_SYSLOG": "true",
        "AZCOPY_AUTO_LOGIN_TYPE": "",
    }


async def _take(commands: Sequence[list[str]]) -> Used:
    wall = cpu = peak = 0.0
    for command in commands:
        used = await asyncio.to_thread(_run, command)
        wall += used.wall_s
        cpu += used.cpu_s
        peak = max(peak, used.peak_mib)
    return Used(wall, cpu, peak)


def _run(command: list[str]) -> Used:
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment()) as process:
        output: list[bytes] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda pipe=process.stdout: output.append(pipe.read()))
        reader.start()
        peak = 0.0
        while True:
            peak = max(peak, _peak_mib(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
    if process.returncode:
        said = b"".join(output).decode("utf-8", "replace")[-300:].strip()
        raise PeerFailed(f"{Path(command[0]).name} ended with {process.returncode}: {said.replace(str(PROJECT), '.')}")
    return Used(wall, usage.ru_utime + usage.ru_stime, peak)


def _peak_mib(pid: int) -> float:
    """Return a process's peak memory so far; what wait4 says includes the process that it was forked from."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0
