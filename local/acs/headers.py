"""The headers that stand on every answer of the service.

Source: recorded answers of 2021 to 2026.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from uuid import uuid4

from local.acs import versions

if TYPE_CHECKING:
    from aiohttp import web

CHAIN_ID = "X-Microsoft-Skype-Chain-ID"

_MODERN = "2024"


async def add_service_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add them to an answer that begins; a signal handler for `on_response_prepare`."""
    response.headers.setdefault("MS-CV", f"{secrets.token_urlsafe(16)}.0")
    if request.path.startswith("/calling/"):
        _add_api_headers(request, response)


def _add_api_headers(request: web.Request, response: web.StreamResponse) -> None:
    version = request.query.get("api-version", "")
    response.headers.setdefault(CHAIN_ID, str(uuid4()))
    if (client_id := request.headers.get("x-ms-client-request-id")) is not None:
        response.headers["x-ms-client-request-id"] = client_id
    if version < _MODERN:
        return
    known = versions.WITH_RESULT if request.path.endswith("/result") else versions.SUPPORTED
    response.headers["api-supported-versions"] = ", ".join(known)
    if (agent := request.headers.get("User-Agent")) is not None:
        response.headers["X-Microsoft-Skype-Client"] = agent
        response.headers["X-Ms-Client-Version"] = agent
