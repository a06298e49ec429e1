"""How requests to Azure Communication Services prove who sent them: the resource's access key, or an Entra identity."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from shared.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials_async import AsyncTokenCredential

SCOPE = "https://communication.azure.com//.default"
"""What a token is asked for. The double slash is what the service's own SDK sends."""

_SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"


class Signer(Protocol):
    """Signs requests."""

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers that authenticate one request; every request and redirect hop asks for its own."""
        ...


class HmacSigner:
    """Signs with the resource's access key.

    A recording is served by other hosts than the resource's, but the signature is made for the resource's host, which
    goes along as `x-ms-host`. Source: the content downloader of azure-communication-callautomation 1.6.0.

    Parameters
    ----------
    endpoint
        The resource's URL.
    access_key
        Its key, base64.
    now
        The time, in UTC.

    Raises
    ------
    SettingsError
        The endpoint or the key cannot be one. The message does not hold the key.
    """

    def __init__(
        self, endpoint: str, access_key: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._host = urlsplit(endpoint).netloc
        if not self._host:
            raise SettingsError(
                "the endpoint of Azure Communication Services is not a URL such as https://name.communication.azure.com"
            )
        try:
            self._key = base64.b64decode(access_key, validate=True)
        except (binascii.Error, ValueError):
            raise SettingsError("the access key of Azure Communication Services is not base64") from None
        self._now = now

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return date, content hash, host and signature of one request."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        date = format_datetime(self._now(), usegmt=True)
        content_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
        text = f"{method.upper()}\n{target}\n{date};{self._host};{content_hash}"
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode()
        return {
            "x-ms-date": date,
            "x-ms-content-sha256": content_hash,
            "x-ms-host": self._host,
            "Authorization": f"HMAC-SHA256 SignedHeaders={_SIGNED_HEADERS}&Signature={signature}",
        }

    def __repr__(self) -> str:
        return f"HmacSigner(host={self._host!r})"


class TokenSigner:
    """Signs with a token of an Entra identity. The credential caches its tokens.

    Parameters
    ----------
    credential
        Where tokens come from.
    endpoint
        The resource's URL; when given, its host goes along as `x-ms-host`, as with a key.
    """

    def __init__(self, credential: AsyncTokenCredential, endpoint: str | None = None) -> None:
        self._credential = credential
        self._host = urlsplit(endpoint).netloc if endpoint else ""

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return the bearer token of one request."""
        del method, url, body
        token = await self._credential.get_token(SCOPE)
        host = {"x-ms-host": self._host} if self._host else {}
        return {"Authorization": f"Bearer {token.token}", **host}

    def __repr__(self) -> str:
        return f"TokenSigner(host={self._host!r})"
