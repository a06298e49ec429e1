"""Verifies how a request is signed: HMAC-SHA256 of the Communication Services, or a bearer token.

Source: "Sign an HTTP request with HMAC", Azure Communication Services documentation, and the authentication policy
of the Python SDK 1.6.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"
ALLOWED_SKEW = timedelta(minutes=5)

_AUTHORIZATION = re.compile(
    r"HMAC-SHA256\s+SignedHeaders=(?P<headers>[^&]+)&Signature=(?P<signature>\S+)", re.IGNORECASE
)


class Scheme(StrEnum):
    """How a request proved who sent it."""

    HMAC = "hmac"
    BEARER = "bearer"


class SignatureError(Exception):
    """The request is not signed, or not signed rightly; the message says what differs."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What of a request goes into its signature. `target` is path and query as they were sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def string_to_sign(method: str, target: str, date: str, host: str, content_hash: str) -> str:
    """Return the text that client and service sign."""
    return f"{method.upper()}\n{target}\n{date};{host};{content_hash}"


def signature(key: str, text: str) -> str:
    """Return the base64 HMAC-SHA256 of `text` under the base64 `key`."""
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def content_hash(body: bytes) -> str:
    """Return the base64 SHA-256 of a body, as `x-ms-content-sha256` carries it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


class Verifier:
    """Decides whether a request is signed with the resource's key.

    Parameters
    ----------
    access_key
        Base64 key of the resource.
    accept_any_token
        Whether any non-empty bearer token passes too.
    """

    def __init__(self, access_key: str, *, accept_any_token: bool = False) -> None:
        try:
            base64.b64decode(access_key, validate=True)
        except binascii.Error as exc:
            raise ValueError("access_key must be base64, as in a connection string") from exc
        self._key = access_key
        self._accept_any_token = accept_any_token

    def verify(self, request: SignedRequest, hosts: Collection[str], *, now: datetime | None = None) -> Scheme:
        """Return how the request was signed.

        Parameters
        ----------
        request
            What was received.
        hosts
            The hosts that the signature may have been made for.
        now
            Real time, for the check of `x-ms-date`: clients do not sign emulated time.

        Raises
        ------
        SignatureError
            When the request is not signed, or by another key, for another host, body, address or time.
        """
        authorization = request.headers.get("Authorization", "")
        if not authorization:
            raise SignatureError("The request has no Authorization header.")
        if authorization.lower().startswith("bearer "):
            return self._bearer(authorization)
        match = _AUTHORIZATION.fullmatch(authorization.strip())
        if match is None:
            raise SignatureError("The Authorization header is neither HMAC-SHA256 nor Bearer.")
        if match["headers"].lower() != SIGNED_HEADERS:
            raise SignatureError(f"SignedHeaders must be {SIGNED_HEADERS}, not {match['headers']}.")
        date = _fresh_date(request.headers, now or datetime.now(UTC))
        claimed = request.headers.get("x-ms-content-sha256", "")
        if not hmac.compare_digest(claimed.encode(), content_hash(request.body).encode()):
            raise SignatureError("x-ms-content-sha256 is not the hash of the body.")
        given = match["signature"].encode()
        if any(self._matches(given, request, date, host, claimed) for host in hosts):
            return Scheme.HMAC
        if any(self._matches(given, request, date, f"{host}/", claimed) for host in hosts):
            raise SignatureError("The signed host ends in a slash: give the SDK its endpoint without one.")
        checked = (
            f"it was checked for host {' or '.join(sorted(hosts))}" if hosts else "it is for no host of the resource"
        )
        raise SignatureError(f"The signature does not fit: {checked}.")

    def _matches(self, given: bytes, request: SignedRequest, date: str, host: str, claimed: str) -> bool:
        texts = (string_to_sign(request.method, t, date, host, claimed) for t in _spellings(request.target))
        return any(hmac.compare_digest(given, signature(self._key, text).encode()) for text in texts)

    def _bearer(self, authorization: str) -> Scheme:
        if not self._accept_any_token:
            raise SignatureError("Bearer tokens are off; start the emulator with --accept-any-token to allow them.")
        if not authorization[len("bearer ") :].strip():
            raise SignatureError("The bearer token is empty.")
        return Scheme.BEARER


def _spellings(target: str) -> list[str]:
    """Return the ways in which a client may have percent-encoded the path that it signed.

    The asynchronous Python SDK signs `%3D` for the `=` of a recording id, and its HTTP client sends `=`.
    """
    path, mark, query = target.partition("?")
    return list(dict.fromkeys(f"{spelt}{mark}{query}" for spelt in (path, quote(unquote(path), safe="/:"))))


def _fresh_date(headers: Mapping[str, str], now: datetime) -> str:
    date = headers.get("x-ms-date", "")
    try:
        signed_at = parsedate_to_datetime(date)
    except ValueError as exc:
        raise SignatureError(f"x-ms-date must be an RFC 1123 date, not {date!r}.") from exc
    if signed_at.tzinfo is None:
        signed_at = signed_at.replace(tzinfo=UTC)
    if abs(now - signed_at) > ALLOWED_SKEW:
        raise SignatureError(f"x-ms-date {date} is more than 5 minutes away from {now:%a, %d %b %Y %H:%M:%S} GMT.")
    return date
