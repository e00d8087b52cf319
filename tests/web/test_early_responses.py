"""Answers before the application: their ids, and the lines in the log that no flood makes many."""

import asyncio
import io
import json
from typing import Any

import pytest

from gateway.errors import BadRequest, Overloaded, RequestTimeout
from gateway.telemetry.log import configure_log
from gateway.web.compatible_paths import ErrorForm
from gateway.web.early_responses import BUSY_PAGE, LINES_EACH_SECOND, EarlyResponses
from gateway.web.middleware.request_log import SAFE_ID
from gateway.web.responses import raw_error_answer
from tests.support import BOUND_SECONDS

DATE = [(b"date", b"today")]
FORMS: tuple[ErrorForm, ...] = ("own", "problem", "page")


class Log(io.StringIO):
    """What was written, as events."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    async def holds(self, event: str, times: int = 1) -> None:
        """Wait until it does."""
        async with asyncio.timeout(BOUND_SECONDS):
            while [each["event"] for each in self.events].count(event) < times:
                await asyncio.sleep(0.01)


class Observer:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def count_shed(self, reason: str) -> None:
        raise NotImplementedError

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self.seen.append((method, route, status))


@pytest.fixture
def log() -> Log:
    stream = Log()
    configure_log(level="info", style="json", stream=stream)
    return stream


def id_in(answer: bytes) -> str:
    head = answer.partition(b"\r\n\r\n")[0].decode("ascii")
    (request_id,) = [line.removeprefix("x-request-id: ") for line in head.split("\r\n") if "x-request-id" in line]
    return request_id


async def test_a_refusal_is_a_whole_answer_with_an_id_and_a_line_that_has_it(log: Log) -> None:
    observer = Observer()

    answer = EarlyResponses(observer).final_answer(BadRequest("Host is missing"), "GET", DATE, address="192.0.2.7")

    request_id = id_in(answer)
    assert answer == raw_error_answer(
        BadRequest("Host is missing"), [*DATE, (b"x-request-id", request_id.encode("ascii"))]
    )
    (event,) = log.events
    assert event.pop("time")
    assert event == {
        "event": "request",
        "level": "info",
        "request_id": request_id,
        "method": "GET",
        "route": "unparsed",
        "status": 400,
        "address": "192.0.2.7",
        "error": "Host is missing",
    }
    assert observer.seen == [("GET", "unparsed", 400)]


@pytest.mark.parametrize(
    ("method", "target", "is_problem"),
    [
        ("GET", b"/api/public/v1/jobs?limit=1", True),
        ("POST", b"/api/v1/jobs/get", True),
        ("GET", b"/api/v1/jobs", False),
        ("-", b"", False),
        ("GET", b"/api/public/v1/\xff", True),
        ("GET", b"http://gateway:80/api/public/v1/jobs?limit=1", True),
        ("POST", b"HTTPS://gateway/api/v1/jobs/get", True),
        ("GET", b"/%61pi/public/v1", True),
        ("GET", b"http://gateway/api/v1/jobs", False),
        ("GET", b"http://gateway", False),
        ("-", b"*", False),
    ],
)
async def test_a_program_written_for_airbyte_gets_a_problem(method: str, target: bytes, *, is_problem: bool) -> None:
    answer = EarlyResponses().final_answer(RequestTimeout(), method, DATE, target=target)

    problem = (
        b'{"status":408,"type":"about:blank","title":"Request Timeout","detail":"Request was not received in time"}'
    )
    assert answer.endswith(b"\r\n\r\n" + (problem if is_problem else b'{"error":"Request was not received in time"}'))


async def test_what_is_shed_has_the_form_that_its_caller_reads() -> None:
    responses = EarlyResponses()
    bodies = [responses.shed(DATE, form).partition(b"\r\n\r\n")[2] for form in FORMS for _ in range(2)]

    assert bodies[0] == bodies[1] == b'{"error":"Service is busy"}'
    assert bodies[2] == bodies[3]
    assert json.loads(bodies[2])["detail"] == "Service is busy"
    assert bodies[4] == bodies[5] == BUSY_PAGE


async def test_no_two_answers_share_an_id() -> None:
    one, other = EarlyResponses(), EarlyResponses()
    ids = [id_in(each.final_answer(RequestTimeout(), "-", [])) for each in (one, other) for _ in range(10)]
    ids += [id_in(each.shed(DATE)) for each in (one, other) for _ in range(10)]

    assert len(set(ids)) == 40
    assert all(SAFE_ID.fullmatch(each.encode("ascii")) for each in ids)


async def test_a_flood_of_refusals_is_a_few_lines_and_their_number(log: Log) -> None:
    responses = EarlyResponses()

    ids = [id_in(responses.final_answer(RequestTimeout(), "-", [])) for _ in range(1000)]
    await log.holds("requests_refused_unlogged")

    *lines, summary = log.events
    assert [line["request_id"] for line in lines] == ids[:LINES_EACH_SECOND]
    assert summary["count"] == 1000 - LINES_EACH_SECOND
    assert (summary["first_request_id"], summary["last_request_id"]) == (ids[LINES_EACH_SECOND], ids[-1])


async def test_after_a_flood_a_refusal_has_its_line_again(log: Log) -> None:
    responses = EarlyResponses()
    for _ in range(LINES_EACH_SECOND + 1):
        responses.final_answer(RequestTimeout(), "-", [])
    await log.holds("requests_refused_unlogged")

    answer = responses.final_answer(RequestTimeout(), "POST", [])

    assert (log.events[-1]["method"], log.events[-1]["request_id"]) == ("POST", id_in(answer))


async def test_what_is_shed_has_one_line_a_second_that_says_how_many(log: Log) -> None:
    responses = EarlyResponses()

    ids = [id_in(responses.shed(DATE)) for _ in range(1000)]
    await log.holds("requests_shed")
    more = [id_in(responses.shed(DATE)) for _ in range(10)]
    await log.holds("requests_shed", 2)

    first, second = log.events
    assert (first["level"], first["count"], second["count"]) == ("warning", 1000, 10)
    assert (first["first_request_id"], first["last_request_id"]) == (ids[0], ids[-1])
    assert (second["first_request_id"], second["last_request_id"]) == (more[0], more[-1])


async def test_what_is_shed_is_answered_with_the_headers_of_the_moment() -> None:
    responses = EarlyResponses()
    for headers in (DATE, DATE, [(b"date", b"tomorrow")], []):
        answer = responses.shed(headers)

        expected = [*headers, (b"x-request-id", id_in(answer).encode("ascii"))]
        assert answer == raw_error_answer(Overloaded(), expected, ends=False)


async def test_a_second_without_refusals_has_no_line(log: Log) -> None:
    responses = EarlyResponses()
    responses.final_answer(RequestTimeout(), "-", [])
    responses.shed(DATE)
    await log.holds("requests_shed")

    assert [event["event"] for event in log.events] == ["request", "requests_shed"]
