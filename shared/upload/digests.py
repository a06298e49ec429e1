"""MD5 and SHA-256 of a file and its blocks, computed in threads while the bytes pass by."""

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
    """The threads that digest; hashlib lets go of the interpreter's lock, so they take cores of their own.

    There is one fewer than the machine has cores, and at least one, and they yield to others: when the event loop,
    which keeps the network busy, has to wait for its turn, the whole is slower.
    """

    def __init__(self) -> None:
        threads = max(1, (os.process_cpu_count() or 1) - 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="digest", initializer=_yield_to_others)

    async def md5(self, block: Block) -> bytes:
        """Return a block's own MD5, which the storage service compares with what it received."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _md5, block)

    async def extend(self, digests: Digests, pieces: Iterable[bytes | memoryview]) -> None:
        """Add the next pieces of a file to its digests."""
        await asyncio.get_running_loop().run_in_executor(self._threads, digests.add, pieces)


class Digests:
    """The digests of a file whose bytes are added in order.

    Attributes
    ----------
    position
        Bytes added so far.
    """

    def __init__(self) -> None:
        self.position = 0
        # MD5 is what Blob Storage keeps and checks; it is no protection against anybody.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def add(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Add the file's next bytes."""
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
    if sys.platform == "linux":  # elsewhere threads have no niceness of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _md5(block: Block) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in block.pieces():
        digest.update(piece)
    return digest.digest()
