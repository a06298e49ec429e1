"""Ids in the shapes that the service gives them. All are opaque to a client."""

from __future__ import annotations

import base64
import json
import secrets
from uuid import uuid4


def recording_id(endpoint_id: str) -> str:
    """Return a new recording id: base64url, without padding, of a small JSON object that holds `endpoint_id`."""
    parts = {"PlatformEndpointId": endpoint_id, "ResourceSpecificId": str(uuid4())}
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def document_id() -> str:
    """Return a new id of a stored object."""
    return f"0-eus-d{secrets.randbelow(20) + 1}-{secrets.token_hex(16)}"


def server_call_id() -> str:
    """Return a new server call id: base64 of an address.

    The address is chosen so that the id always holds `/` and `+`, which a client has to survive in subjects.
    """
    address = f"https://conv.emulated.invalid:443/conv/{secrets.token_urlsafe(16)}?i=0&e=~~~~~&s=?????"
    return base64.b64encode(address.encode()).decode()


def participant_id(resource: str, number: int) -> str:
    """Return the raw id of communication user `number` of the resource with id `resource`."""
    return f"8:acs:{resource}_{number:08x}-{secrets.token_hex(2)}-{secrets.token_hex(2)}-0848-{secrets.token_hex(6)}"
