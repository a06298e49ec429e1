"""Starts that are asked for again: who asks first does the work, everybody else gets the first one's answer.

A key is claimed in the ledger. One claim can be left behind by a crash, so a claim that has had no answer for too long
is succeeded by the next; the service, told the same Repeatability-Request-ID by all of them, has one recording.
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
from shared.recordings.acs_client import PATIENCE, Repeatability
from shared.recordings.lookup import within_patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from shared.storage.claims import Claims

KIND = "idempotency"
"""The kind under which the ledger has the claims."""

KEPT = timedelta(hours=48)
"""How long a key gives its first answer; the sweep drops it then."""

CRASHED_AFTER = timedelta(seconds=2 * PATIENCE)
"""How long a claim may be without an answer; whoever made it has given up long before."""

_LOOK_AGAIN = 0.1


class Idempotency:
    """Lets the same request be made any number of times, and done once.

    Parameters
    ----------
    claims
        Where keys are claimed.
    """

    def __init__(self, claims: Claims, *, now: Now) -> None:
        self._claims = claims
        self._now = now

    async def once(
        self, key: str, request: str, start: Callable[[Repeatability], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Return what the first `start` of this key returned, calling it if this is the first.

        A start that failed is forgotten, so that the request can be made again.

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
                # The recording matters more than the ledger, and the service knows a repeated request as well.
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
        """Claim a key; None if that worked, else the other's claim, once it has an answer or must have crashed."""
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
            await _told(self._claims.release(KIND, row))
            raise
        await _told(self._claims.resolve(KIND, row, answer=json.dumps(answer)))
        return answer


async def _told(work: Awaitable[object]) -> None:
    with suppress(StorageUnavailable):
        await within_patience(work)
