from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shared.core import telemetry
from shared.core.errors import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, tracers, meters = InMemorySpanExporter(), TracerProvider(), MeterProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    with telemetry.using(tracers, meters):
        yield exporter
    tracers.shutdown()
    meters.shutdown()


def test_a_trace_continues_in_another_process(spans: InMemorySpanExporter) -> None:
    with telemetry.span("here"):
        carried = telemetry.traceparent()
    with telemetry.span("there", parent=carried):
        pass
    here, there = spans.get_finished_spans()
    assert here.context is not None
    assert there.parent is not None
    assert (there.parent.trace_id, there.parent.span_id) == (here.context.trace_id, here.context.span_id)


def test_the_current_span_is_linked_when_another_trace_continues(spans: InMemorySpanExporter) -> None:
    with telemetry.span("the platform's"), telemetry.span("ours", parent=PARENT, chunk=0, callId=None):
        pass
    ours, platforms = spans.get_finished_spans()
    assert ours.context is not None
    assert f"{ours.context.trace_id:032x}" == PARENT.split("-")[1]
    assert platforms.context is not None
    assert [link.context.span_id for link in ours.links] == [platforms.context.span_id]
    assert ours.attributes == {"chunk": 0}


@pytest.mark.parametrize("parent", [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_an_invalid_traceparent_is_ignored(spans: InMemorySpanExporter, parent: str | None) -> None:
    with telemetry.span("outer"), telemetry.span("inner", parent=parent):
        pass
    inner, outer = spans.get_finished_spans()
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert not inner.links


def test_the_apps_errors_are_recorded_with_their_message_and_others_with_their_type(
    spans: InMemorySpanExporter,
) -> None:
    for error in (SourceUnavailable("the service did not answer"), ValueError("sig=secret")):
        with pytest.raises(type(error)), telemetry.span("try"):
            raise error
    ours, others = spans.get_finished_spans()
    assert (ours.status.status_code, ours.status.description) == (StatusCode.ERROR, "the service did not answer")
    assert others.status.description == "ValueError"
    assert not ours.events
    assert "secret" not in others.to_json()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "false"}, False),
        ({"PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true"}, True),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "1"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_METRICS_EXPORTER": "otlp, Console"}, True),
    ],
)
def test_telemetry_is_on_if_the_worker_or_the_console_is_configured(environment: dict[str, str], wanted: bool) -> None:
    assert telemetry.wanted(environment) is wanted


def run(program: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON_"))}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, check=True, env=inherited | environment,
    )  # fmt: skip
    assert ended.stderr == ""
    return ended.stdout


WORK = """
import sys
from datetime import timedelta
from shared.core import telemetry
with telemetry.span("chunk.archive", documentId="d"):
    carried = telemetry.traceparent()
telemetry.work_began(timedelta(seconds=3))
telemetry.chunk_archived(1000, 0.5, tries=2, time_left=timedelta(hours=23), format="mp4")
telemetry.attention_raised("urgent", "chunk")
"""


def test_opentelemetry_is_not_imported_when_switched_off() -> None:
    shown = run(WORK + 'print(carried, [name for name in sys.modules if name.startswith("opentelemetry")])')
    assert shown.strip() == "None []"


def test_the_app_is_indexed_without_opentelemetry_even_where_it_is_wanted() -> None:
    shown = run(
        "import sys, function_app\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'azure.eventgrid'))])",
        PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY="true",
        ACS_CONNECTION_STRING="endpoint=https://x.communication.azure.com/;accesskey=c2VjcmV0",
        ARCHIVE_STORAGE="UseDevelopmentStorage=true",
    )
    assert shown.strip().endswith("[]")


def test_the_console_shows_spans_and_metrics() -> None:
    shown = run(WORK, OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console")
    for expected in ('"name": "chunk.archive"', '"documentId": "d"', "archiver.bytes", "archiver.queue.age", "urgent"):
        assert expected in shown
