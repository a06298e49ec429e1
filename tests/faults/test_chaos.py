"""Two hundred recordings while everything fails at random: none is lost, none differs, none is there twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.arena import arena
from tests.faults.chaos import Chaos
from tests.faults.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

RECORDINGS = 200
KILLS = 10
SEED = 20260312


@pytest.mark.timeout(300)
async def test_two_hundred_recordings_survive_kills_faults_and_threefold_delivery(tmp_path: Path) -> None:
    async with arena(tmp_path, clock_rate=60, DELETE_SOURCE_AFTER_ARCHIVE="true") as running:
        hosts = (running.stack.host, await running.stack.add_host())
        tally = await Chaos(running, hosts).run(Plan.of(SEED, recordings=RECORDINGS, kills=KILLS), patience=240)
    assert tally.differences == {}
    assert tally.unknown == 0
    assert (tally.recordings, tally.announced) == (RECORDINGS, RECORDINGS)
    assert tally.deleted > RECORDINGS / 2
    assert tally.kills > 0
    assert tally.suppressed > 0
    assert len(tally.faults) > 10


def test_a_seed_gives_the_same_plan() -> None:
    assert Plan.of(7, recordings=50, kills=5) == Plan.of(7, recordings=50, kills=5)
    assert Plan.of(7, recordings=50, kills=5) != Plan.of(8, recordings=50, kills=5)
