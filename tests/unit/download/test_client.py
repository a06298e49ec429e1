"""The source against a real server on the loopback that misbehaves on request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from shared.core.errors import SourceChanged, SourceNotReady, SourceRefused, SourceUnavailable, UntrustedOrigin
from shared.core.media_formats import Format
from shared.core.trusted_origins import TrustedOrigins
from shared.download.client import PROBE_BYTES, DownloadClient
from tests.source_server import (
    HTML,
    WAV_HEAD,
    Answers,
    Cuts,
    Hangs,
    Overrides,
    Refuses,
    SourceServer,
    Stalls,
    recording,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.download.media_file import MediaFile

LIMIT = 4096


class CountingSigner:
    """Signs with a number, so that each request's own signature can be recognised."""

    def __init__(self) -> None:
        self.signed: list[str] = []

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        del body
        self.signed.append(f"{method} {url}")
        return {"Authorization": f"Test {len(self.signed)}"}


class Naps:
    """Takes the place of sleeping, and keeps what was asked for."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def server() -> AsyncIterator[SourceServer]:
    async with SourceServer(recording(1_000_000)) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


@pytest.fixture
def signer() -> CountingSigner:
    return CountingSigner()


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def source(session: aiohttp.ClientSession, signer: CountingSigner, naps: Naps, server: SourceServer) -> DownloadClient:
    return DownloadClient(session, signer, TrustedOrigins([server.origin]), stall_seconds=1, sleep=naps)


async def read_all(media: MediaFile, start: int = 0, end: int | None = None) -> bytes:
    reading = media.read(start, end)
    received = bytearray()
    room = memoryview(bytearray(100_000))
    while count := await reading.into(room):
        received += room[:count]
    return bytes(received)


async def open_all(source: DownloadClient, server: SourceServer, format_: Format | None = Format.MP4) -> bytes:
    async with source.open(server.url, format=format_) as media:
        return await read_all(media)


async def test_the_first_response_shows_size_ranges_and_format(source: DownloadClient, server: SourceServer) -> None:
    async with source.open(server.url, format=Format.MP4) as media:
        assert (media.size, media.ranges, media.format) == (1_000_000, True, Format.MP4)
    assert [request.range for request in server.requests] == [f"bytes=0-{PROBE_BYTES - 1}"]


async def test_a_file_is_read_whole_from_parts(source: DownloadClient, server: SourceServer) -> None:
    assert await open_all(source, server) == server.content
    assert len(server.requests) == 2


async def test_a_file_smaller_than_the_probe_takes_one_request(source: DownloadClient, server: SourceServer) -> None:
    server.content = recording(PROBE_BYTES)
    assert await open_all(source, server) == server.content
    assert len(server.requests) == 1


async def test_a_part_is_read_alone(source: DownloadClient, server: SourceServer) -> None:
    async with source.open(server.url, format=None) as media:
        assert await read_all(media, 500_000, 500_017) == server.content[500_000:500_017]


async def test_a_server_without_ranges_is_read_in_one_go(source: DownloadClient, server: SourceServer) -> None:
    server.ranges = False
    async with source.open(server.url, format=Format.MP4) as media:
        assert (media.size, media.ranges) == (1_000_000, False)
        assert await read_all(media) == server.content
    assert len(server.requests) == 1


async def test_a_response_without_a_length_is_read_to_the_end(source: DownloadClient, server: SourceServer) -> None:
    server.ranges = server.says_length = False
    async with source.open(server.url, format=Format.MP4) as media:
        assert media.size is None
        assert await read_all(media) == server.content
        assert media.size == 1_000_000


async def test_a_200_with_content_range_counts_as_a_part(source: DownloadClient, server: SourceServer) -> None:
    server.faults.append(Overrides({}, status=200))
    async with source.open(server.url, format=Format.MP4) as media:
        assert (media.size, media.ranges) == (1_000_000, True)
        assert await read_all(media) == server.content


async def test_a_file_of_unknown_size_is_read_to_the_end(source: DownloadClient, server: SourceServer) -> None:
    server.content = recording(PROBE_BYTES + 1000)
    server.faults += [
        Overrides({"Content-Range": f"bytes 0-{PROBE_BYTES - 1}/*"}),
        Overrides({"Content-Range": f"bytes {PROBE_BYTES}-{PROBE_BYTES + 999}/*"}),
    ]
    assert await open_all(source, server) == server.content


async def test_bodies_are_requested_without_compression(source: DownloadClient, server: SourceServer) -> None:
    await open_all(source, server)
    assert {request.headers["Accept-Encoding"] for request in server.requests} == {"identity"}


@pytest.mark.parametrize("fault", [Cuts(1000), Cuts(PROBE_BYTES - 1), Stalls(70_000)])
async def test_a_broken_part_is_requested_again_from_where_it_broke(
    source: DownloadClient, server: SourceServer, fault: Cuts | Stalls
) -> None:
    server.faults += [None, fault]
    async with source.open(server.url, format=Format.MP4) as media:
        assert await read_all(media, 300_000, 900_000) == server.content[300_000:900_000]
    resumed = server.requests[2].first
    assert 300_000 <= resumed <= 300_000 + fault.after


async def test_after_a_break_without_ranges_the_bytes_already_read_are_skipped(
    source: DownloadClient, server: SourceServer
) -> None:
    server.ranges = False
    server.faults += [Cuts(400_000), Cuts(500_000)]
    assert await open_all(source, server) == server.content


@pytest.mark.parametrize(
    "fault", [Refuses(), Answers(401), Answers(403), Answers(500), Answers(503), Answers(200, HTML)]
)
async def test_a_sporadic_refusal_of_a_part_is_retried(
    source: DownloadClient, server: SourceServer, fault: Answers
) -> None:
    if isinstance(fault, Answers) and fault.body:
        fault = Answers(fault.status, fault.body, {"Content-Type": "text/html"})
    server.faults += [None, fault, Answers(400, HTML)]
    assert await open_all(source, server) == server.content


async def test_the_retry_after_of_the_service_is_kept(source: DownloadClient, server: SourceServer, naps: Naps) -> None:
    server.faults += [Answers(429, headers={"Retry-After": "7"})]
    await open_all(source, server)
    assert naps.taken == [7]


async def test_a_long_wait_goes_back_to_the_queue(source: DownloadClient, server: SourceServer, naps: Naps) -> None:
    server.faults += [Answers(503, headers={"Retry-After": "300"})]
    with pytest.raises(SourceUnavailable) as failure:
        await open_all(source, server)
    assert failure.value.retry_after == 300
    assert not naps.taken


async def test_an_unavailable_service_is_given_up_after_some_tries(
    source: DownloadClient, server: SourceServer, naps: Naps
) -> None:
    server.faults += [None, *[Refuses()] * 20]
    with pytest.raises(SourceUnavailable):
        await open_all(source, server)
    assert naps.taken == sorted(naps.taken)
    assert len(naps.taken) == 4


async def test_throttling_is_reported_to_the_caller(source: DownloadClient, server: SourceServer) -> None:
    reported: list[float | None] = []
    server.faults += [None, Answers(429, headers={"Retry-After": "2"}), Answers(500)]
    async with source.open(server.url, format=None) as media:
        reading = media.read(400_000, 500_000, refused=reported.append)
        assert await reading.into(memoryview(bytearray(10)))
        reading.close()
    assert reported == [2]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_missing_file_is_reported_at_once(
    source: DownloadClient, server: SourceServer, naps: Naps, status: int
) -> None:
    server.faults += [Answers(status, HTML)]
    with pytest.raises(SourceRefused) as failure:
        await open_all(source, server)
    assert failure.value.status == status
    assert not naps.taken


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answers(200), "an empty file"),
        (Answers(204), "an empty file"),
        (Answers(416, headers={"Content-Range": "bytes */0"}), "an empty file"),
        (Answers(200, HTML), "an HTML page"),
        (Answers(400, HTML), "400 with a page"),
        (Answers(200, b'{"error":{"code":"x"}}'), "a JSON document"),
        (Answers(200, WAV_HEAD + bytes(100)), "wav media in place of the mp4 file"),
        (Answers(200, bytes(100)), "something unknown"),
    ],
)
async def test_content_that_is_not_the_file_yet_is_recognised(
    source: DownloadClient, server: SourceServer, fault: Answers, words: str
) -> None:
    server.faults.append(fault)
    with pytest.raises(SourceNotReady, match=words):
        await open_all(source, server)


async def test_without_an_announced_format_any_known_one_will_do(source: DownloadClient, server: SourceServer) -> None:
    server.content = WAV_HEAD + bytes(1000)
    async with source.open(server.url, format=None) as media:
        assert media.format is Format.WAV


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-99/1000000"},
        {"Content-Range": "bytes 0-262143/100"},
        {"Content-Range": "something else"},
        {"Content-Encoding": "gzip"},
        {"Content-Range": "bytes 5-262148/1000000"},
    ],
)
async def test_contradictory_headers_are_refused(
    source: DownloadClient, server: SourceServer, headers: dict[str, str]
) -> None:
    server.faults += [Overrides(headers)] * 5
    with pytest.raises(SourceUnavailable):
        await open_all(source, server)


async def test_another_size_during_the_read_is_a_changed_file(source: DownloadClient, server: SourceServer) -> None:
    async with source.open(server.url, format=Format.MP4) as media:
        server.content = recording(1_000_001)
        with pytest.raises(SourceChanged):
            await read_all(media, 500_000)


async def test_another_etag_during_the_read_is_a_changed_file(source: DownloadClient, server: SourceServer) -> None:
    server.etag = '"one"'
    async with source.open(server.url, format=Format.MP4) as media:
        server.etag = '"two"'
        with pytest.raises(SourceChanged):
            await read_all(media, 500_000)


async def test_a_file_that_became_shorter_is_a_changed_file(source: DownloadClient, server: SourceServer) -> None:
    async with source.open(server.url, format=Format.MP4) as media:
        server.content = recording(400_000)
        with pytest.raises(SourceChanged):
            await read_all(media, 500_000)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_each_redirect_hop_is_signed_anew(
    source: DownloadClient, server: SourceServer, signer: CountingSigner, status: int
) -> None:
    async with SourceServer(server.content) as other:
        source._origins = TrustedOrigins([server.origin, other.origin])
        server.faults.append(Answers(status, headers={"Location": other.url}))
        assert await open_all(source, server) == server.content
        assert [entry.split("/v1")[0] for entry in signer.signed] == [
            f"GET {server.origin}",
            f"GET {other.origin}",
            f"GET {other.origin}",
        ]
        signatures = [request.headers["Authorization"] for request in [*server.requests, *other.requests]]
        assert signatures == ["Test 1", "Test 2", "Test 3"]
        assert [request.range for request in other.requests] == [f"bytes=0-{PROBE_BYTES - 1}", f"bytes={PROBE_BYTES}-"]


async def test_when_a_redirects_target_fails_the_files_own_address_is_used(
    source: DownloadClient, server: SourceServer
) -> None:
    async with SourceServer(server.content) as other:
        source._origins = TrustedOrigins([server.origin, other.origin])
        server.faults.append(Answers(302, headers={"Location": other.url}))
        other.faults += [None, Answers(403)]
        assert await open_all(source, server) == server.content


async def test_nothing_is_signed_for_a_redirect_to_an_untrusted_origin(
    source: DownloadClient, server: SourceServer, signer: CountingSigner
) -> None:
    async with SourceServer(server.content) as other:
        server.faults.append(Answers(302, headers={"Location": other.url}))
        with pytest.raises(UntrustedOrigin):
            await open_all(source, server)
        assert len(signer.signed) == 1
        assert not other.requests


async def test_nothing_is_signed_when_a_part_is_redirected_to_an_untrusted_origin(
    source: DownloadClient, server: SourceServer, signer: CountingSigner
) -> None:
    async with SourceServer(server.content) as other:
        server.faults += [None, Answers(307, headers={"Location": other.url})]
        async with source.open(server.url, format=None) as media:
            with pytest.raises(UntrustedOrigin):
                await read_all(media, 400_000)
        assert all(server.origin in entry for entry in signer.signed)
        assert not other.requests


async def test_redirects_in_a_circle_end(source: DownloadClient, server: SourceServer, signer: CountingSigner) -> None:
    server.faults += [Answers(302, headers={"Location": "/again"})] * 50
    with pytest.raises(SourceUnavailable, match="redirects more than"):
        await source.read(server.url, limit=LIMIT)
    assert len(signer.signed) <= 25


async def test_an_untrusted_address_is_not_asked(source: DownloadClient, signer: CountingSigner) -> None:
    with pytest.raises(UntrustedOrigin):
        await source.read("http://127.0.0.1:1/x", limit=LIMIT)
    with pytest.raises(UntrustedOrigin):
        await source.delete("http://127.0.0.1:1/x")
    assert not signer.signed


async def test_a_small_file_is_read_as_it_was_served(source: DownloadClient, server: SourceServer) -> None:
    server.content = b'{\r\n  "chunkIndex": 0\r\n}\r\n'
    assert await source.read(server.url, limit=LIMIT) == server.content


@pytest.mark.parametrize("content", [b"", HTML, b'{"cut": ', b'{"long": "' + b"x" * LIMIT + b'"}'])
async def test_a_small_file_of_other_content_is_not_ready(
    source: DownloadClient, server: SourceServer, content: bytes
) -> None:
    server.content = content
    server.ranges = False
    with pytest.raises(SourceNotReady):
        await source.read(server.url, limit=LIMIT)


async def test_a_cut_small_file_is_read_again(source: DownloadClient, server: SourceServer) -> None:
    server.content = b'{"chunkIndex": 0, "more": "of it"}'
    server.faults += [Cuts(10), Answers(503)]
    assert await source.read(server.url, limit=LIMIT) == server.content


@pytest.mark.parametrize("status", [200, 202, 204, 404, 410])
async def test_deleting_counts_a_file_that_is_gone_as_deleted(
    source: DownloadClient, server: SourceServer, status: int
) -> None:
    server.faults.append(Answers(status))
    await source.delete(server.url)
    assert [request.method for request in server.requests] == ["DELETE"]


async def test_a_service_that_never_answers_is_asked_again(source: DownloadClient, server: SourceServer) -> None:
    server.faults.append(Hangs())
    assert await open_all(source, server) == server.content
    assert len(server.requests) == 3


async def test_a_page_in_answer_to_a_deletion_is_not_ready(source: DownloadClient, server: SourceServer) -> None:
    server.faults.append(Answers(200, HTML, {"Content-Type": "text/html"}))
    with pytest.raises(SourceNotReady, match="page"):
        await source.delete(server.url)


async def test_a_refused_deletion_is_reported(source: DownloadClient, server: SourceServer) -> None:
    server.faults.append(Answers(403))
    with pytest.raises(SourceRefused):
        await source.delete(server.url)


async def test_an_opened_file_that_is_not_read_leaves_no_connection(
    source: DownloadClient, server: SourceServer, session: aiohttp.ClientSession
) -> None:
    async with source.open(server.url, format=None):
        pass
    assert session.connector is not None
    assert not session.connector._acquired
