"""A6, A18 and A29: a kept connection that is dead, deaf, or says more than it was asked."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.faults.conftest import HASTY, INVALID, TIMED_OUT, UNKNOWN, Front, bounded, front_of, said, theirs
from tests.faults.fault import Exchange, Received, close, followed_by, hang, head_of, reset


def response_with(content: object) -> bytes:
    body = json.dumps(content).encode()
    return head_of(200, "Content-Type: application/json", f"Content-Length: {len(body)}") + body


@pytest.mark.parametrize("fault", [close, reset], ids=["closed", "reset"])
async def test_a_read_on_a_kept_connection_that_ends_is_answered_over_a_fresh_one(front: Front, fault: object) -> None:
    await front.jobs()
    front.airbyte.forget()
    front.airbyte.switch("jobs", close if fault is close else reset, times=1)

    answer = await front.jobs()

    assert said(answer) == (200, {"data": []})
    assert front.airbyte.count("jobs") == 2
    await front.assert_recovered()


@pytest.mark.parametrize("fault", [close, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("works", [True, False], ids=["after the work", "before the work"])
async def test_a_trigger_on_a_kept_connection_that_ends_is_looked_for_and_never_sent_again(
    front: Front, fault: object, works: bool
) -> None:
    await front.jobs()
    front.airbyte.forget()
    front.airbyte.switch("trigger", close if fault is close else reset, times=1, works=works)

    answer = await front.trigger()

    assert answer.status_code == 200 if works else said(answer) == UNKNOWN
    assert (front.airbyte.count("trigger"), len(front.airbyte.jobs)) == (1, int(works))
    await front.assert_recovered()


async def test_connections_closed_while_idle_are_noticed_before_anything_is_sent(front: Front) -> None:
    for call in ("GET", "POST"):
        front.airbyte.drop_idle()
        answer = await front.ask(call)

        assert answer.status_code == 200
    assert (front.airbyte.count("jobs"), front.airbyte.count("trigger")) == (2, 1)
    await front.assert_recovered()


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_peer_that_went_without_a_word_costs_one_time_out_at_most(tmp_path: Path, call: str) -> None:
    async with front_of(tmp_path, deadlines=HASTY) as front:
        await front.jobs()
        deaf = set(front.airbyte.open_connections)

        def came_to_the_deaf(request: Received) -> bool:
            return any(request is each for connection in deaf for each in connection.requests)

        for route in ("jobs", "trigger"):
            front.airbyte.switch(route, hang, when=came_to_the_deaf, works=False)

        first = await bounded(front.ask(call), HASTY.trigger)
        second = await bounded(front.ask(call), HASTY.trigger)

        # Of a trigger only the look is lost: the trigger itself takes a new connection.
        assert first.status_code == 200 if call == "POST" else said(first) == TIMED_OUT
        assert second.status_code == 200
        await front.assert_recovered()


IDLE_SECONDS = 0.02
"""Enough, as a rule, for an answer to be taken; the outcome is the same where it is not."""


def surplus(kind: str) -> bytes:
    foreign = {"jobId": 99, "status": "running", "jobType": "sync", "connectionId": theirs(1)}
    return response_with({"empty page": {"data": []}, "page": {"data": [foreign]}, "job": foreign}[kind])


@pytest.mark.parametrize("is_later", [False, True], ids=["same segment", "while idle"])
@pytest.mark.parametrize("extra", ["empty page", "page", "job"])
@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_one_response_too_many_never_answers_the_next_request(
    front: Front, is_later: bool, extra: str, call: str
) -> None:
    other = await front.add_tenant("globex", theirs(2))
    front.airbyte.add_job(theirs(2), status="succeeded", bytesSynced=1)
    route = {"GET": "jobs", "POST": "trigger"}[call]
    answered, sent = asyncio.Event(), asyncio.Event()
    after = answered if is_later else None
    front.airbyte.switch(route, followed_by(surplus(extra), after=after, sent=sent), times=1)

    own = await front.ask(call)
    answered.set()
    await sent.wait()
    next_read = await front.jobs(other)
    next_start = await front.trigger(other)
    own_again = await front.jobs()

    assert own.status_code == 200
    assert [job["jobId"] for job in next_read.json()["data"]] == [1]
    assert next_start.json()["job"]["connectionId"] == theirs(2)
    assert {job["jobId"] for job in own_again.json()["data"]} == ({2} if call == "POST" else set())
    await front.assert_recovered()


@pytest.mark.parametrize("is_later", [False, True], ids=["same segment", "while idle"])
@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_what_follows_an_answer_that_has_no_body_never_answers_the_next_request(
    front: Front, is_later: bool, call: str
) -> None:
    """The third form of A18: a 204 ends with its head, whatever it says of its length."""
    other = await front.add_tenant("globex", theirs(2))
    front.airbyte.add_job(theirs(2), status="succeeded", bytesSynced=1)
    foreign = {"jobId": 99, "status": "running", "jobType": "sync", "connectionId": theirs(3)}
    extra, sent = response_with({"data": [foreign]}), asyncio.Event()

    async def answer_empty(exchange: Exchange) -> None:
        head = head_of(204, f"Content-Length: {len(extra)}")
        await exchange.send(head if is_later else head + extra)
        if is_later:
            # Not after our answer: what we ask next, to find out more, may come on this very socket connection.
            await asyncio.sleep(IDLE_SECONDS)
            await exchange.send(extra)
        sent.set()

    front.airbyte.switch({"GET": "jobs", "POST": "trigger"}[call], answer_empty, times=1, works=False)

    own = await front.ask(call)
    await sent.wait()
    next_read = await front.jobs(other)
    own_again = await front.jobs()

    assert said(own) == {"GET": INVALID, "POST": UNKNOWN}[call]
    assert [job["jobId"] for job in next_read.json()["data"]] == [1]
    assert said(own_again) == (200, {"data": []})
    await front.assert_recovered()


async def test_one_response_too_many_that_comes_with_the_next_request_shows_nobody_another_s_rows(
    front: Front,
) -> None:
    """On a kept connection nothing but the ids in it tells whose answer this is."""
    other = await front.add_tenant("globex", theirs(2))
    asking = asyncio.Event()
    front.airbyte.switch("jobs", followed_by(surplus("page"), after=asking), times=1)

    await front.jobs()
    asking.set()
    next_read = await front.jobs(other)

    assert theirs(1) not in next_read.text
