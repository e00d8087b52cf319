#!/usr/bin/env bash
# opentelemetry-sdk 1.45.2, BatchSpanProcessor: export_timeout_millis (and OTEL_BSP_EXPORT_TIMEOUT, its variable) bounds
# nothing. An exporter that takes three seconds is waited for in full, with 200 ms set; force_flush(200) returns True
# after three seconds as well. So a process that ends with TracerProvider.shutdown() ends when the collector pleases:
# who must end in time has to wait for the shutdown in a thread of its own and leave it behind.
# Seen on 30 November 2026 with Python 3.11:
#   force_flush(200): True, not bounded
#   shutdown: not bounded
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

BOUND_MILLISECONDS = 200
EXPORT_SECONDS = 3


class SlowExporter(SpanExporter):
    """Ends an export when `may_end` is set, or after three seconds."""

    def __init__(self):
        self.may_end = threading.Event()
        self.ended = False

    def export(self, spans):
        self.may_end.wait(EXPORT_SECONDS)
        self.ended = True
        return SpanExportResult.SUCCESS

    def shutdown(self):
        pass


exporter = SlowExporter()
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=BOUND_MILLISECONDS))
tracer = provider.get_tracer("example")

tracer.start_span("one").end()
flushed = provider.force_flush(BOUND_MILLISECONDS)
waited_for_flush = exporter.ended

exporter.ended = False
tracer.start_span("two").end()
provider.shutdown()
waited_for_shutdown = exporter.ended

print(f"force_flush({BOUND_MILLISECONDS}): {flushed}, {'not bounded' if waited_for_flush else 'bounded'}")
print("shutdown:", "not bounded" if waited_for_shutdown else "bounded")
sys.exit(0 if flushed and waited_for_flush and waited_for_shutdown else 1)
PYTHON
