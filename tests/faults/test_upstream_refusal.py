"""A22-A28 and C12: Airbyte refuses, pauses or breaks down, and says so properly."""

import json
from typing import Any

import pytest

from tests.faults.conftest import BUSY, INVALID, NOT_FOUND, UNKNOWN, UNREACHABLE, Front, said
from tests.faults.fault import Fault, answer

UUID = "11111111-2222-4333-8444-555555555555"


def problem(status: int, title: str) -> Fault:
    content = {
        "status": status,
        "type": "https://reference.airbyte.com/reference/errors",
        "title": title,
        "detail": "planted detail",
        "documentationUrl": None,
        "data": {"message": "planted message"},
    }
    return answer(status, json.dumps(content).encode())


ERROR_ID = json.dumps({"errorId": UUID}).encode()
NOT_FOUND_AT_AIRBYTE = problem(404, "resource-not-found")


@pytest.mark.parametrize("call", ["GET", "POST"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (problem(403, "forbidden"), UNREACHABLE),
        (answer(403, b"<html>", content_type="text/html"), UNREACHABLE),
        (NOT_FOUND_AT_AIRBYTE, NOT_FOUND),
        (answer(404, b"Object not found."), INVALID),
        (answer(404, b"<html>", content_type="text/html"), INVALID),
        (answer(400, ERROR_ID), INVALID),
        (problem(422, "unprocessable-entity"), INVALID),
        (problem(409, "something-new"), INVALID),
        (answer(405), INVALID),
        (answer(413), INVALID),
        (answer(418, b"\xff"), INVALID),
    ],
    ids=[
        "A22 403",
        "A22 403 page",
        "A23 404",
        "A13 404 text",
        "A13 404 page",
        "A25 400",
        "A25 422",
        "A24 409",
        "405",
        "413",
        "418",
    ],
)
async def test_a_refusal_is_translated_and_never_tried_again(
    front: Front, call: str, fault: Fault, expected: tuple[int, Any]
) -> None:
    route = {"GET": "jobs", "POST": "trigger"}[call]
    front.airbyte.switch(route, fault, works=False)

    got = await front.ask(call)

    assert said(got) == expected
    assert [request.route for request in front.airbyte.requests] == {"GET": [route], "POST": ["jobs", route]}[call]
    await front.assert_recovered()


async def test_a_sync_already_running_is_attached_to(front: Front) -> None:
    front.airbyte.add_job(front.tenant.theirs)

    got = await front.trigger()

    assert (got.status_code, got.json()["job"]["jobId"]) == (200, 1)
    assert front.airbyte.count("trigger") == 0
    await front.assert_recovered()


@pytest.mark.parametrize(("works", "status"), [(True, 200), (False, 504)], ids=["job appears", "no job"])
async def test_a_state_conflict_of_an_active_connection_is_looked_into(front: Front, works: bool, status: int) -> None:
    front.airbyte.switch("trigger", problem(409, "state-conflict"), works=works)

    got = await front.trigger()

    assert got.status_code == status
    assert said(got) == UNKNOWN or works
    assert (front.airbyte.count("trigger"), len(front.airbyte.jobs)) == (1, int(works))
    await front.assert_recovered()


async def test_a_state_conflict_of_a_connection_that_is_off_says_so(front: Front) -> None:
    record = {"connectionId": front.tenant.theirs, "name": "Shop", "sourceId": UUID, "workspaceId": UUID}
    front.airbyte.switch("trigger", problem(409, "state-conflict"), works=False)
    front.airbyte.switch("connections", answer(200, json.dumps(record | {"status": "inactive"}).encode()))

    got = await front.trigger()

    assert said(got) == (400, {"error": "Connection is not active in Airbyte (status: inactive)"})
    await front.assert_recovered()


@pytest.mark.parametrize("call", ["GET", "POST"])
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("0", 1),
        ("5", 5),
        ("-1", 1),
        ("1000000000", 300),
        ("9" * 5000, None),
        ("Wed, 01 Apr 2026 03:01:00 GMT", None),
        ("soon", 30),
        ("1e9", 30),
        ("", 30),
        (None, 30),
    ],
    ids=["0", "5", "-1", "1e9 seconds", "5,000 digits", "date", "garbage", "1e9", "empty", "absent"],
)
async def test_a_429_becomes_a_503_with_whole_seconds_and_a_pause_without_calls(
    front: Front, call: str, retry_after: str | None, seconds: int | None
) -> None:
    fields = [] if retry_after is None else [f"Retry-After: {retry_after}"]
    route = {"GET": "jobs", "POST": "trigger"}[call]
    front.airbyte.switch(
        route, answer(429, b'{"message":"You are being rate limited."}', *fields), works=False, times=1
    )

    first = await front.ask(call)
    told = int(first.headers["retry-after"])
    assert said(first) == BUSY
    assert told == seconds or (seconds is None and 1 <= told <= 300)
    front.clock.advance(told - 0.5)
    for other in ("GET", "POST"):
        waiting = await front.ask(other)
        assert (said(waiting), waiting.headers["retry-after"]) == (BUSY, "1")
    assert front.airbyte.exchanges == {"GET": 1, "POST": 2}[call]
    front.clock.advance(0.5)
    after = await front.ask(call)

    assert after.status_code == 200
    assert len(front.airbyte.jobs) == int(call == "POST")
    await front.assert_recovered()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_one_5xx_is_not_seen_by_a_reader_and_makes_a_trigger_look(front: Front, status: int) -> None:
    front.airbyte.switch("jobs", answer(status, ERROR_ID), times=1)
    read = await front.jobs()
    assert (said(read), front.airbyte.count("jobs")) == ((200, {"data": []}), 2)
    for works in (True, False):
        front.airbyte.forget()
        front.airbyte.switch("trigger", answer(status, ERROR_ID), times=1, works=works)

        started = await front.trigger()

        assert started.status_code == 200 if works else said(started) == UNKNOWN
        assert (front.airbyte.count("trigger"), len(front.airbyte.jobs)) == (1, 1)
        front.airbyte.finish_jobs()
        front.clock.advance(60)
    front.airbyte.jobs.clear()
    await front.assert_recovered()
