"""Shared access signatures of publishers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus

import pytest
from azure.eventgrid import generate_sas

from local.eventgrid import sas
from local.eventgrid.errors import EventGridError

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ENDPOINT = "http://127.0.0.1:7090/topics/acs/api/events"
NOON = datetime(2026, 6, 5, 12, 9, 3, tzinfo=UTC)


def token(resource: str = ENDPOINT, key: str = KEY, expires: str = "6/5/2026 12:09:03 PM") -> str:
    signed = f"r={quote(resource, safe='')}&e={quote_plus(expires)}"
    return f"{signed}&s={quote(sas._signature(signed, key).decode(), safe='')}"


def check(sent: str, *, at: datetime = NOON - timedelta(minutes=1), endpoint: str = ENDPOINT) -> None:
    sas.check(sent, KEY, endpoint, at.timestamp())


@pytest.mark.parametrize(
    "expires", ["6/5/2026 12:09:03 PM", "2026-06-05 12:09:03+00:00", "2026-06-05T12:09:03Z", "2026-06-05 12:09:03"]
)
def test_a_token_is_valid_until_its_expiry_in_every_form_that_the_sdks_write(expires: str) -> None:
    check(token(expires=expires))
    with pytest.raises(EventGridError, match="has expired") as refused:
        check(token(expires=expires), at=NOON)
    assert refused.value.status == 401


def test_the_official_python_client_s_token_is_valid() -> None:
    check(generate_sas(ENDPOINT, KEY, NOON))


@pytest.mark.parametrize(
    "resource", [ENDPOINT, ENDPOINT + "?apiVersion=2018-01-01", "http://127.0.0.1:7090/topics/ACS/"]
)
def test_a_token_covers_what_lies_under_its_resource(resource: str) -> None:
    check(token(resource))


@pytest.mark.parametrize(
    "resource", ["http://127.0.0.1:7090/topics/other/api/events", "http://127.0.0.1:7091/topics/acs/api/events"]
)
def test_a_token_for_another_topic_or_host_is_refused(resource: str) -> None:
    with pytest.raises(EventGridError, match="another resource"):
        check(token(resource))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("r=x&e=y", "has no field 's'"),
        ("", "has no field 'r'"),
        (token(expires="tomorrow"), "expiry 'e' that is no time"),
        (token(key=base64.b64encode(b"another").decode()), "not signed with the topic's key"),
        (token().replace("127.0.0.1", "127.0.0.2"), "not signed with the topic's key"),
    ],
)
def test_a_token_that_proves_nothing_is_refused_with_its_reason(sent: str, said: str) -> None:
    with pytest.raises(EventGridError, match=said):
        check(sent)
