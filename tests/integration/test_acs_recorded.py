"""The emulator answers as the real service did in the recordings that its SDKs' live tests left in public.

Every recorded exchange of call recording is sent to the emulator again, and every answer compared. What the emulator
does not reproduce stands in `tests/payloads/acs-exchanges/unmet.json` with the reason.
"""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from multidict import CIMultiDict
from yarl import URL

from tests.integration.acs_fixtures import Bench, Receiver, bench, receiver, sign
from tests.integration.recorded_exchanges import (
    Exchange,
    Names,
    Session,
    UnknownNameError,
    header_differences,
    sessions,
    unmet,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

SESSIONS = sessions()
EXCHANGES = [exchange for session in SESSIONS for exchange in session.all]
UNMET = unmet()
DOCUMENT = Path(__file__).parents[2] / "docs" / "acs-emulator.md"
#: A key of the right form that is not the emulated resource's.
OTHER_KEY = "YW5vdGhlciBrZXk="
#: Real seconds for which a callback may take to come.
CALLBACK_PATIENCE = 3.0


class Replay:
    """Sends the exchanges of one session and notes what differs.

    Parameters
    ----------
    running, callbacks
        The emulator, and what receives its state callbacks.
    session
        What is replayed.
    """

    def __init__(self, running: Bench, callbacks: Receiver, session: Session) -> None:
        self._running = running
        self._callbacks = callbacks
        self._session = session
        self._seen = len(callbacks.bodies)
        self._signature: dict[str, str] = {}
        now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
        self.names = Names(
            {
                "callbackUri": callbacks.url,
                "newGuid": str(uuid4()),
                "repeatabilityId": str(uuid4()),
                "now": now,
                "userAgent": "recorded-exchanges/1.0",
                "unknownDocumentId": f"0-eus-d2-{uuid4().hex}",
                **{f"person{number}": f"8:acs:{uuid4()}_{uuid4()}" for number in range(19)},
            }
        )

    async def run(self) -> dict[str, list[str]]:
        """Return the differences of each exchange, by its name."""
        await self._prepare(self._session.given)
        differences = {one.name: await self._exchange(one.content) for one in self._session.exchanges}
        for one in self._session.callbacks:
            differences[one.name] = await self._callback(one.content["event"])
        if self._session.callbacks_complete:
            await self._end_of_callbacks(differences)
        return differences

    async def _prepare(self, given: dict[str, Any]) -> None:
        if (call := given.get("call")) is not None:
            made = await self._running.control("POST", "calls", self.names.filled(call), expect=201)
            wanted = ("callId", "callConnectionId", "serverCallId", "groupCallId", "correlationId")
            self.names.known |= {name: made[name] for name in wanted if made[name]}
            self.names.known |= {f"participant{number}": raw for number, raw in enumerate(made["participants"])}
        if (recording := given.get("recording")) is not None:
            made = await self._running.recording(**self.names.filled(recording))
            self.names.known["documentId"] = made["chunks"][0]["documentId"]
        if given.get("deleted"):
            root = f"{self._running.acs.endpoint}/v1/objects/{self.names.known['documentId']}"
            await self._running.fetch(root, method="DELETE")
        if (fault := given.get("fault")) is not None:
            await self._running.fault(documentId=self.names.known["documentId"], **fault)
        if (started := given.get("started")) is not None:
            request = {"method": "POST", "path": f"/calling/recordings?api-version={started['version']}"}
            _, _, body = await self._send(request | {"body": started["body"]})
            # Captures the id if it has the recorded form; without it the callbacks differ.
            list(self.names.differences("$recordingId", json.loads(body).get("recordingId"), "recordingId"))
            self._running.acs.clock.advance(10)

    async def _exchange(self, content: dict[str, Any]) -> list[str]:
        self._running.acs.clock.advance(content.get("after", 0))
        request, expected = content["request"], content["response"]
        if content.get("afterFiles") and (recording_id := self.names.known.get("recordingId")) is not None:
            # The service had the files within seconds; here their encoding takes real time, not the emulated clock's.
            await self._running.finished(recording_id)
        try:
            status, headers, body = await self._send(request)
        except UnknownNameError as exc:
            return [f"cannot be sent: {exc}"]
        if "location" not in self.names.known and "Location" in headers:
            self.names.known["location"] = headers["Location"]
        problems = list(self._answer(expected, status, headers, body, request))
        if (total := self.names.known.get("total")) is not None:
            self.names.known.setdefault("last", str(int(total) - 1))
        return problems

    async def _send(self, request: dict[str, Any]) -> tuple[int, CIMultiDict[str], bytes]:
        running = self._running
        url = self.names.filled(request.get("url") or running.acs.endpoint + request["path"])
        body = json.dumps(self.names.filled(request["body"])).encode() if "body" in request else b""
        if request.get("signature") != "as before":
            key = OTHER_KEY if request.get("key") == "another" else running.acs.options.access_key
            self._signature = sign(request["method"], url, running.host, key, body)
        self.names.known["clientRequestId"] = str(uuid4())
        headers = self._signature | {
            "x-ms-client-request-id": self.names.known["clientRequestId"],
            "User-Agent": self.names.known["userAgent"],
        }
        headers |= self.names.filled(request.get("headers", {}))
        if body:
            headers["Content-Type"] = "application/json"
        async with running.session.request(
            request["method"], URL(url, encoded=True), data=body or None, headers=headers, allow_redirects=False
        ) as response:
            return response.status, CIMultiDict(response.headers), await response.read()

    def _answer(
        self, expected: dict[str, Any], status: int, headers: Mapping[str, str], body: bytes, request: dict[str, Any]
    ) -> Iterator[str]:
        if status != expected["status"]:
            yield f"status is {status}, not {expected['status']}"
        version = "".join(parse_qs(urlsplit(request.get("path", "")).query).get("api-version", []))
        yield from header_differences(self.names, expected["headers"], headers, version)
        if "<other origin>" in (expected["headers"].get("Location") or ""):
            yield from self._other_origin(headers.get("Location", ""))
        if "text" in expected and body != expected["text"].encode():
            yield f"the body is {body!r}, not {expected['text']!r}"
        if "Content-Range" in headers and status in (200, 206):
            yield from _range_differences(headers["Content-Range"], body)
        if expected.get("crlf") and b"\n" in body.replace(b"\r\n", b""):
            yield "the body has line ends other than CRLF"
        if "body" in expected:
            yield from self._body(expected["body"], body)
        if (endpoint := expected.get("platformEndpointId")) is not None:
            found = self.names.known.get("platformEndpointId")
            yield from self.names.differences(endpoint, found, "PlatformEndpointId in the recordingId")

    def _other_origin(self, location: str) -> Iterator[str]:
        if location.startswith(f"{self._running.acs.endpoint}/"):
            yield f"the redirect leads to the same origin: {location}"

    def _body(self, expected: Any, body: bytes) -> Iterator[str]:
        if expected is None:
            if body:
                yield f"the body is {body!r}, not empty"
            return
        try:
            found = json.loads(body)
        except ValueError:
            yield f"the body is not JSON: {body[:80]!r}"
            return
        yield from self.names.differences(expected, _without_hint(found), "body")

    async def _callback(self, expected: dict[str, Any]) -> list[str]:
        """Compare with the first callback of this session that has the state of the recorded one."""
        state = expected["data"]["state"]
        if "recordingId" not in self.names.known:
            return ["nothing was recorded"]
        try:
            async with asyncio.timeout(CALLBACK_PATIENCE):
                while not (found := [one for one in self._received() if one["data"].get("state") == state]):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return [f"no callback with state {state} came"]
        return list(self.names.differences(expected, found[0], "event"))

    async def _end_of_callbacks(self, differences: dict[str, list[str]]) -> None:
        """Stop the recording and check that nothing but what was recorded came."""
        if "recordingId" not in self.names.known:
            return
        version = self._session.given["started"]["version"]
        path = f"/calling/recordings/{self.names.known['recordingId']}?api-version={version}"
        await self._send({"method": "DELETE", "path": path})
        self._running.acs.clock.advance(60)
        await asyncio.sleep(0.5)
        states = [one["data"].get("state") for one in self._received()]
        recorded = [one.content["event"]["data"]["state"] for one in self._session.callbacks]
        if states != recorded:
            differences[self._session.callbacks[-1].name].append(f"the callbacks are {states}, not {recorded}")

    def _received(self) -> list[dict[str, Any]]:
        own = self.names.known["recordingId"]
        events = [event for body in self._callbacks.bodies[self._seen :] for event in body]
        return [event for event in events if event["data"].get("recordingId") == own]


def _without_hint(body: Any) -> Any:
    """Take out the emulator's own explanation of an error, which is documented as such."""
    match body:
        case {"error": {"innererror": {"code": "EmulatorHint"}}}:
            return body | {"error": {key: value for key, value in body["error"].items() if key != "innererror"}}
        case _:
            return body


def _range_differences(label: str, body: bytes) -> Iterator[str]:
    first, _, rest = label.removeprefix("bytes ").partition("-")
    last = rest.partition("/")[0]
    if int(last) - int(first) + 1 != len(body):
        yield f"Content-Range is {label} for {len(body)} bytes"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("media")) as made:
        yield made


