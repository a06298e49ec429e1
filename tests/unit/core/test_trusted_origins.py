from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import UntrustedOrigin
from shared.core.trusted_origins import TrustedOrigins

ORIGINS = TrustedOrigins(["https://*.asm.skype.com", "https://exact.example", "http://127.0.0.1:*"])


@pytest.mark.parametrize(
    "url",
    [
        "https://us-storage.asm.skype.com/v1/objects/x/content/video?a=b",
        "https://a.b.asm.skype.com/",
        "https://US-STORAGE.ASM.SKYPE.COM/v1",
        "https://us-storage.asm.skype.com:443/v1",
        "https://exact.example/x",
        "http://127.0.0.1:7080/v1/objects/x",
    ],
)
def test_the_services_own_hosts_are_trusted(url: str) -> None:
    ORIGINS.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://us-storage.asm.skype.com/v1",
        "https://asm.skype.com/v1",
        "https://evilasm.skype.com/v1",
        "https://us-storage.asm.skype.com.evil.example/v1",
        "https://us-storage.asm.skype.com:8443/v1",
        "https://user@us-storage.asm.skype.com/v1",
        "https://us-storage.asm.skype.com@evil.example/v1",
        "https://evil.example\\@us-storage.asm.skype.com/v1",
        "https://evil.example/#.asm.skype.com",
        "https://evil.example?.asm.skype.com",
        "https://us-storage.asm.skype.com\n.evil.example/",
        "https://sub.exact.example/",
        "https://us-storage.asm.skype。com/",
        "http://169.254.169.254/metadata/identity/oauth2/token",
        "https://us-storage.asm.skype.com:99999/",
        "https://[::1/",
        "https://us-storage.asm.skype.com/v1/a b",
        "https://us-storage.asm.skype.com/v1\r\nHost: evil.example",
        "https://us-storage.asm.skype.com/v1\\..\\x",
        "https://us-storage.asm.skype.com/v1/\u202egnp.exe",
        "ftp://us-storage.asm.skype.com/",
        "//us-storage.asm.skype.com/",
        "us-storage.asm.skype.com",
        "",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(UntrustedOrigin):
        ORIGINS.check(url)


def test_the_refusal_names_the_origin_and_the_setting_but_not_the_path() -> None:
    with pytest.raises(UntrustedOrigin) as raised:
        ORIGINS.check("https://evil.example/v1?sig=secret")
    assert "https://evil.example:443" in str(raised.value)
    assert "RECORDING_TRUSTED_ORIGINS" in str(raised.value)
    assert "secret" not in str(raised.value)


@given(st.text(max_size=60))
def test_no_arbitrary_text_is_trusted(text: str) -> None:
    try:
        ORIGINS.check(f"https://{text}")
    except UntrustedOrigin:
        return
    host = re.split(r"[/?#]", text, maxsplit=1)[0].lower().removesuffix(":443").removesuffix(":")
    assert host == "exact.example" or host.endswith(".asm.skype.com")


@pytest.mark.parametrize("pattern", ["asm.skype.com", "https://", "https://*", "https://*.*.com", "https://a:b", "*"])
def test_a_pattern_of_another_form_is_quoted(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not an origin such as"):
        TrustedOrigins([pattern])
