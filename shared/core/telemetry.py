"""Traces and metrics, with OpenTelemetry.

A trace begins with the event, continues with the queue's message, and ends with the chunk's commit, on any instance.
In Azure the platform's worker sends both to Application Insights; elsewhere OpenTelemetry's own variables
`OTEL_TRACES_EXPORTER=console` and `OTEL_METRICS_EXPORTER=console` print them. Without either, OpenTelemetry is not
imported. No other module imports it. Recording ids are attributes of spans only: in a metric, each is a new series.
"""

# ruff: noqa: PLC0415 - imports wait until telemetry is known to be wanted

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.core.errors import ArchiverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

NAME = "recording-archiver"
"""The instrumentation's name."""

_WORKER_SWITCHES = ("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_ENABLE_OPENTELEMETRY")
_EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")

# The SDK's own boundaries suit milliseconds up to ten seconds; a copy takes up to half an hour.
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800)
_AGES = (0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_TRIES = (1, 2, 3, 5, 8, 13, 21, 34)
_HOURS = (0, 1, 2, 4, 8, 12, 16, 20, 22, 23, 24, 36, 48)


@dataclass(frozen=True, slots=True)
class _Instruments:
    tracer: Tracer
    bytes_archived: Counter
    chunk_seconds: Histogram
    chunk_tries: Histogram
    hours_left: Histogram
    queue_age: Histogram
    attention: Counter

    @classmethod
    def of(cls, tracer: Tracer, meter: Meter) -> _Instruments:
        def histogram(name: str, unit: str, description: str, boundaries: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(
                f"archiver.{name}", unit, description, explicit_bucket_boundaries_advisory=boundaries
            )

        return cls(
            tracer=tracer,
            bytes_archived=meter.create_counter("archiver.bytes", "By", "Bytes of media archived"),
            chunk_seconds=histogram("chunk.duration", "s", "Time that the try took that archived a chunk", _SECONDS),
            chunk_tries=histogram("chunk.tries", "{try}", "Tries until a chunk was archived", _TRIES),
            hours_left=histogram("chunk.hours_left", "h", "Time left when a chunk was archived", _HOURS),
            queue_age=histogram("queue.age", "s", "Time from when a message was due until its work began", _AGES),
            attention=meter.create_counter("archiver.attention", "{finding}", "Findings raised, by severity"),
        )


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: str | float | None) -> Iterator[None]:
    """Trace the code inside as a span.

    Parameters
    ----------
    name
        The span's name, such as `chunk.archive`.
    parent
        The parent's `traceparent` (W3C Trace Context); the current span is then linked. Without a valid one, the
        current span is the parent.
    attributes
        The span's attributes; None values are left out.
    """
    instruments = _instruments()
    if instruments is None:
        yield
        return
    from opentelemetry import trace

    context = _context_of(parent)
    surrounding = trace.get_current_span().get_span_context()
    links = [trace.Link(surrounding)] if context is not None and surrounding.is_valid else None
    with instruments.tracer.start_as_current_span(
        name,
        context,
        links=links,
        attributes={key: value for key, value in attributes.items() if value is not None},
        # Texts of the SDKs' errors can hold parts of a signature: only their type is recorded.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except Exception as error:
            description = str(error) if isinstance(error, ArchiverError) else type(error).__name__
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(trace.StatusCode.ERROR, description)
            raise


def traceparent() -> str | None:
    """Return the current span as a `traceparent`, or None."""
    if _instruments() is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def work_began(waited: timedelta) -> None:
    """Record how long a message was due before its work began."""
    if (instruments := _instruments()) is not None:
        instruments.queue_age.record(max(0.0, waited.total_seconds()))


def chunk_archived(size: int, seconds: float, *, tries: int, time_left: timedelta, format: str) -> None:  # noqa: A002 - the field's name
    """Record an archived chunk: its bytes, the last try's seconds, all tries, the time until the source expires."""
    if (instruments := _instruments()) is None:
        return
    labels = {"format": format}
    instruments.bytes_archived.add(size, labels)
    instruments.chunk_seconds.record(seconds, labels)
    instruments.chunk_tries.record(tries, labels)
    instruments.hours_left.record(max(0.0, time_left.total_seconds() / 3600), labels)


def attention_raised(severity: str, kind: str) -> None:
    """Count an incident."""
    if (instruments := _instruments()) is not None:
        instruments.attention.add(1, {"severity": severity, "kind": kind})


@contextmanager
def using(tracers: TracerProvider, meters: MeterProvider) -> Iterator[None]:
    """Use these providers inside, in place of the environment's; for tests."""
    before = _forced[:]
    _forced[:] = [_Instruments.of(tracers.get_tracer(NAME), meters.get_meter(NAME))]
    try:
        yield
    finally:
        _forced[:] = before


_forced: list[_Instruments] = []


def _instruments() -> _Instruments | None:
    return _forced[0] if _forced else _configured()


@lru_cache(maxsize=1)
def _configured() -> _Instruments | None:
    """Return the instruments that the process's environment asks for."""
    if not wanted(os.environ):
        return None
    from opentelemetry import metrics, trace

    if not _is_workers(os.environ):
        _print(os.environ)
    return _Instruments.of(trace.get_tracer(NAME), metrics.get_meter(NAME))


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for telemetry, from the worker or on the console."""
    return _is_workers(environment) or any(_is_console(environment, name) for name in _EXPORTERS)


def _is_workers(environment: Mapping[str, str]) -> bool:
    """Whether the platform's worker has configured the SDK by the time a function runs."""
    return any(environment.get(name, "").strip().lower() in {"true", "1"} for name in _WORKER_SWITCHES)


def _is_console(environment: Mapping[str, str], name: str) -> bool:
    return "console" in environment.get(name, "").replace(" ", "").lower().split(",")


def _print(environment: Mapping[str, str]) -> None:
    """Print traces and metrics, as the environment asks for."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    if _is_console(environment, "OTEL_TRACES_EXPORTER"):
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(tracers)
    if _is_console(environment, "OTEL_METRICS_EXPORTER"):
        metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())]))


def _context_of(parent: str | None) -> Context | None:
    if parent is None:
        return None
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent})
    return context if trace.get_current_span(context).get_span_context().is_valid else None
