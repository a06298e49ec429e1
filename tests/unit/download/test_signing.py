from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from azure.communication.callautomation._shared.policy import HMACCredentialsPolicy
from azure.core.credentials import AccessToken
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest

from shared.core.errors import SettingsError
from shared.download.signing import SCOPE, HmacSigner, TokenSigner

if TYPE_CHECKING:
    from typing import Any

KEY = base64.b64encode(b"an access key of some length").decode()
URL = "https://eu-storage.asm.skype.com/v1/objects/0-eus-d1-1/content/video?a=b%3D&c=d"


async def test_a_media_request_is_signed_for_the_resources_host() -> None:
    signer = HmacSigner(
        "https://name.communication.azure.com/", KEY, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )

    headers = await signer.headers("get", URL)

    date, content = "Fri, 02 Jan 2026 03:04:05 GMT", base64.b64encode(hashlib.sha256().digest()).decode()
    text = f"GET\n/v1/objects/0-eus-d1-1/content/video?a=b%3D&c=d\n{date};name.communication.azure.com;{content}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    assert headers == {
        "x-ms-date": date,
        "x-ms-content-sha256": content,
        "x-ms-host": "name.communication.azure.com",
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }


async def test_the_signature_is_that_of_the_official_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = HmacSigner("https://name.communication.azure.com", KEY)
    ours = await signer.headers("DELETE", URL, b'{"a":1}')
    request = HttpRequest("DELETE", URL, data='{"a":1}')
    monkeypatch.setattr(
        "azure.communication.callautomation._shared.policy.get_current_utc_time", lambda: ours["x-ms-date"]
    )

    HMACCredentialsPolicy("https://name.communication.azure.com", KEY).on_request(
        PipelineRequest(request, PipelineContext(None))
    )

    assert ours["Authorization"] == request.headers["Authorization"]
    assert ours["x-ms-content-sha256"] == request.headers["x-ms-content-sha256"]


async def test_two_requests_have_two_signatures() -> None:
    signer = HmacSigner("https://name.communication.azure.com/", KEY)
    one = await signer.headers("GET", "https://a.asm.skype.com/1")
    two = await signer.headers("GET", "https://a.asm.skype.com/2")
    assert one["Authorization"] != two["Authorization"]


@pytest.mark.parametrize(("endpoint", "key"), [("", KEY), ("x", KEY), ("https://x", "not base64!")])
def test_a_malformed_endpoint_or_key_is_refused_without_repeating_the_key(endpoint: str, key: str) -> None:
    with pytest.raises(SettingsError) as failure:
        HmacSigner(endpoint, key)
    assert key not in str(failure.value)


def test_a_signer_does_not_show_its_key() -> None:
    assert KEY not in repr(HmacSigner("https://name.communication.azure.com", KEY))


class Identity:
    """An Entra identity."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("a-token", 1)


async def test_an_identitys_token_is_asked_for_with_the_services_scope() -> None:
    identity = Identity()
    signer = TokenSigner(identity, "https://name.communication.azure.com")  # type: ignore[arg-type]  # all that is used of one
    assert await signer.headers("GET", URL) == {
        "Authorization": "Bearer a-token",
        "x-ms-host": "name.communication.azure.com",
    }
    assert identity.scopes == [SCOPE] == ["https://communication.azure.com//.default"]
