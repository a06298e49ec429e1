"""Traces that join an event with its chunks' commits through the real queue, and metrics that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.core import telemetry
from shared.incidents.incidents import Incident
from shared.incidents.kinds import IncidentKind
from tests.integration.completion_fixtures import Workshop, event_of, workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan

    from local.azurite import Azurite

PUBLISHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Observed:
    """An app whose telemetry is kept in memory."""

    def __init__(self, shop: Workshop, exporter: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        self.shop = shop
        self._exporter = exporter
        self._reader = reader

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def metric(self, name: str) -> Any:
        """The only data point of a metric."""
        data = self._reader.get_metrics_data()
        assert data is not None
        (metric,) = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"archiver.{name}"
        ]
        (point,) = metric.data.data_points
        return point


@pytest.fixture
async def observed(azurite: Azurite) -> AsyncIterator[Observed]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    async with workshop(azurite, DELETE_SOURCE_AFTER_ARCHIVE="true") as shop:
        with telemetry.using(tracers, meters):
            yield Observed(shop, exporter, reader)
    tracers.shutdown()
    meters.shutdown()


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


async def test_the_chunks_commit_belongs_to_the_events_trace(observed: Observed) -> None:
    truth = await observed.shop.acs.recording(chunks=2, durationSeconds=4, contentType="audio")
    await observed.shop.work(await observed.shop.announce(event_of(truth)))
    (announced,) = observed.spans("recording.announce")
    chunks = observed.spans("chunk.archive")
    assert {span.attributes["chunk"] for span in chunks if span.attributes} == {0, 1}
    for span in chunks:
        assert trace_of(span) == trace_of(announced)
        assert span.parent is not None
        assert announced.context is not None
        assert span.parent.span_id == announced.context.span_id
        assert span.attributes is not None
        assert span.attributes["recordingId"] == truth["recordingId"]
    ids = {span.context.span_id for span in chunks if span.context}
    for name in ("source.metadata", "chunk.copy", "source.delete"):
        children = observed.spans(name)
        assert len(children) == 2
        assert {span.parent.span_id for span in children if span.parent} == ids


async def test_a_publishers_trace_goes_on_and_survives_a_retry(observed: Observed) -> None:
    truth = await observed.shop.acs.recording(chunks=1, durationSeconds=2, contentType="audio")
    await observed.shop.acs.fault(kind="status", status=404, target="content", times=1)
    await observed.shop.announce(event_of(truth) | {"traceparent": PUBLISHER})
    await observed.shop.work(2)
    spans = [*observed.spans("recording.announce"), *observed.spans("chunk.archive")]
    assert len(spans) == 3
    assert {trace_of(span) for span in spans} == {PUBLISHER.split("-")[1]}
    failed, succeeded = observed.spans("chunk.archive")
    assert (failed.status.is_ok, succeeded.status.is_ok) == (False, True)
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "SourceRefused"


async def test_the_metrics_are_what_happened(observed: Observed) -> None:
    truth = await observed.shop.acs.recording(chunks=1, durationSeconds=2, contentType="audio")
    await observed.shop.acs.fault(kind="status", status=404, target="metadata", times=1)
    await observed.shop.announce(event_of(truth))
    await observed.shop.work(2)
    assert observed.metric("bytes").value == truth["chunks"][0]["contentLength"]
    assert dict(observed.metric("bytes").attributes) == {"format": "mp3"}
    tries, left = observed.metric("chunk.tries"), observed.metric("chunk.hours_left")
    assert (tries.count, tries.sum) == (1, 2)
    assert left.count == 1
    assert left.sum == pytest.approx(24, abs=0.1)
    seconds, age = observed.metric("chunk.duration"), observed.metric("queue.age")
    assert seconds.count == 1
    assert 0 < seconds.sum < 30
    assert age.count == 2, "each try waited in the queue; the delay before a try is no waiting"
    assert 0 <= age.sum < 30


async def test_findings_are_counted_by_severity_once(observed: Observed) -> None:
    finding = Incident(kind=IncidentKind.GAP, identifier=f"{observed.shop.container.container_name}", reason="a gap")
    for _ in range(3):
        await observed.shop.services.incidents.report(finding)
    counted = observed.metric("attention")
    assert counted.value == 1
    assert dict(counted.attributes) == {"severity": "warning", "kind": "gap"}
