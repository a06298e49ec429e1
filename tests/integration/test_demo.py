"""The main job, end to end: a call is recorded and archived, whatever happens to the Functions host on the way."""

from __future__ import annotations

import re

import pytest

from tests.integration.processes import Command


async def test_the_demo_archives_a_call_and_shows_what_it_checked() -> None:
    async with await Command.start("demo") as command:
        code = await command.end()
    assert code == 0, command.output
    output = command.output
    for expected in (
        "manifest.json",
        "0000.mp4",
        "0000.metadata.json",
        "0001.mp4",
        "events/",
        "complete",
        "participant",
    ):
        assert expected in output, expected
    assert len(re.findall(r"\.mp4 +sha256 [0-9a-f]{64} = manifest = source", output)) >= 2
    assert len(re.findall(r"\.metadata\.json +sha256 [0-9a-f]{64} = manifest = source", output)) >= 2
    assert "opens: h264 + aac, 1920x1080, 16 kHz" in output


@pytest.mark.parametrize(
    "moments",
    [["started", "paused", "resumed", "stopped"], ["announced"], ["first-chunk"], ["0.2", "2", "4"], ["0.6"], ["1"]],
    ids=" ".join,
)
async def test_a_host_killed_on_the_way_ends_with_the_same_archive(moments: list[str]) -> None:
    options = [text for moment in moments for text in ("--kill-host-at", moment)]
    async with await Command.start("demo", *options) as command:
        code = await command.end()
    assert code == 0, command.output
    assert "kill the Functions host" in command.output
    assert "= manifest = source" in command.output
