"""What the commands ask of a running emulator, over its control routes."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from local.eventgrid.errors import CommandError

_TIMEOUT = aiohttp.ClientTimeout(total=120)


async def ask(base: str, method: str, path: str, body: object = None) -> Any:
    """Send a request to a control route and return its JSON answer, None if it is empty.

    Raises
    ------
    CommandError
        If no emulator is there or it refuses, with its reason.
    """
    data = None if body is None else json.dumps(body).encode()
    return await _send(base, method, path, data, {"Content-Type": "application/json"})


async def publish(base: str, topic: str, events: object, key: str | None) -> int:
    """Publish events read from a file and return how many; the key is asked of the emulator if it is not given.

    A single event of the Event Grid schema is put into an array; CloudEvents are recognised by ``specversion``.
    """
    if key is None:
        key = (await ask(base, "GET", f"/control/topics/{topic}/key"))["key"]
    items = events if isinstance(events, list) else [events]
    cloud = bool(items) and isinstance(items[0], dict) and "specversion" in items[0]
    content_type = "application/cloudevents-batch+json" if cloud else "application/json"
    headers = {"Content-Type": content_type, "aeg-sas-key": str(key)}
    await _send(base, "POST", f"/topics/{topic}/api/events", json.dumps(items).encode(), headers)
    return len(items)


async def _send(base: str, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
    url = base.rstrip("/") + path
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, data=data, headers=headers) as response,
        ):
            text = await response.text()
            if response.status >= 400:
                raise CommandError(_refusal(text, response.status))
            return json.loads(text) if text else None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CommandError(
            f"No Event Grid emulator answers at {base}: start one with 'python -m local eventgrid' "
            "or name another with --eventgrid."
        ) from error
    except ValueError as error:
        raise CommandError(
            f"What answers at {base} is no Event Grid emulator: name another with --eventgrid."
        ) from error


def _refusal(text: str, status: int) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The Event Grid emulator answered with {status}."