@pytest.fixture(scope="module")
async def differences(running: Bench) -> AsyncIterator[dict[str, list[str]]]:
    """What differs, by the name of the exchange."""
    async with receiver() as callbacks:
        found: dict[str, list[str]] = {}
        for session in SESSIONS:
            found |= await Replay(running, callbacks, session).run()
        yield found


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
async def test_an_exchange_is_as_recorded(exchange: Exchange, differences: dict[str, list[str]]) -> None:
    found = differences[exchange.name]
    if exchange.name not in UNMET:
        assert not found, "; ".join(found)
    else:
        # Strict: what is reproduced after all must leave the list.
        assert found, f"{exchange.name} is reproduced; take it out of unmet.json"


def test_there_are_enough_exchanges_and_each_names_its_recording() -> None:
    assert len(EXCHANGES) >= 60
    assert len({exchange.name for exchange in EXCHANGES}) == len(EXCHANGES)
    for session in SESSIONS:
        assert session.sources
        for source in session.sources:
            assert source["repository"].startswith("Azure/azure-sdk-")
            assert len(source["commit"]) == 40


def test_nine_exchanges_of_ten_are_reproduced() -> None:
    assert len(UNMET) * 10 <= len(EXCHANGES)


def test_the_document_has_the_numbers_and_each_unmet_exchange() -> None:
    text = DOCUMENT.read_text()
    assert f"{len(EXCHANGES)} of {len(SESSIONS)} test runs" in text
    assert UNMET.keys() <= {exchange.name for exchange in EXCHANGES}
    assert [name for name in UNMET if name not in text] == []


