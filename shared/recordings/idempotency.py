"""Repeated starts: the first request with a key starts the recording, and all others get its answer.

A key is claimed in the ledger. A crash can leave a claim without an answer, so after some time the next request takes
it over. All of them send the service the same Repeatability-Request-ID, so there is one recording.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.core import log
from shared.core.errors import IdempotencyConflict, StorageUnavailable
from shared.core.times import Now, iso_time
from shared.recordings.acs_client import SERVICE_PATIENCE, Repeatability
from shared.recordings.patience import within_patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from shared.storage.claims import Claims

KIND = "idempotency"
"""The kind under which the ledger has the claims."""

KEPT = timedelta(hours=48)
"""How long a key returns its first answer; then the sweep deletes it."""

CRASHED_AFTER = timedelta(seconds=2 * SERVICE_PATIENCE)
"""How long a claim may be without an answer; its request has timed out long before."""

_LOOK_AGAIN = 0.1


class Idempotency:
    """Lets a request be repeated any number of times, and done once."""

    def __init__(self, claims: Claims, *, now: Now) -> None:
        self._claims = claims
        self._now = now

    async def once(
        self, key: str, request: str, start: Callable[[Repeatability], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Return what the first `start` of this key returned, calling it if this is the first.

        The key of a start that failed is released, so that the request can be repeated.

        Parameters
        ----------
        key
            The caller's.
        request
            What is asked for, in a form in which equal requests are equal.
        start
            Starts the recording.

        Raises
        ------
        IdempotencyConflict
            The key was used for another request.
        """
        asked = hashlib.sha256(request.encode("utf-8", "surrogatepass")).hexdigest()
        request_id = UUID(bytes=hashlib.sha256(f"{key}\n{asked}".encode()).digest()[:16], version=4)
        first_sent = self._now()
        for attempt in itertools.count():
            row = key if attempt == 0 else f"{key}\n{attempt}"
            try:
                claim = await self._claimed(row, asked)
            except StorageUnavailable:
                # The recording must not fail with the ledger, and the service recognises a repeated request too.
                return await start(Repeatability(request_id, first_sent))
            if claim is None:
                return await self._first(row, Repeatability(request_id, first_sent), start)
            if "answer" in claim:
                answer: dict[str, Any] = json.loads(claim["answer"])
                return answer
            if attempt == 0:
                first_sent = datetime.fromisoformat(claim["claimedAt"])
            log.warning("start.taken_over", claimedAt=claim["claimedAt"])
        raise AssertionError

    async def _claimed(self, row: str, asked: str) -> Mapping[str, Any] | None:
        """Claim a key; None if that worked, else the other claim, once it has an answer or its request has crashed."""
        while True:
            claimed_at = iso_time(self._now())
            claim = await within_patience(self._claims.claim(KIND, row, request=asked, claimedAt=claimed_at))
            if claim is None:
                return None
            while claim is not None:
                if claim["request"] != asked:
                    raise IdempotencyConflict
                if "answer" in claim or self._now() - datetime.fromisoformat(claim["claimedAt"]) >= CRASHED_AFTER:
                    return claim
                await asyncio.sleep(_LOOK_AGAIN)
                claim = await within_patience(self._claims.get(KIND, row))

    async def _first(
        self, row: str, repeatability: Repeatability, start: Callable[[Repeatability], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        try:
            answer = await start(repeatability)
        except BaseException:
            await _noted(self._claims.release(KIND, row))
            raise
        await _noted(self._claims.resolve(KIND, row, answer=json.dumps(answer)))
        return answer


async def _noted(work: Awaitable[object]) -> None:
    with suppress(StorageUnavailable):
        await within_patience(work)
