"""Every fault that can be ordered, as a client meets it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.integration.acs_fixtures import Bench, bench, sign, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = 200_000


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("media")) as made:
        yield made


@pytest.fixture(scope="module")
async def chunk(server: Bench) -> Any:
    made = await server.recording(durationSeconds=2, contentType="audio", sizeBytes=SIZE)
    return made["chunks"][0]


@pytest.fixture
async def running(server: Bench) -> AsyncIterator[Bench]:
    yield server
    await server.control("DELETE", "faults")


async def partial(running: Bench, url: str, wanted: str | None = None) -> tuple[aiohttp.ClientResponse, bytes, bool]:
    """Read as much as comes; the last value tells whether the body broke off."""
    headers = running.signed("GET", url)
    if wanted is not None:
        headers["Range"] = wanted
    got = bytearray()
    async with running.session.get(url, headers=headers) as response:
        try:
            async for block in response.content.iter_any():
                got += block
        except (aiohttp.ClientPayloadError, ConnectionError):
            return response, bytes(got), True
    return response, bytes(got), False


async def good(running: Bench, chunk: Any) -> bool:
    answer = await running.fetch(chunk["contentLocation"])
    return answer.status == 200 and len(answer.body) == SIZE


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_a_status_is_answered_once_with_retry_after(running: Bench, chunk: Any, status: int) -> None:
    await running.fault(kind=str(status), retryAfter=7)
    answer = await running.fetch(chunk["contentLocation"])
    assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
    assert await good(running, chunk)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_page_comes_in_place_of_media(running: Bench, chunk: Any, status: int) -> None:
    await running.fault(kind="html", status=status)
    answer = await running.fetch(chunk["contentLocation"])
    assert answer.status == status
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_the_file_is_empty_first_and_then_good(running: Bench, chunk: Any) -> None:
    await running.fault(kind="empty")
    answer = await running.fetch(chunk["contentLocation"], wanted="bytes=0-9")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert await good(running, chunk)


async def test_a_body_is_cut_after_so_many_bytes(running: Bench, chunk: Any) -> None:
    await running.fault(kind="cut", afterBytes=70_000)
    response, got, broken = await partial(running, chunk["contentLocation"])
    assert (response.headers["Content-Length"], len(got), broken) == (str(SIZE), 70_000, True)
    assert await good(running, chunk)


async def test_a_cut_range_is_cut_within_the_range(running: Bench, chunk: Any) -> None:
    await running.fault(kind="cut", afterBytes=10)
    response, got, broken = await partial(running, chunk["contentLocation"], "bytes=100-199")
    assert (response.status, len(got), broken) == (206, 10, True)


async def test_a_stalled_body_goes_on_after_its_silence(running: Bench, chunk: Any) -> None:
    await running.fault(kind="stall", afterBytes=50_000, stallSeconds=0.05)
    _, got, broken = await partial(running, chunk["contentLocation"])
    assert (len(got), broken) == (SIZE, False)


async def test_a_body_can_be_stalled_for_ever(running: Bench, chunk: Any) -> None:
    await running.fault(kind="stall", afterBytes=50_000)
    url = chunk["contentLocation"]
    got = 0
    async with running.session.get(url, headers=running.signed("GET", url)) as response:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                async for block in response.content.iter_any():
                    got += len(block)
        response.close()
    assert got == 50_000


@pytest.mark.parametrize(("delta", "received", "broken"), [(-500, SIZE - 500, False), (500, SIZE, True)])
async def test_the_length_is_told_wrongly(running: Bench, chunk: Any, delta: int, received: int, broken: bool) -> None:
    await running.fault(kind="wrong-length", delta=delta)
    response, got, broke = await partial(running, chunk["contentLocation"])
    assert response.headers["Content-Length"] == str(SIZE + delta)
    assert (len(got), broke) == (received, broken)
    assert await good(running, chunk)


async def test_the_total_is_told_wrongly(running: Bench, chunk: Any) -> None:
    await running.fault(kind="wrong-total", delta=-3)
    answer = await running.fetch(chunk["contentLocation"], wanted="bytes=0-9")
    assert answer.headers["Content-Range"] == f"bytes 0-9/{SIZE - 3}"


async def test_a_range_is_ignored(running: Bench, chunk: Any) -> None:
    await running.fault(kind="ignore-range")
    answer = await running.fetch(chunk["contentLocation"], wanted="bytes=0-9")
    assert (answer.status, len(answer.body), "Content-Range" in answer.headers) == (200, SIZE, False)


async def test_a_range_is_answered_with_200(running: Bench, chunk: Any) -> None:
    await running.fault(kind="range-200")
    answer = await running.fetch(chunk["contentLocation"], wanted="bytes=5-9")
    assert (answer.status, len(answer.body)) == (200, 5)
    assert answer.headers["Content-Range"] == f"bytes 5-9/{SIZE}"


async def test_a_slow_connection_takes_its_time(running: Bench, chunk: Any) -> None:
    await running.fault(kind="rate", bytesPerSecond=1_000_000, times=None)
    begun = asyncio.get_running_loop().time()
    assert await good(running, chunk)
    # No more than the rate allows; how much less depends on the machine.
    assert asyncio.get_running_loop().time() - begun >= 0.19


async def test_an_answer_can_be_late(running: Bench, chunk: Any) -> None:
    await running.fault(kind="latency", latencySeconds=0.1, target="content")
    begun = asyncio.get_running_loop().time()
    assert await good(running, chunk)
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_a_redirect_leads_anywhere(running: Bench, chunk: Any) -> None:
    await running.fault(kind="redirect", location="http://169.254.169.254/metadata")
    answer = await running.fetch(chunk["contentLocation"])
    assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.169.254/metadata")


async def test_a_redirect_without_location_leads_to_the_second_origin(running: Bench, chunk: Any) -> None:
    await running.fault(kind="redirect", status=307)
    answer = await running.fetch(chunk["contentLocation"])
    assert answer.status == 307
    assert (await running.fetch(answer.headers["Location"])).status == 200


@pytest.mark.parametrize("after", [None, 60_000])
async def test_a_connection_is_reset(running: Bench, chunk: Any, after: int | None) -> None:
    # aiohttp sends a GET a second time by itself when a kept connection was reset before the answer.
    await running.fault(kind="reset", afterBytes=after, times=2)
    url = chunk["contentLocation"]
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        async with running.session.get(url, headers=running.signed("GET", url)) as response:
            await response.read()
    await running.control("DELETE", "faults")
    assert await good(running, chunk)


async def test_the_recording_api_fails_as_ordered_and_hits_are_counted(running: Bench) -> None:
    await running.fault(kind="429", target="get", times=2, retryAfter=1)
    url = f"{running.acs.endpoint}/calling/recordings/unknown?api-version=2026-03-12"
    assert [(await running.fetch(url)).status for _ in range(3)] == [429, 429, 404]
    (fault,) = (await running.control("GET", "faults"))["faults"]
    assert (fault["hits"], fault["timesLeft"]) == (2, 0)


async def test_a_fault_for_one_document_leaves_others_alone(running: Bench, chunk: Any) -> None:
    other = (await running.recording(durationSeconds=1, contentType="audio"))["chunks"][0]
    await running.fault(kind="503", documentId=other["documentId"], times=None)
    assert await good(running, chunk)
    assert (await running.fetch(other["contentLocation"])).status == 503
    assert (await running.fetch(other["metadataLocation"])).status == 503
    assert (await running.fetch(other["deleteLocation"], method="DELETE")).status == 503


async def test_requests_tell_which_fault_they_met(running: Bench, chunk: Any) -> None:
    await running.control("DELETE", "requests")
    await running.fault(kind="cut", afterBytes=10)
    await partial(running, chunk["contentLocation"], "bytes=0-99")

    async def look() -> Any:
        return (await running.control("GET", "requests"))["requests"]

    (seen,) = await until(look, bool)
    assert (seen["faults"], seen["range"], seen["documentId"]) == (["cut"], "bytes=0-99", chunk["documentId"])


async def test_an_order_that_makes_no_sense_names_the_field_and_what_it_takes(running: Bench) -> None:
    answer = await running.control("POST", "faults", {"kind": "503", "target": "nowhere"}, expect=400)
    (field,) = answer["error"]["fields"]
    assert field["field"] == "target"
    assert "'content'" in field["accepted"]
    answer = await running.control("POST", "faults", {"kind": "cut"}, expect=400)
    assert answer["error"]["message"] == "body: a fault of kind cut needs afterBytes"


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_a_deletion_can_be_carried_out_though_its_answer_fails(running: Bench, kind: str) -> None:
    made = await running.recording(durationSeconds=2, contentType="audio")
    url = made["chunks"][0]["deleteLocation"]
    await running.fault(kind=kind, target="delete", carriedOut=True)
    # On a connection that was used before, the client itself asks again after a reset.
    with suppress(aiohttp.ClientError):
        assert (await running.fetch(url, method="DELETE")).status in {500, 404}
    assert (await running.truth(made["recordingId"]))["chunks"][0]["deleted"]
    assert (await running.fetch(url, method="DELETE")).status == 404


async def test_a_deletion_is_redirected_to_the_second_origin(running: Bench) -> None:
    made = await running.recording(durationSeconds=2, contentType="audio")
    url = made["chunks"][0]["deleteLocation"]
    await running.fault(kind="redirect", target="delete")
    answer = await running.fetch(url, method="DELETE")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(running.acs.second_origin)
    assert (await running.fetch(answer.headers["Location"], method="DELETE")).status == 200
    assert (await running.truth(made["recordingId"]))["chunks"][0]["deleted"]


async def test_an_operation_can_be_carried_out_though_its_answer_fails(running: Bench) -> None:
    call = await running.control("POST", "calls", {}, expect=201)
    url = f"{running.acs.endpoint}/calling/recordings?api-version=2024-09-15"
    body = json.dumps({"callLocator": {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}}).encode()
    await running.fault(kind="500", target="start", carriedOut=True)
    headers = sign("POST", url, running.host, running.acs.options.access_key, body)
    async with running.session.post(url, data=body, headers=headers) as response:
        assert response.status == 500
    recordings = (await running.control("GET", "recordings"))["recordings"]
    assert call["serverCallId"] in {recording["serverCallId"] for recording in recordings}
