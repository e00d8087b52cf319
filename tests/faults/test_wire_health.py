"""/healthz on the wire while many probes wait: the application's own answer, given for it."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from starlette.routing import Route, Router

from gateway.api.health import show_health
from gateway.telemetry.metrics import Metrics
from gateway.web.admission import Gate
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.router import ApiRoutes
from gateway.web.server.back_pressure import BackPressures
from gateway.web.server.limits import ConnectionLimits
from gateway.web.timings import AdmissionTimings
from tests.faults.test_wire_overload import CountedPressure
from tests.faults.wire import LAST, Running, request, send, serving, talk
from tests.support import BOUND_SECONDS, counters

PATIENT = ConnectionLimits(receive_seconds=BOUND_SECONDS)
QUIET = AdmissionTimings().probes
CROWDED = replace(QUIET, short_queue=-1)
"""With the second, any number of probes is many."""


@dataclass
class House:
    """A gateway of health alone, and what it logged."""

    asked: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    pressures: BackPressures = field(default_factory=BackPressures)

    @contextmanager
    def serving(self, terms: Any, limits: ConnectionLimits = PATIENT) -> Iterator[Running]:
        log = RequestLog(
            new_id=lambda: "made-here",
            observer=self.metrics,
            failures=counters(),
            write_line=lambda _, fields: self.lines.append(fields),
        )
        gate = Gate(routes=ApiRoutes("/api/v1", []), monotonic=time.monotonic, observer=self.metrics, request_log=log)
        gate.probes.terms = terms
        router = Router([Route("/healthz", show_health, methods=["GET", "OPTIONS"])])

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.asked += scope["type"] == "http"
            await router(scope, receive, send)

        app = AdmissionMiddleware(RequestLogMiddleware(counted, request_log=log), gate=gate)
        with serving(app, limits, gate=gate, back_pressure=self.pressures) as running:
            yield running


@pytest.fixture
def house() -> House:
    return House()


def read_undated(running: Running, vector: bytes) -> bytes:
    """Return the answer to `vector` as it came but for its date."""
    with socket.create_connection(running.address, BOUND_SECONDS) as connection:
        send(connection, vector)
        first = connection.recv(65536)
    return b"\r\n".join(line for line in first.split(b"\r\n") if not line.startswith(b"date: "))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("headers", [(), ("X-Request-Id: theirs",)], ids=["our id", "their id"])
def test_answer_line_and_count_are_the_applications_own(house: House, method: str, headers: tuple[str, ...]) -> None:
    vector = request("/healthz?any", *headers, method=method)
    with house.serving(QUIET) as running:
        expected = read_undated(running, vector)
        assert house.asked == 1
    with house.serving(CROWDED) as running:
        assert read_undated(running, vector) == expected
        assert house.asked == 1

    one, other = house.lines
    assert (one.pop("ms") > 0, other.pop("ms")) == (True, 0.0)
    assert one == other
    assert expected.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f'_total{{method="{method}",route="/healthz",status="200"}} 2.0' in house.metrics.render().decode()


@pytest.mark.parametrize(
    "vector",
    [
        request("/healthz", "Connection: close"),
        request("/healthz", "Content-Length: 2", body=b"{}"),
        request("/healthz", "Expect: 100-continue", "Content-Length: 2", body=b"{}"),
    ],
    ids=["the last one", "with content", "with content to come"],
)
def test_the_application_answers_where_the_next_request_could_not_be_told(house: House, vector: bytes) -> None:
    with house.serving(CROWDED) as running:
        assert read_undated(running, vector).startswith(b"HTTP/1.1 200 OK\r\n")

    assert house.asked == 1


def test_the_next_request_on_the_connection_is_answered_in_order(house: House) -> None:
    with house.serving(CROWDED) as running:
        answers = talk(running.address, request("/healthz") + request("/healthz"), LAST)

    assert [answer.status for answer in answers] == [200, 200, 404]
    assert house.asked == 1


@pytest.mark.parametrize(("pause_seconds", "asked"), [(BOUND_SECONDS, (1, 2)), (0.0, (3, 0))])
def test_who_asks_again_without_a_pause_is_held_back_as_if_shed(
    house: House, pause_seconds: float, asked: tuple[int, int]
) -> None:
    house.pressures.probes, house.pressures.others = probes, others = CountedPressure(), CountedPressure()
    with (
        house.serving(CROWDED, replace(PATIENT, pause_seconds=pause_seconds)) as running,
        socket.create_connection(running.address, BOUND_SECONDS) as connection,
    ):
        for _ in range(3):
            send(connection, request("/healthz"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")

    assert (probes.asked, others.asked) == asked
