"""Every fault that can be ordered, as a client meets it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
    """Read as much as comes; the last value says whether the body broke off."""
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
async def test_the_length_is_wrong(running: Bench, chunk: Any, delta: int, received: int, broken: bool) -> None:
    await running.fault(kind="wrong-length", delta=delta)
    response, got, broke = await partial(running, chunk["contentLocation"])
    assert response.headers["Content-Length"] == str(SIZE + delta)
    assert (len(got), broke) == (received, broken)
    assert await good(running, chunk)


async def test_the_total_is_wrong(running: Bench, chunk: Any) -> None:
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


async def test_requests_show_which_fault_they_met(running: Bench, chunk: Any) -> None:
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


async def start(running: Bench, locator: dict[str, str], *, within: float = 10) -> tuple[int, Any]:
    """Start a recording; returns status and decoded body."""
    url = f"{running.acs.endpoint}/calling/recordings?api-version=2024-09-15"
    body = json.dumps({"callLocator": locator}).encode()
    headers = sign("POST", url, running.host, running.acs.options.access_key, body)
    timeout = aiohttp.ClientTimeout(total=within)
    async with running.session.post(url, data=body, headers=headers, timeout=timeout) as response:
        return response.status, await response.json()


async def recorded_calls(running: Bench) -> list[str]:
    recordings = (await running.control("GET", "recordings"))["recordings"]
    return [recording["serverCallId"] for recording in recordings]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "500"}, {"kind": "html", "status": 400}, {"kind": "close"}, {"kind": "reset"}, {"kind": "hang"}],
    ids=lambda fault: str(fault["kind"]),
)
async def test_a_start_is_carried_out_and_its_answer_lost(running: Bench, fault: dict[str, Any]) -> None:
    call = await running.control("POST", "calls", {}, expect=201)
    await running.fault(target="start", carriedOut=True, **fault)
    with pytest.raises((aiohttp.ClientError, TimeoutError, AssertionError)):
        status, _ = await start(
            running, {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}, within=0.5
        )
        assert status == 200
    assert (await recorded_calls(running)).count(call["serverCallId"]) == 1


@pytest.mark.parametrize("kind", ["close", "hang"])
async def test_a_connection_is_accepted_and_never_answered(running: Bench, kind: str) -> None:
    call = await running.control("POST", "calls", {}, expect=201)
    await running.fault(kind=kind, target="start")
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await start(running, {"kind": "serverCallLocator", "serverCallId": call["serverCallId"]}, within=0.5)
    assert call["serverCallId"] not in await recorded_calls(running)


async def test_a_connection_that_is_silent_for_a_while_ends_without_an_answer(running: Bench, chunk: Any) -> None:
    await running.fault(kind="hang", target="content", stallSeconds=0.1, times=None)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(aiohttp.ClientError):
        await running.fetch(chunk["contentLocation"])
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_a_start_by_room_is_refused_and_others_are_not(running: Bench) -> None:
    await running.control("POST", "calls", {"roomId": "r", "groupCallId": "g"}, expect=201)
    await running.fault(kind="400", locator="roomCallLocator", code="8501", message="No rooms.", times=None)
    status, answer = await start(running, {"kind": "roomCallLocator", "roomId": "r"})
    assert (status, answer["error"]) == (400, {"code": "8501", "message": "No rooms."})
    assert (await start(running, {"kind": "groupCallLocator", "groupCallId": "g"}))[0] == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"retryAfter": 0}, "0"), ({"retryAfter": 86_400}, "86400"), ({"retryAfter": "soon"}, "soon")],
)
async def test_a_throttled_answer_has_any_retry_after(
    running: Bench, chunk: Any, fields: dict[str, Any], expected: str
) -> None:
    await running.fault(kind="429", target="content", **fields)
    answer = await running.fetch(chunk["contentLocation"])
    assert (answer.status, answer.headers["Retry-After"]) == (429, expected)


async def test_retry_after_can_be_a_date(running: Bench, chunk: Any) -> None:
    await running.fault(kind="429", target="content", retryAfter=90, retryAfterAsDate=True)
    answer = await running.fetch(chunk["contentLocation"])
    ahead = parsedate_to_datetime(answer.headers["Retry-After"]) - datetime.now(UTC)
    assert 60 < ahead.total_seconds() <= 90


async def test_503_comes_in_bursts(running: Bench, chunk: Any) -> None:
    await running.fault(kind="503", target="content", burst=2, gap=1)
    statuses = [(await running.fetch(chunk["contentLocation"], wanted="bytes=0-0")).status for _ in range(6)]
    assert statuses == [503, 503, 206, 503, 503, 206]


async def test_a_file_grows_from_request_to_request(running: Bench, chunk: Any) -> None:
    await running.fault(kind="grow", afterBytes=100, delta=50, times=3)
    url = chunk["contentLocation"]
    answers = [await running.fetch(url, wanted="bytes=0-9") for _ in range(2)]
    assert [answer.headers["Content-Range"] for answer in answers] == ["bytes 0-9/100", "bytes 0-9/150"]
    assert len((await running.fetch(url)).body) == 200
    assert await good(running, chunk)


@pytest.mark.parametrize("framing", ["chunked", "close"])
async def test_a_body_without_a_length_ends_short_and_looks_whole(running: Bench, chunk: Any, framing: str) -> None:
    await running.fault(kind="short", afterBytes=70_000, framing=framing)
    response, got, broken = await partial(running, chunk["contentLocation"])
    assert (response.status, len(got), broken) == (200, 70_000, False)
    assert "Content-Length" not in response.headers
    assert ("Transfer-Encoding" in response.headers) is (framing == "chunked")
    assert await good(running, chunk)


async def test_a_short_body_can_come_without_any_sign_of_its_true_length(running: Bench, chunk: Any) -> None:
    await running.fault(kind="ignore-range")
    await running.fault(kind="short", afterBytes=10)
    response, got, broken = await partial(running, chunk["contentLocation"])
    assert (len(got), broken) == (10, False)
    assert not {"Content-Length", "Content-Range"} & response.headers.keys()


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-16", "application/octet-stream"])
async def test_a_page_in_utf_16_comes_in_place_of_media(running: Bench, chunk: Any, content_type: str) -> None:
    await running.fault(kind="html", encoding="utf-16", contentType=content_type)
    answer = await running.fetch(chunk["contentLocation"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.body.decode("utf-16").startswith("<!DOCTYPE html>")


async def test_a_page_comes_in_place_of_metadata(running: Bench, chunk: Any) -> None:
    await running.fault(kind="html", target="metadata", contentType="application/octet-stream")
    assert (await running.fetch(chunk["metadataLocation"])).body.startswith(b"<!DOCTYPE html>")


async def test_metadata_is_a_json_error_with_200(running: Bench, chunk: Any) -> None:
    await running.fault(kind="json-error", code="9999", message="Internal error.")
    answer = await running.fetch(chunk["metadataLocation"])
    assert answer.status == 200
    assert json.loads(answer.body) == {"error": {"code": "9999", "message": "Internal error."}}
    assert "chunkDocumentId" in json.loads((await running.fetch(chunk["metadataLocation"])).body)
