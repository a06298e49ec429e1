"""Makes media in worker threads and keeps it, so that the servers stay responsive and tests are quick."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local.acs.bodies import PERIOD, Body, Filling, padded
from local.acs.media import encode

if TYPE_CHECKING:
    from pathlib import Path

    from local.acs.media import MediaSpec

_KEPT_FOR = 7 * 24 * 3600.0


class MediaStore:
    """A folder of media files, named by what they show.

    Parameters
    ----------
    folder
        Where they are kept; several emulators may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._filling = Filling(self._folder)
        self._workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="acs-media")
        self._locks: dict[str, asyncio.Lock] = {}

    async def body(self, spec: MediaSpec, document_id: str, size: int | None = None) -> tuple[Body, str]:
        """Return the media that `spec` describes with its SHA-256, padded to `size` bytes if that is given.

        Raises
        ------
        ValueError
            When the media cannot have that size or length.
        """
        loop = asyncio.get_running_loop()
        async with self._locks.setdefault(spec.key(), asyncio.Lock()):
            path = await loop.run_in_executor(self._workers, self._encoded, spec)
        return await loop.run_in_executor(self._workers, self._finished, spec, path, document_id, size)

    def close(self) -> None:
        """Let go of the worker threads; running ones finish by themselves."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def forget_old(self) -> None:
        """Delete media that was not used for a week."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.is_file() and time.time() - path.stat().st_mtime > _KEPT_FOR:
                path.unlink(missing_ok=True)

    def _encoded(self, spec: MediaSpec) -> Path:
        path = self._folder / f"{spec.key()}.{spec.format}"
        if path.exists():
            os.utime(path)
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{secrets.token_hex(8)}.tmp")
        try:
            encode(spec, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _finished(self, spec: MediaSpec, path: Path, document_id: str, size: int | None) -> tuple[Body, str]:
        if size is None:
            body = Body.of_file(path)
        else:
            phase = int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:4]) % PERIOD
            body = padded(path, spec.format, size, self._filling, phase)
        return body, body.sha256()
