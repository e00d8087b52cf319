"""A5, A7-A17 and A19: whatever comes instead of Airbyte's answer, the client gets one of our own texts in time.

A read is tried again only where a second try may help. A trigger is sent once: if the job exists it is found and
returned, otherwise its outcome is called unknown. Afterwards everything works as before.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import (
    HASTY,
    INVALID,
    PATIENT,
    TIMED_OUT,
    UNKNOWN,
    UNREACHABLE,
    bounded,
    front_of,
    said,
    theirs,
)
from tests.faults.fault import Fault, answer, close, cut, forever, hang, head_of, raw, reset

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
SPACES = b" " * 65536
JOB: dict[str, Any] = {"jobId": 7, "status": "running", "jobType": "sync", "connectionId": theirs(1)}


def shaped(text: str) -> bytes:
    """A row given as JSON text, as both a job and a page with that job."""
    return f'{text[:-1]},"data":[{text}]}}'.encode()


def row(extra: str = "", **values: Any) -> Fault:
    """A job with members replaced by `values` and `extra` JSON text added."""
    return answer(200, shaped(json.dumps(JOB | values)[:-1] + extra + "}"))


def without(name: str) -> Fault:
    return answer(200, shaped(json.dumps({key: value for key, value in JOB.items() if key != name})))


def compressed(*fields: str) -> Fault:
    """Compressed by name, and without end in case somebody reads on."""
    return forever(head_of(200, JSON, CHUNKED, *fields), b"10000\r\n" + SPACES + b"\r\n")


ENDED = [
    ("A5 closed without an answer", close, UNREACHABLE, 2),
    ("A5 reset without an answer", reset, UNREACHABLE, 2),
    ("A7 reset in the head", cut(20, reset=True), UNREACHABLE, 2),
    ("A7 reset in the body", cut(-5, reset=True), INVALID, 2),
    ("A7 closed in the head", cut(20), UNREACHABLE, 2),
    ("A11 shorter than its length", cut(-5), INVALID, 2),
    ("A11 chunks without end", raw(head_of(200, JSON, CHUNKED) + b'5\r\n{"dat'), INVALID, 2),
    ("A12 no length, closed early", raw(head_of(200, JSON) + b'{"data":[{"jobId":1,'), INVALID, 2),
]
TALKED_NONSENSE = [
    ("A9 head of 200 KB", raw(head_of(200, JSON, "X: " + "y" * 200_000))),
    ("A9 2,000 fields", raw(head_of(200, JSON, *(f"X-{number}: {'y' * 100}" for number in range(2000))))),
    ("A9 100 Continue for ever", forever(b"", head_of(100) * 100)),
    ("A9 103 Early Hints for ever", forever(b"", head_of(103, "Link: </x>"))),
    ("A9 a trailer for ever", forever(head_of(200, JSON, CHUNKED) + b"2\r\n{}\r\n0\r\nX: ", SPACES)),
    ("A9 a chunk extension for ever", forever(head_of(200, JSON, CHUNKED) + b"2;", b"x" * 65536)),
    ("garbage", raw(b"\x00\xff\xfe garbage\r\n\r\n" * 50)),
    ("another protocol", raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")),
    ("HTTP/2 by mistake", raw(b"HTTP/2 200\r\n\r\n")),
    ("two lengths", raw(head_of(200, JSON, "Content-Length: 2", "Content-Length: 3") + b"{}x")),
    ("a length of -1", raw(head_of(200, JSON, "Content-Length: -1") + b"{}")),
    ("A13 cut JSON", answer(200, b'{"data":')),
    ("A13 page", answer(200, b"<html>", content_type="text/html")),
    ("A13 page called JSON", answer(200, b"<html>")),
    ("A13 JSON called a page", answer(200, shaped(json.dumps(JOB)), content_type="text/html")),
    ("A13 empty body", answer(200)),
    ("A13 byte order mark", answer(200, b"\xef\xbb\xbf" + shaped(json.dumps(JOB)))),
    ("A13 UTF-16", answer(200, shaped(json.dumps(JOB)).decode().encode("utf-16"))),
    ("A14 list", answer(200, b"[]")),
    ("A14 null", answer(200, b"null")),
    ("A14 no jobId", without("jobId")),
    ("A14 no status", without("status")),
    ("A14 no connectionId", without("connectionId")),
    ("A14 jobId as text", row(jobId="7")),
    ("A14 jobId true", row(jobId=True)),
    ("A14 jobId negative", row(jobId=-1)),
    ("A14 jobId a fraction", row(jobId=7.5)),
    ("A14 status null", row(status=None)),
    ("A14 status a page", row(status="<script>")),
    ("A14 status of 1,000 letters", row(status="a" * 1000)),
    ("A14 startTime nonsense", row(startTime="yesterday")),
    ("A14 startTime beyond the calendar", row(startTime="9999-12-31T23:59:59-23:59")),
    ("A14 duration nonsense", row(duration="PT<b>")),
    ("A15 number of 65 bits", row(bytesSynced=2**65)),
    ("A15 jobId of 65 bits", row(jobId=2**65)),
    ("A15 number of 5,000 digits", row(extra=',"bytesSynced":' + "9" * 5000)),
    ("A15 NaN", row(extra=',"bytesSynced":NaN')),
    ("A15 lone surrogate", row(extra=r',"duration":"\ud800"')),
    ("A15 100,000 deep", row(extra=',"config":' + "[" * 100_000)),
    ("A16 1 GB announced", forever(head_of(200, JSON, "Content-Length: 1000000000"), SPACES)),
    ("A16 endless chunks", forever(head_of(200, JSON, CHUNKED), b"10000\r\n" + SPACES + b"\r\n")),
    ("A16 endless, no length", forever(head_of(200, JSON), SPACES)),
    ("A17 gzip", compressed("Content-Encoding: gzip")),
    ("A17 small gzip", answer(200, gzip.compress(shaped(json.dumps(JOB))), "Content-Encoding: gzip")),
    ("A17 called gzip", answer(200, shaped(json.dumps(JOB)), "Content-Encoding: gzip")),
    ("A17 br", compressed("Content-Encoding: br")),
    ("A17 zstd", compressed("Content-Encoding: zstd")),
    ("A17 deflate", compressed("Content-Encoding: deflate")),
    ("A17 chained", compressed("Content-Encoding: gzip, gzip, gzip")),
    ("A17 chained in two fields", compressed("Content-Encoding: identity", "Content-Encoding: gzip")),
    ("A19 here", answer(302, b"", "Location: /api/public/v1/jobs")),
    ("A19 loop", answer(307, b"", "Location: /api/public/v1/jobs?connectionId=x")),
    ("A19 metadata service", answer(308, b"", "Location: http://169.254.169.254/latest/meta-data/")),
    ("A19 no location", answer(301)),
    ("201", answer(201, shaped(json.dumps(JOB)))),
    ("204", raw(head_of(204), then_close=False)),
    ("206", answer(206, shaped(json.dumps(JOB)))),
    ("101", raw(head_of(101, "Upgrade: websocket", "Connection: Upgrade"), then_close=False)),
]
NEVER_ENDS = [
    ("A8 silence", hang),
    ("A9 head drips", forever(b"HTTP/1.1 200 OK\r\nX: ", b"y", every=0.02)),
    ("A9 fields drip", forever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", every=0.02)),
    ("A9 102 Processing for ever", forever(b"", head_of(102), every=0.02)),
    ("A10 body drips", forever(head_of(200, JSON, "Content-Length: 100000"), b" ", every=0.02)),
    ("A10 chunks drip", forever(head_of(200, JSON, CHUNKED), b"1\r\n \r\n", every=0.02)),
]
CASES = [
    *ENDED,
    *((name, fault, INVALID, 1) for name, fault in TALKED_NONSENSE),
    *((name, fault, TIMED_OUT, 1) for name, fault in NEVER_ENDS),
]


@pytest.mark.parametrize(("fault", "expected", "tries"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_a_broken_answer_becomes_ours_in_time_and_nothing_lasts(
    tmp_path: Path, fault: Fault, expected: tuple[int, Any], tries: int
) -> None:
    deadlines = HASTY if expected == TIMED_OUT else PATIENT
    async with front_of(tmp_path, deadlines=deadlines) as front:
        front.airbyte.switch("jobs", fault)
        read = await bounded(front.jobs(), HASTY.read)
        assert (said(read), front.airbyte.count("jobs")) == (expected, tries)
        await front.assert_recovered()

        front.airbyte.switch("trigger", fault)
        started = await bounded(front.trigger(), HASTY.trigger)
        assert said(started)[1]["job"]["jobId"] == front.airbyte.jobs[-1]["jobId"]
        assert (len(front.airbyte.jobs), front.airbyte.count("trigger"), front.airbyte.count("jobs")) == (2, 1, 2)
        await front.assert_recovered()

        front.airbyte.switch("trigger", fault, works=False)
        lost = await bounded(front.trigger(), HASTY.trigger)
        assert (said(lost), front.airbyte.count("trigger"), len(front.airbyte.jobs)) == (UNKNOWN, 1, 3)
        await front.assert_recovered()
        assert len(front.airbyte.open_connections) <= 5


async def test_of_duplicate_members_the_one_that_is_used_is_the_one_that_is_checked(tmp_path: Path) -> None:
    async with front_of(tmp_path) as front:
        front.airbyte.switch("jobs", row(extra=f',"connectionId":"{theirs(2)}"'))

        read = await front.jobs()

        assert said(read) == INVALID
        assert "gateway_upstream_identity_mismatch_total 1.0" in (await front.http.get("/metrics")).text
        await front.assert_recovered()
