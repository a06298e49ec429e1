from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from local.acs.signatures import (
    SIGNED_HEADERS,
    Scheme,
    SignatureError,
    SignedRequest,
    Verifier,
    content_hash,
    signature,
    string_to_sign,
)

# Base64 of "0123456789abcdef"; the expected values were computed with `openssl dgst -sha256 -mac HMAC`.
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
DATE = "Fri, 20 Nov 2026 10:00:00 GMT"
NOW = datetime(2026, 11, 20, 10, 2, tzinfo=UTC)
EMPTY_HASH = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
TARGET = "/calling/recordings/abc%3D%3D?api-version=2026-03-12"


def signed(
    *,
    target: str = TARGET,
    sent_target: str | None = None,
    host: str = "acs.example",
    body: bytes = b"",
    **headers: str,
) -> SignedRequest:
    text = string_to_sign("GET", target, DATE, host, content_hash(body))
    every = {
        "x-ms-date": DATE,
        "x-ms-content-sha256": content_hash(body),
        "Authorization": f"HMAC-SHA256 SignedHeaders={SIGNED_HEADERS}&Signature={signature(KEY, text)}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return SignedRequest("GET", sent_target or target, every, body)


def test_the_string_to_sign_is_the_documented_one() -> None:
    assert string_to_sign("get", "/a?b=c", DATE, "acs.example", EMPTY_HASH) == (
        f"GET\n/a?b=c\n{DATE};acs.example;{EMPTY_HASH}"
    )


def test_the_signature_is_that_of_a_known_vector() -> None:
    assert content_hash(b"") == EMPTY_HASH
    assert signature(KEY, "GET\n/\n") == "GM0GPhZzlCzwxAXYr4rRTNZaV5czMoo1LRaroykb5/M="


def test_a_rightly_signed_request_passes() -> None:
    assert Verifier(KEY).verify(signed(), {"acs.example"}, now=NOW) is Scheme.HMAC


def test_the_path_may_be_percent_encoded_otherwise_than_it_was_signed() -> None:
    request = signed(sent_target=TARGET.replace("%3D", "="))
    assert Verifier(KEY).verify(request, {"acs.example"}, now=NOW) is Scheme.HMAC


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (SignedRequest("GET", "/", {}, b""), "no Authorization"),
        (signed(Authorization="Basic eDp5"), "neither"),
        (signed(sent_target="/calling/recordings/other?api-version=2026-03-12"), "does not fit"),
        (signed(host="storage.example"), "does not fit"),
        (signed(host="acs.example/"), "slash"),
        (signed(x_ms_date="yesterday"), "x-ms-date"),
        (signed(x_ms_content_sha256=content_hash(b"other")), "hash of the body"),
        (signed(Authorization="HMAC-SHA256 SignedHeaders=host&Signature=eA=="), "SignedHeaders"),
        (signed(Authorization="Bearer abc"), "--accept-any-token"),
    ],
)
def test_what_is_not_rightly_signed_is_refused_with_the_reason(request_: SignedRequest, words: str) -> None:
    with pytest.raises(SignatureError, match=words):
        Verifier(KEY).verify(request_, {"acs.example"}, now=NOW)


def test_another_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="does not fit"):
        Verifier("AAAAAAAAAAAAAAAAAAAAAA==").verify(signed(), {"acs.example"}, now=NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_date_more_than_five_minutes_away_is_refused(minutes: int) -> None:
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    with pytest.raises(SignatureError, match="5 minutes"):
        Verifier(KEY).verify(signed(), {"acs.example"}, now=now)


def test_any_token_passes_where_that_is_allowed() -> None:
    request = SignedRequest("GET", "/", {"Authorization": "Bearer abc"}, b"")
    assert Verifier(KEY, accept_any_token=True).verify(request, set()) is Scheme.BEARER


def test_a_key_that_is_not_base64_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="base64"):
        Verifier("not base64!")
