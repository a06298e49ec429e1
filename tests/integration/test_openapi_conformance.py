"""Schemathesis against the app: no server error, and no answer outside the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from openapi_spec_validator import validate

from local.stack import Stack, StackOptions
from shared.api.openapi import build
from tests.conftest import QUICK_QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)
HOOKS = "tests.integration.schemathesis_hooks"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of its own: thousands of requests should neither meet the other tests' recordings nor leave any."""
    options = StackOptions(folder=tmp_path_factory.mktemp("openapi"), clock_rate=20, settings=QUICK_QUEUE)
    async with Stack(options) as running:
        # So that more than the first start succeeds.
        running.acs.options.one_recording_per_call = False
        yield running


async def test_the_document_is_served_without_a_key(stack: Stack) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/api/openapi.json") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        served = await answer.json()
    assert served == json.loads(json.dumps(build()))
    validate(served)


async def test_schemathesis_finds_no_server_error_and_no_answer_outside_the_document(
    stack: Stack, tmp_path: Path
) -> None:
    call = stack.acs.service.start_call(["8:acs:alice", "8:acs:bob"], None, None)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{stack.url}/api/openapi.json",
        f"--url={stack.url}",
        f"--header=x-functions-key:{stack.function_key}",
        f"--checks={','.join(CHECKS)}",
        "--max-examples=8",
        "--seed=7",
        "--generation-deterministic",
        "--request-timeout=20",
        "--suppress-health-check=all",
        "--warnings=off",
        "--no-color",
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": HOOKS,
        "SERVER_CALL_ID": call.server_call_id,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NO_PROXY": "127.0.0.1",
    }
    # A process of its own: the emulators run in this one's event loop.
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment, cwd=tmp_path
    )
    try:
        async with asyncio.timeout(100):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    begun = [record for record in stack.acs.log.all() if record.target == "start" and record.status in {200, 202}]
    assert len(begun) > 3, "hardly any start got through to the service"
