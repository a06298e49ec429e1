"""Shared access signatures with which a publisher is let in: ``r={resource}&e={expiry}&s={signature}``.

Source: the page "Authenticate Azure Event Grid clients using access keys or shared access signatures" of the Event
Grid documentation, and the SDKs, which each write the expiry in a form of their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from local.eventgrid.errors import EventGridError

_ENGLISH = "%m/%d/%Y %I:%M:%S %p"  # of .NET's culture en-US, in the documentation's sample


def check(token: str, key: str, resource: str, now: float) -> None:
    """Check a token against a topic.

    Parameters
    ----------
    token
        The token as it was sent.
    key
        The topic's key, in base64.
    resource
        The URL that was published to; the token's resource has to name the same host and a beginning of its path.
    now
        Seconds since the epoch by which the token has to be valid.

    Raises
    ------
    EventGridError
        401, if the token is malformed, expired, for another resource, or not signed with the key.
    """
    signed, _, _ = token.partition("&s=")
    fields = {name: values[0] for name, values in parse_qs(token).items()}
    if missing := [name for name in "res" if name not in fields]:
        raise _refused(f"has no field '{missing[0]}'; it has to be r={{resource}}&e={{expiry}}&s={{signature}}")
    if not hmac.compare_digest(_signature(signed, key), fields["s"].encode()):
        raise _refused("is not signed with the topic's key")
    if not _covers(fields["r"], resource):
        raise _refused("is for another resource; sign the topic's endpoint")
    if _expiry(fields["e"]) <= now:
        raise _refused("has expired")


def _signature(signed: str, key: str) -> bytes:
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error:
        raise _refused("cannot be checked, since the topic's key is not base64; give it such a key") from None
    return base64.b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256))


def _covers(signed: str, published_to: str) -> bool:
    # The Python SDK signs the endpoint as it was given, with or without a scheme.
    ours, theirs = urlsplit(published_to), urlsplit(signed if "://" in signed else f"//{signed}")
    path, wanted = ours.path.lower().rstrip("/") + "/", theirs.path.lower().rstrip("/") + "/"
    return ours.netloc.lower() == theirs.netloc.lower() and path.startswith(wanted)


def _expiry(text: str) -> float:
    for read in (datetime.fromisoformat, _english):
        try:
            moment = read(text)
        except ValueError:
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise _refused("has an expiry 'e' that is no time; use ISO 8601 in UTC")


def _english(text: str) -> datetime:
    return datetime.strptime(text, _ENGLISH).replace(tzinfo=UTC)


def _refused(why: str) -> EventGridError:
    return EventGridError(f"The shared access signature {why}.", status=401, code="Unauthorized")
