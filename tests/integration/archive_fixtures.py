"""Fixtures around the app on the local stack: the ACS emulator's control routes, and the app's own API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.stack import Stack


@pytest.fixture(scope="module")
async def acs_control(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """The ACS emulator's control routes."""
    async with aiohttp.ClientSession(f"{stack.acs.endpoint}/control/", raise_for_status=True) as session:
        yield session


@pytest.fixture(scope="module")
async def app(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """The app's HTTP API, with the function key."""
    headers = {"x-functions-key": stack.function_key}
    async with aiohttp.ClientSession(f"{stack.url}/api/", headers=headers) as session:
        yield session


async def finished_recording(acs_control: aiohttp.ClientSession, **wanted: Any) -> dict[str, Any]:
    """A recording that was made and ended, as the emulator knows it."""
    body = {"durationSeconds": 2, "chunks": 1, "participants": ["8:acs:alice", "8:acs:bob"], **wanted}
    async with acs_control.post("recordings", json=body) as answer:
        truth: dict[str, Any] = await answer.json()
    return truth
