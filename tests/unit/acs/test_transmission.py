from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from unittest.mock import Mock

from aiohttp import web
from aiohttp.http_writer import StreamWriter
from aiohttp.test_utils import make_mocked_request

from local.acs.bodies import Body
from local.acs.transmission import Manner, send

if TYPE_CHECKING:
    import pytest


async def test_a_client_that_went_away_before_the_answer_began_is_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = True
    protocol = Mock(transport=transport)
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    request = make_mocked_request("GET", "/v1/objects/x/content/video", protocol=protocol, writer=writer)
    with caplog.at_level(logging.INFO, "local.acs"):
        await send(request, web.StreamResponse(), Body.of_bytes(b"media"), Manner())
    assert caplog.messages == ["the client went away in the middle of GET /v1/objects/x/content/video"]
