"""MD5 and SHA-256 of a file and its blocks, computed in threads during the copy."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.upload.buffers import Block

_NICENESS = 5


class Hashing:
    """The threads that compute digests; hashlib releases the interpreter's lock, so they run on other cores.

    There is one thread fewer than cores, at least one, with a lower priority than the event loop, whose delay would
    slow the whole copy.
    """

    def __init__(self) -> None:
        threads = max(1, (os.process_cpu_count() or 1) - 1)
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="digest", initializer=_yield_to_others)

    async def md5(self, block: Block) -> bytes:
        """Return a block's own MD5, which the storage service checks."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, _md5, block)


class Digests:
    """The digests of a file whose bytes are added in order; `position` is the number of bytes added."""

    def __init__(self, hashing: Hashing) -> None:
        self.hashing = hashing
        self.position = 0
        # Blob Storage stores and checks the MD5; it is used for nothing else.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    async def extend(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Add the file's next bytes."""
        await asyncio.get_running_loop().run_in_executor(self.hashing.threads, self._add, pieces)

    def _add(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self._md5.update(piece)
            self._sha256.update(piece)
            self.position += len(piece)

    @property
    def md5(self) -> bytes:
        """MD5 of what was added."""
        return self._md5.digest()

    @property
    def sha256(self) -> bytes:
        """SHA-256 of what was added."""
        return self._sha256.digest()


def _yield_to_others() -> None:
    if sys.platform == "linux":  # elsewhere threads have no niceness
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _md5(block: Block) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in block.pieces():
        digest.update(piece)
    return digest.digest()
