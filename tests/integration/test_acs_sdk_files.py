"""Every official client downloads and deletes, over https from the service's hosts; what it refuses is refused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme

from local.acs.errors import AcsEmulatorError
from local.acs.server import AcsEmulator, AcsOptions
from local.ports import free_port
from tests.integration.acs_fixtures import Bench, bench
from tests.integration.acs_sdk_fixtures import (
    MEDIA_HOST,
    SECOND_MEDIA_HOST,
    Connection,
    JavaScript,
    RefusedError,
    Sdk,
    TlsBench,
    sdk,
    tls_bench,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from local.acs.requests import RequestRecord

# The SDK dates its requests with datetime.utcnow.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ["python", "python-aio", "javascript"]


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TlsBench]:
    async with tls_bench(tmp_path_factory.mktemp("media"), accept_any_token=True) as made:
        yield made


@pytest.fixture(scope="module")
async def clients(running: TlsBench) -> AsyncIterator[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(sdk(name, running.connection())) for name in LANGUAGES}


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest, clients: dict[str, Any]) -> Sdk:
    made: Sdk = clients[request.param]
    return made


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


@pytest.fixture
async def call(running: TlsBench) -> Any:
    return await running.bench.control("POST", "calls", {}, expect=201)


@pytest.fixture
async def chunk(running: TlsBench) -> Any:
    made = await running.bench.recording(durationSeconds=3, contentType="audio", channelType="mixed", format="mp3")
    return made["chunks"][0]


async def stored(emulator: Bench, url: str) -> bytes:
    """Fetch the bytes behind a location without an SDK and its proxy."""
    return (await emulator.fetch(emulator.acs.endpoint + urlsplit(url).path)).body


def _last(running: TlsBench, chunk: Any, number: int = -1) -> RequestRecord:
    """Return the last request for a chunk."""
    return [one for one in running.bench.acs.log.all() if one.document_id == chunk["documentId"]][number]


async def refused(work: Any) -> RefusedError:
    with pytest.raises(RefusedError) as problem:
        await work
    return problem.value


async def test_content_and_metadata_are_downloaded_whole(running: TlsBench, client: Sdk, chunk: Any) -> None:
    content, metadata = chunk["contentLocation"], chunk["metadataLocation"]
    assert await client.download(content) == await stored(running.bench, content)
    assert await client.download(metadata) == await stored(running.bench, metadata)
    assert content.startswith(f"https://{MEDIA_HOST}:")


@pytest.mark.parametrize(("offset", "length"), [(100, 50), (100, None), (1, 1)])
async def test_a_range_is_downloaded(
    running: TlsBench, client: Sdk, chunk: Any, offset: int, length: int | None
) -> None:
    content = chunk["contentLocation"]
    got = await client.download(content, offset, length)
    record = _last(running, chunk)
    stop = None if length is None else offset + length
    assert got == (await stored(running.bench, content))[offset:stop]
    assert (record.range, record.status) == (f"bytes={offset}-{'' if stop is None else stop - 1}", 206)


@pytest.mark.parametrize("language", ["python", "python-aio"])
async def test_python_ignores_the_length_of_a_range_that_begins_at_zero(
    running: TlsBench, clients: dict[str, Sdk], language: str, chunk: Any
) -> None:
    content = chunk["contentLocation"]
    got = await clients[language].download(content, 0, 50)
    assert _last(running, chunk).range is None
    assert got == await stored(running.bench, content)


async def test_javascript_refuses_the_length_of_a_range_that_begins_at_zero(
    clients: dict[str, Sdk], chunk: Any
) -> None:
    problem = await refused(clients["javascript"].download(chunk["contentLocation"], 0, 50))
    assert "Download offset value must not be empty if length is set" in str(problem)


async def test_a_range_beyond_the_end_is_refused(client: Sdk, chunk: Any) -> None:
    assert (await refused(client.download(chunk["contentLocation"], 2**40))).status == 416


async def test_a_deletion_removes_content_and_metadata(client: Sdk, chunk: Any) -> None:
    await client.delete(chunk["deleteLocation"])
    gone = [
        await refused(client.download(chunk["contentLocation"])),
        await refused(client.download(chunk["metadataLocation"])),
        await refused(client.delete(chunk["deleteLocation"])),
    ]
    assert [one.status for one in gone] == [404, 404, 404]


async def test_javascript_saves_to_a_path(running: TlsBench, clients: Any, chunk: Any, tmp_path: Path) -> None:
    javascript: JavaScript = clients["javascript"]
    await javascript.order("save", url=chunk["contentLocation"], path=str(tmp_path / "saved"))
    assert (tmp_path / "saved").read_bytes() == await stored(running.bench, chunk["contentLocation"])


@pytest.mark.parametrize("language", ["python", "python-aio"])
async def test_python_sends_no_signature_to_where_a_redirect_leads(
    running: TlsBench, clients: dict[str, Sdk], language: str, chunk: Any
) -> None:
    await running.bench.fault(kind="redirect", target="content")
    problem = await refused(clients[language].download(chunk["contentLocation"]))
    record = _last(running, chunk)
    assert problem.status == 401
    assert (record.origin, record.authorized, running.proxy.hosts[-1]) == ("second", False, SECOND_MEDIA_HOST)


@pytest.mark.parametrize("language", ["python", "python-aio"])
@pytest.mark.parametrize("target", ["content", "metadata"])
async def test_python_follows_a_redirect_where_it_may_keep_its_signature(
    running: TlsBench, language: str, chunk: Any, target: str
) -> None:
    await running.bench.fault(kind="redirect", target=target)
    url = chunk[f"{target}Location"]
    async with sdk(language, running.connection(), disable_redirect_cleanup=True) as client:
        got = await client.download(url)
    record = _last(running, chunk)
    assert got == await stored(running.bench, url)
    assert (record.origin, record.signed) == ("second", "hmac")


async def test_javascript_follows_no_redirect(running: TlsBench, clients: dict[str, Sdk], chunk: Any) -> None:
    await running.bench.fault(kind="redirect", target="content")
    problem = await refused(clients["javascript"].download(chunk["contentLocation"]))
    assert (problem.status, _last(running, chunk).origin) == (302, "first")


async def test_javascript_asks_the_first_address_again_where_it_may_follow_redirects(
    running: TlsBench, chunk: Any
) -> None:
    """Its own policy puts the first address back into the request that follows the redirect."""
    await running.bench.fault(kind="redirect", target="content")
    following = {"redirectOptions": {"allowCrossOriginRedirects": True}}
    async with sdk("javascript", running.connection(), **following) as client:
        problem = await refused(client.download(chunk["contentLocation"]))
    record = _last(running, chunk)
    assert (problem.status, record.origin, record.authorized) == (401, "first", False)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_token_is_sent_over_https(running: TlsBench, language: str, call: Any, chunk: Any) -> None:
    content = chunk["contentLocation"]
    async with sdk(language, running.connection(token="any")) as client:
        recording_id = (await client.start(serverCallId=call["serverCallId"]))["recordingId"]
        await client.change("stop", recording_id)
        got = await client.download(content)
    assert got == await stored(running.bench, content)
    assert _last(running, chunk, -2).signed == "bearer"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_token_is_not_sent_over_http(plain: Bench, language: str) -> None:
    connection = Connection(plain.acs.endpoint, token="any")
    async with sdk(language, connection) as client:
        problem = await refused(client.state("any"))
    assert "Bearer token authentication is not permitted for non-TLS" in str(problem)
    assert plain.acs.log.all() == []


@pytest.mark.parametrize("action", ["download", "delete"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://storage.asm.skype.com/v1/objects/0-eus-d1-0/content/video", "must use HTTPS scheme for security"),
        ("https://127.0.0.1/v1/objects/0-eus-d1-0/content/video", "is not a valid Azure Communication Services"),
    ],
)
async def test_nothing_is_asked_of_other_hosts_or_over_http(
    running: TlsBench, client: Sdk, action: str, url: str, reason: str
) -> None:
    asked = len(running.proxy.hosts)
    problem = await refused(getattr(client, action)(url))
    assert reason in str(problem)
    assert len(running.proxy.hosts) == asked


async def test_javascript_refuses_http_unless_it_is_allowed(plain: Bench) -> None:
    connection = Connection(plain.acs.endpoint, plain.acs.options.access_key, insecure=False)
    async with sdk("javascript", connection) as client:
        problem = await refused(client.state("any"))
    assert "allowInsecureConnection" in str(problem)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_connection_string_is_enough_over_https(running: TlsBench, language: str, call: Any) -> None:
    known = running.connection()
    async with sdk(
        language, running.connection(endpoint=f"endpoint={known.endpoint}/;accesskey={known.key}")
    ) as client:
        recording_id = (await client.start(serverCallId=call["serverCallId"]))["recordingId"]
        await client.change("stop", recording_id)


async def test_javascript_takes_a_connection_string_with_http(plain: Bench) -> None:
    async with sdk("javascript", Connection(plain.acs.connection_string)) as client:
        assert (await refused(client.state("any"))).status == 404


@pytest.mark.parametrize("language", ["python", "python-aio"])
async def test_python_uses_https_whatever_a_connection_string_says(plain: Bench, language: str) -> None:
    async with sdk(language, Connection(plain.acs.connection_string)) as client:
        problem = await refused(client.state("any"))
    assert "SSL" in str(problem).upper()
    assert plain.acs.log.all() == []


async def test_the_command_serves_https_with_a_certificate_and_its_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key, trusted = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "authority.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(trusted))
    port = free_port()
    serve = ["--port", str(port), "--second-port", "0", "--media-dir", str(tmp_path), "--media-host", MEDIA_HOST]
    serve += [
        "--second-media-host",
        SECOND_MEDIA_HOST,
        "--certificate",
        str(certificate),
        "--certificate-key",
        str(key),
    ]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "local", "acs", *serve, cwd=ROOT, stdout=pipe)
    try:
        assert process.stdout is not None
        shown = await process.stdout.readuntil(b"Ctrl-C")
        make = [
            "record",
            "make",
            "--duration",
            "1s",
            "--content",
            "audio",
            "--acs",
            f"https://127.0.0.1:{port}",
            "--json",
        ]
        asked = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local",
            *make,
            cwd=ROOT,
            stdout=pipe,
            env=os.environ | {"SSL_CERT_FILE": str(trusted)},
        )
        made, _ = await asked.communicate()
    finally:
        process.terminate()
        await process.wait()
    assert f"https://{SECOND_MEDIA_HOST}:".encode() in shown
    assert json.loads(made)["chunks"][0]["contentLocation"].startswith(f"https://{MEDIA_HOST}:{port}/v1/objects/")


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(AcsEmulatorError, match=rf"{path}.*--certificate-key"):
            async with AcsEmulator(AcsOptions(port=0, second_port=0, certificate=path)):
                pass


def test_a_key_without_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="certificate_key needs the certificate"):
        AcsOptions(certificate_key=tmp_path / "key.pem")