ID = base64.urlsafe_b64encode(
    b'{"PlatformEndpointId":"00000000-0000-4000-8000-000000000001",'
    b'"ResourceSpecificId":"00000000-0000-4000-8000-000000000002"}'
).decode()


@pytest.mark.parametrize(
    ("recorded", "found", "seen"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, "body has b"),
        ({"a": 1, "b": 2}, {"a": 1}, "body has no b"),
        ({"a": 9220.0}, {"a": 9220}, "body.a is 9220, not 9220.0"),
        ({"a": 1}, {"a": True}, "body.a is True, not 1"),
        ({"a": "<integer>"}, {"a": 1.0}, "body.a is 1.0, not a whole number"),
        ({"a": "<fraction>"}, {"a": 1}, "body.a is 1, not a number with a fraction"),
        ({"a": "<utc time>"}, {"a": "2025-07-24T10:18:44.7710Z"}, "body.a is '2025-07-24T10:18:44.7710Z'"),
        ({"a": "$recordingId"}, {"a": ID}, "body.a is"),
        ({"a": "$recordingId"}, {"a": "bm9uZQ"}, "is not base64url of JSON"),
        ({"a": "$seen"}, {"a": "another"}, "body.a is 'another', not 'this'"),
        ({"a": []}, {"a": [1]}, "not a list of 0"),
        ({"a": {}}, {"a": None}, "body.a is None, not an object"),
    ],
)
def test_the_comparison_sees_what_differs(recorded: Any, found: Any, seen: str) -> None:
    assert ID.endswith("=")
    (difference,) = Names({"seen": "this"}).differences(recorded, found, "body")
    assert seen in difference


def test_the_comparison_takes_what_is_as_recorded_and_remembers_it() -> None:
    names = Names()
    recorded = {"id": "$recordingId", "where": "<origin>/v1/objects/$documentId/content/video", "at": "<offset time>"}
    document = "0-eus-d12-00000000000000000000000000000001"
    found = {
        "id": ID.rstrip("="),
        "where": f"http://127.0.0.1:1/v1/objects/{document}/content/video",
        "at": "2025-07-24T10:18:44.77+00:00",
    }
    assert list(names.differences(recorded, found, "body")) == []
    assert names.known == {
        "recordingId": ID.rstrip("="),
        "platformEndpointId": "00000000-0000-4000-8000-000000000001",
        "documentId": document,
    }
    with pytest.raises(UnknownNameError, match=r"there is no \$unknown"):
        names.filled("/calling/$unknown")


@pytest.mark.parametrize(
    ("recorded", "found", "seen"),
    [
        ({"ETag": None}, {"ETag": '"1"'}, "header ETag is"),
        ({"Location": "<origin>/a"}, {}, "header Location is None"),
        ({"api-supported-versions": "<versions>"}, {"api-supported-versions": "2023-03-06"}, "without 2026-03-12"),
        ({"Content-Range": "bytes 0-4/$total"}, {"Content-Range": "bytes 0-5/9"}, "header Content-Range is"),
    ],
)
def test_the_comparison_sees_headers_that_differ(
    recorded: dict[str, str | None], found: dict[str, str], seen: str
) -> None:
    (difference,) = header_differences(Names(), recorded, CIMultiDict(found), "2026-03-12")
    assert seen in difference
