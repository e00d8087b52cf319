"""Export a span for each request to an OpenTelemetry collector, over OTLP/HTTP. Imported only where it is switched on.

Nothing here makes a request wait: a span is put into a bounded queue, from which a thread of its own sends. What the
collector does not take is lost. No environment variable of OpenTelemetry's, and no proxy of the environment, counts.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence

import requests  # the exporter's own library, told here to take no proxy of the environment
import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from gateway.telemetry.timings import TracingTimings
from gateway.telemetry.trace_context import Trace

MOST_WAITING = 2048
"""Spans that wait to be sent; the oldest are lost beyond it."""
MOST_AT_ONCE = 512
FIRST_FAULT = 500

log = structlog.get_logger()


class RequestSpan:
    """The span of a request under way; `trace` is what calls made for it carry."""

    __slots__ = ("_span", "trace")

    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.trace = Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)

    def end(self, name: str, status: int, attributes: dict[str, AttributeValue]) -> None:
        """End it with what was learnt of the request, in the words of OpenTelemetry's conventions."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        self._span.set_attribute("http.response.status_code", status)
        if status >= FIRST_FAULT:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """Spans of one process; `open` first, `close` last."""

    def __init__(self, endpoint: str, *, version: str, timings: TracingTimings) -> None:
        """`endpoint` is the collector's whole address, such as http://localhost:4318/v1/traces."""
        self._endpoint = endpoint
        self._timings = timings
        self._resource = Resource({"service.name": "airbyte-client-gateway", "service.version": version})

    def open(self) -> None:
        """Start the thread that sends."""
        # They log a line for each batch and each lost span; ours says when it begins and when it is over.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        session = requests.Session()
        session.trust_env = False
        exporter = OTLPSpanExporter(
            endpoint=self._endpoint,
            headers={},
            timeout=self._timings.export,
            compression=Compression.NoCompression,
            session=session,
        )
        self._processor = BatchSpanProcessor(
            _Told(exporter),
            max_queue_size=MOST_WAITING,
            schedule_delay_millis=self._timings.export_pause * 1000,
            max_export_batch_size=MOST_AT_ONCE,
        )
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=self._resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("gateway")

    async def close(self) -> None:
        """Send what waits, as far as there is time. OpenTelemetry's own shutdown may take many."""
        # A daemon: what is held by a collector that stands still must not hold the process.
        ending = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, self._timings.close)

    def begin(self, parent: Trace | None) -> RequestSpan:
        """Begin the span of a request, in the trace of its caller or in a new one."""
        context = None
        if parent is not None:
            flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
            remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(remote))
        return RequestSpan(self._tracer.start_span("request", context=context, kind=SpanKind.SERVER))


class _Told(SpanExporter):
    """Tells the log when exports begin to fail, and when they succeed again. In the thread that sends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; log the first failure and the first success after it. Called by OpenTelemetry."""
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            log.warning("traces_not_exported")
        elif self._is_failing and not is_failing:
            log.warning("traces_exported_again")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        """Close the exporter. Called by OpenTelemetry."""
        self._exporter.shutdown()
