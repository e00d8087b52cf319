"""The real program: what it refuses before the application leaves a trace, and nothing a caller wrote is in it."""

import json
import signal
from pathlib import Path

from gateway.web.early_responses import LINES_EACH_SECOND
from tests.faults.test_wire_stop import gateway
from tests.faults.wire import request, talk
from tests.support import BOUND_SECONDS

PLANTED = b'smrt_planted\x1b[2J\n{"event":"forged"}'
HOST = b"Host: gateway\r\n"
MALFORMED = "Malformed HTTP request"
VECTORS = {
    "a method": (PLANTED + b" / HTTP/1.1\r\n" + HOST + b"\r\n", "-", MALFORMED),
    "a target": (b"GET /" + PLANTED + b" HTTP/1.1\r\n" + HOST + b"\r\n", "-", MALFORMED),
    "a host": (b"GET / HTTP/1.1\r\nHost: smrt_planted@evil\r\n\r\n", "GET", "Host is malformed"),
    "an id and a name": (b"PUT / HTTP/1.1\r\nX-Request-Id: smrt_planted\r\n" + PLANTED + b": x\r\n", "PUT", MALFORMED),
    "a body": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + PLANTED, "POST", MALFORMED),
}


def test_every_refusal_is_logged_and_counted_without_a_word_of_the_caller(tmp_path: Path) -> None:
    assert len(VECTORS) <= LINES_EACH_SECOND, "not each would have a line"
    with gateway(tmp_path) as (process, address):
        refused = [answer for vector, *_ in VECTORS.values() for answer in talk(address, vector)]
        (metrics,) = talk(address, request("/metrics", "Connection: close"))
        process.send_signal(signal.SIGINT)
        assert process.stderr
        written = process.stderr.read()
        assert process.wait(BOUND_SECONDS) == 0

    logged = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    told = {line["request_id"]: line for line in logged if line["event"] == "request"}
    lines = [told[answer.headers["x-request-id"]] for answer in refused]
    assert [(line["method"], line["route"], line["status"], line["error"]) for line in lines] == [
        (method, "unparsed", 400, error) for _, method, error in VECTORS.values()
    ]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert [answer.error for answer in refused] == [error for *_, error in VECTORS.values()]
    assert b'gateway_requests_total{method="GET",route="unparsed",status="400"} 1.0' in metrics.body
    assert b'gateway_requests_total{method="other",route="unparsed",status="400"} 2.0' in metrics.body
    assert "planted" not in written
    assert "forged" not in written
    assert written.replace("\n", "").isprintable()


def test_refusals_of_the_last_second_are_told_of_at_the_end(tmp_path: Path) -> None:
    vector, number = b"GET / HTTP/1.1\r\nHost: smrt_planted@evil\r\n\r\n", 3 * LINES_EACH_SECOND
    with gateway(tmp_path) as (process, address):
        for _ in range(number):
            assert talk(address, vector)[0].status == 400
        process.send_signal(signal.SIGINT)
        assert process.stderr
        logged = [json.loads(line) for line in process.stderr if line.startswith("{")]
        assert process.wait(BOUND_SECONDS) == 0

    lines = [line for line in logged if line["event"] == "request"]
    summaries = [line["count"] for line in logged if line["event"] == "requests_refused_unlogged"]
    assert summaries
    assert len(lines) + sum(summaries) == number
