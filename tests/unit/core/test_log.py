from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core import log

if TYPE_CHECKING:
    import pytest


def test_bound_fields_are_on_every_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), log.fields(recordingId="r", documentId=None), log.fields(documentId="d"):
        log.info("chunk.archived", bytes=3)
    record = caplog.records[-1]
    assert record.getMessage() == "chunk.archived recordingId=r documentId=d bytes=3"
    assert (vars(record)["event"], vars(record)["recordingId"], vars(record)["bytes"]) == ("chunk.archived", "r", 3)


def test_fields_end_with_their_block(caplog: pytest.LogCaptureFixture) -> None:
    with log.fields(recordingId="r"):
        pass
    log.warning("over")
    assert caplog.records[-1].getMessage() == "over"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_a_value_cannot_begin_a_line_or_look_like_a_field(caplog: pytest.LogCaptureFixture, value: str) -> None:
    log.error("refused", reason=value, last=1)
    message = caplog.records[-1].getMessage()
    assert message.splitlines() == [message]
    assert message.startswith("refused reason=")
    quoted = message.removeprefix("refused reason=").removesuffix(" last=1")
    assert quoted == value or (quoted[0] == quoted[-1] == '"')
