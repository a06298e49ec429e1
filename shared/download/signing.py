"""Signs requests to Azure Communication Services: with the resource's access key, or as an Entra identity."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from email.utils import format_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from shared.core.errors import SettingsError
from shared.core.times import utc_now

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.core.times import Now

SCOPE = "https://communication.azure.com//.default"
"""The scope of a token. The double slash is as in the service's own SDK."""

_SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"


class Signer(Protocol):
    """Signs requests."""

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers that authenticate one request; every request and redirect hop asks for its own."""
        ...


class HmacSigner:
    """Signs with the resource's access key.

    Other hosts than the resource's serve recordings, but the signature is made for the resource's host, which is sent
    as `x-ms-host`. Source: the content downloader of azure-communication-callautomation 1.6.0.

    Raises
    ------
    SettingsError
        The endpoint is not a URL, or the key is not base64. The message does not have the key.
    """

    def __init__(self, endpoint: str, access_key: str, *, now: Now = utc_now) -> None:
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

    With an `endpoint`, the resource's host is sent as `x-ms-host`, as with a key.
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
