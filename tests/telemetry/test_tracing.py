"""Spans of requests, as an OpenTelemetry collector receives them; and collectors that do not."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from threading import enumerate as all_threads
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.errors import SettingsError
from gateway.services import TRACING_EXTRA_MISSING, build_services
from gateway.settings import TracingSettings
from gateway.telemetry.log import configure_log
from gateway.telemetry.timings import TracingTimings
from gateway.telemetry.tracing import MOST_AT_ONCE, Tracing
from tests.support import BOUND_SECONDS, HandClock, bearer, running_gateway, settings_in

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
REFUSING = "http://127.0.0.1:9/v1/traces"


@pytest.fixture(autouse=True)
def the_end_of_every_export() -> Iterator[None]:
    """Wait for what still sends: it outlives its gateway, and its log line would be the next test's."""
    yield
    for thread in all_threads():
        if thread.name == "traces":
            thread.join()


class Collector:
    """What was exported to `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}/v1/traces")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def attributes_of(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}


async def test_a_request_is_a_span_in_its_caller_s_trace_and_the_parent_of_its_calls(tmp_path: Path) -> None:
    with collecting() as collector:
        async with running_gateway(tmp_path, tracing={"endpoint": collector.url}) as world:
            key = await world.client_with_key()
            ours, _ = await world.mapped_connection()
            world.sandbox.requests.clear()
            headers = {**bearer(key), "traceparent": TRACEPARENT, "X-Request-Id": "mine"}
            await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=headers)
            (asked,) = world.sandbox.requests

    (span,) = collector.spans
    assert (span.name, span.kind) == ("GET /api/v1/connections/{id}/jobs", Span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert asked.headers["traceparent"] == f"00-{TRACE_ID}-{span.span_id.hex()}-01"
    assert (
        attributes_of(span).items()
        >= {
            "http.request.method": "GET",
            "http.route": "/api/v1/connections/{id}/jobs",
            "http.response.status_code": 200,
            "client.address": "127.0.0.1",
            "gateway.client": "acme",
            "gateway.request_id": "mine",
            "gateway.upstream": "ok",
        }.items()
    )
    assert key.text not in str(collector.requests)


async def test_a_request_without_a_trace_begins_one_and_one_that_is_not_sampled_is_not_exported(tmp_path: Path) -> None:
    with collecting() as collector:
        async with running_gateway(tmp_path, tracing={"endpoint": collector.url}) as world:
            await world.http.get("/nowhere")
            await world.http.get("/healthz", headers={"traceparent": TRACEPARENT.removesuffix("01") + "00"})

    (span,) = collector.spans
    assert span.name == "GET unmatched"
    assert span.trace_id.hex() not in {TRACE_ID, "0" * 32}
    assert not span.parent_span_id


@contextmanager
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "refusing"])
async def test_no_request_and_no_stop_waits_for_a_collector(tmp_path: Path, is_silent: bool) -> None:
    with silent() as url:
        async with asyncio.timeout(BOUND_SECONDS):
            gateway = running_gateway(tmp_path, tracing={"endpoint": url if is_silent else REFUSING})
            async with gateway as world:
                answers = [await world.http.get("/healthz") for _ in range(20)]

    assert {answer.status_code for answer in answers} == {200}


async def test_the_log_says_once_that_the_collector_does_not_take_spans() -> None:
    """However many batches there are."""
    stream = StringIO()
    configure_log(level="warning", style="json", stream=stream)
    tracing = Tracing(REFUSING, version="1.0", timings=TracingTimings())
    tracing.open()
    for _ in range(2 * MOST_AT_ONCE):
        tracing.begin(None).end("GET /healthz", 200, {})
    async with asyncio.timeout(BOUND_SECONDS):
        await tracing.close()
        while not stream.getvalue():
            await asyncio.sleep(0.01)

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "traces_not_exported"


def test_without_its_libraries_it_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "gateway.telemetry.tracing", raising=False)
    settings = msgspec.structs.replace(settings_in(tmp_path), tracing=TracingSettings(endpoint=REFUSING))

    with pytest.raises(SettingsError) as refused:
        build_services(settings, HandClock())

    assert str(refused.value) == TRACING_EXTRA_MISSING


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    code = (
        "import sys, gateway.cli.serve, gateway.app; print([name for name in sys.modules if 'opentelemetry' in name])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
