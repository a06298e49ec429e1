"""Speaks to the control routes of a running emulator, for the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from local.acs.errors import AcsEmulatorError


def ask(url: str, method: str, path: tuple[str, ...], body: dict[str, Any] | None = None) -> Any:
    """Send one request to a control route and return the decoded answer.

    Parameters
    ----------
    url
        Origin of the emulator.
    method
        HTTP method.
    path
        Parts of the path below `/control`, not encoded.
    body
        Sent as JSON.

    Raises
    ------
    AcsEmulatorError
        When the emulator is not there or refuses; the message is for a person.
    """
    return asyncio.run(_ask(url.rstrip("/"), method, path, body))


async def _ask(url: str, method: str, path: tuple[str, ...], body: dict[str, Any] | None) -> Any:
    address = "/".join([f"{url}/control", *(quote(part, safe="") for part in path)])
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as session,
            session.request(method, URL(address, encoded=True), json=body) as response,
        ):
            text = await response.text()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise AcsEmulatorError(
            f"No ACS emulator answers at {url}: start one with `python -m local acs`, or give its address with --acs."
        ) from exc
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as exc:
        raise AcsEmulatorError(
            f"What answers at {url} is not an ACS emulator (HTTP {status}): give its address with --acs."
        ) from exc
    if status >= 400:
        message = answer.get("error", {}).get("message", text) if isinstance(answer, dict) else text
        raise AcsEmulatorError(f"The emulator refused: {message}")
    return answer
