"""What the source sends, and where requests for it go: nothing is believed that was not checked."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shared.core.errors import SourceNotReady, SourceUnavailable, UntrustedOrigin
from shared.core.limits import LARGEST_METADATA, MOST_PARTICIPANTS
from shared.core.trusted_origins import TrustedOrigins
from shared.download.client import DownloadClient
from shared.events.metadata_file import parse_metadata
from shared.storage.manifest import ArchivedChunk, Manifest
from tests.source_server import Answers, SourceServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ORIGINS = TrustedOrigins(["https://*.asm.skype.com"])
AROUND_A_HOST = st.text(st.sampled_from("ab.:/\\@?#%[]0f2\t\n;&=_-*~!$'()+,"), max_size=25)


class NoSigner:
    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        del method, url, body
        return {}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


async def read(session: aiohttp.ClientSession, body: bytes, **headers: str) -> bytes:
    async def at_once(_: float) -> None:
        return

    async with SourceServer() as server:
        server.faults.extend(Answers(200, body, headers) for _ in range(10))
        source = DownloadClient(session, NoSigner(), TrustedOrigins(["http://127.0.0.1:*"]), sleep=at_once)
        return await source.read(server.url, limit=LARGEST_METADATA)


@given(AROUND_A_HOST, AROUND_A_HOST)
def test_what_is_trusted_is_what_the_client_connects_to(before: str, after: str) -> None:
    url = f"https://{before}us-storage.asm.skype.com{after}"
    try:
        ORIGINS.check(url)
    except UntrustedOrigin:
        return
    reached = URL(url, encoded=True)
    assert (reached.scheme, reached.port) == ("https", 443)
    assert reached.host is not None
    assert reached.host.lower().endswith(".asm.skype.com")
    assert reached.user is None
    assert reached.password is None


@pytest.mark.parametrize(
    "host", ["evil.example%2f.asm.skype.com", "evil.example;.asm.skype.com", "[::1].asm.skype.com"]
)
def test_a_host_of_other_characters_is_not_trusted(host: str) -> None:
    with pytest.raises(UntrustedOrigin):
        ORIGINS.check(f"https://{host}/v1")


async def test_a_compressed_metadata_file_is_refused_and_never_expanded(session: aiohttp.ClientSession) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with pytest.raises(SourceUnavailable, match="encoded"):
        await read(session, bomb, **{"Content-Encoding": "gzip"})


async def test_a_metadata_file_beyond_the_limit_is_not_read_to_its_end(session: aiohttp.ClientSession) -> None:
    with pytest.raises(SourceNotReady, match="more than"):
        await read(session, b"[" + b" " * LARGEST_METADATA + b"]")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_a_deeply_nested_metadata_file_is_not_ready(session: aiohttp.ClientSession, opening: bytes) -> None:
    with pytest.raises(SourceNotReady):
        await read(session, opening * 200_000)


NAMES = st.text(st.characters()) | st.sampled_from(
    [
        "\x00",
        "\ud800",
        "\udfff\ud800",
        "\u202eevil",
        "8:acs:" + "x" * 100_000,
        "__proto__",
        "constructor",
        '"},{"',
        "\n\r",
    ]
)


def archived(index: int, participants: list[Any]) -> tuple[ArchivedChunk, bytes]:
    content = json.dumps({"participants": participants}).encode()
    return ArchivedChunk(index=index, document_id=str(index), archived_at="2026-11-20T00:00:00Z"), content


@given(st.lists(st.dictionaries(st.sampled_from(["participantId", "channel", "__proto__"]), NAMES | st.integers())))
def test_any_participants_name_gives_a_manifest_that_can_be_read_again(participants: list[Any]) -> None:
    chunk, content = archived(0, participants)
    manifest = Manifest().archived(chunk, parse_metadata(content))
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("value", ["1e400", "9" * 4000, "-1", "NaN", "Infinity", '"x"', "[]", "true"])
def test_no_number_in_a_metadata_file_breaks_the_manifest(value: str) -> None:
    content = f'{{"chunkDuration": {value}, "participants": [{{"participantId": "p", "channel": {value}}}]}}'
    chunk, _ = archived(0, [])
    manifest = Manifest().archived(chunk, parse_metadata(content.encode()))
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


def test_a_manifest_names_so_many_participants_and_the_same_in_any_order() -> None:
    crowds = [
        parse_metadata(archived(index, [{"participantId": f"{n:05}"} for n in range(index, 3000, 2)])[1])
        for index in range(2)
    ]
    chunks = [archived(index, [])[0] for index in range(2)]
    one = Manifest().archived(chunks[0], crowds[0]).archived(chunks[1], crowds[1])
    other = Manifest().archived(chunks[1], crowds[1]).archived(chunks[0], crowds[0])
    assert one == other
    assert len(one.participants) == MOST_PARTICIPANTS
