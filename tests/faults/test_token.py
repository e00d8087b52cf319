"""A20, A21, A30-A33, C6-C8: tokens that are gone, wrong, late, odd, or wanted by everybody at once."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from gateway.errors import UpstreamBusy
from tests.faults.conftest import HASTY, UNREACHABLE, Front, bounded, front_of, said, theirs
from tests.faults.fault import Fault, answer, close, cut, hang, held, raw, reset


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_a_token_that_airbyte_forgot_is_replaced_and_nobody_notices(front: Front, call: str) -> None:
    """A20."""
    front.airbyte.token = "another"

    got = await front.ask(call)

    assert got.status_code == 200
    assert (front.airbyte.count("token"), len(front.airbyte.jobs)) == (1, int(call == "POST"))
    await front.assert_recovered()


async def test_a_401_for_ever_is_our_fault_and_costs_a_token_call_in_five_seconds(front: Front) -> None:
    """A21, C7: a minute of ten requests a second; the first refused token may be replaced at once."""
    for route in ("jobs", "trigger"):
        front.airbyte.switch(route, answer(401, b'{"message":"Unauthorized"}'), works=False)

    for number in range(600):
        got = await front.ask("POST" if number % 10 == 0 else "GET")
        assert said(got) == UNREACHABLE
        front.clock.advance(0.1)

    assert front.airbyte.count("token") <= 60 / 5 + 1
    assert not front.airbyte.jobs
    await front.assert_recovered()


@pytest.mark.parametrize(("status", "is_refusal"), [(401, True), (400, True), (429, False), (502, False)], ids=str)
async def test_only_a_refusal_of_the_credential_is_told_as_one(front: Front, status: int, is_refusal: bool) -> None:
    """Too many calls for tokens say nothing of the secret: nobody shall be sent to change it."""
    front.airbyte.switch("token", answer(status, b"{}", "Retry-After: 1"))
    front.clock.advance(1000)

    got = await front.jobs()

    assert said(got) == UNREACHABLE
    assert front.services.airbyte.figures().is_credential_refused is is_refusal
    kind = "credential" if is_refusal else "failing"
    assert front.services.airbyte.troubles.explain(UpstreamBusy()).kind == kind
    await front.assert_recovered()


async def test_a_401_for_ever_costs_many_callers_at_once_one_token_call(front: Front) -> None:
    tenants = [await front.add_tenant(f"client-{number}", theirs(number)) for number in range(2, 12)]
    front.airbyte.forget()
    front.airbyte.switch("jobs", answer(401, b"{}"), works=False)

    answers = [await asyncio.gather(*(front.jobs(tenant) for tenant in tenants)) for _ in range(5)]

    assert {said(got)[0] for batch in answers for got in batch} <= {502, 503}
    assert front.airbyte.count("token") <= 2
    await front.assert_recovered()


@pytest.mark.parametrize("cancel_first", [False, True], ids=["all wait", "the first one leaves"])
async def test_two_hundred_callers_without_a_token_share_one_token_call(front: Front, cancel_first: bool) -> None:
    """A32, C6: all of them are waiting when the token comes."""
    release = asyncio.Event()
    front.airbyte.switch("token", held(release))
    front.clock.advance(1000)
    front.airbyte.on_request.clear()
    tasks = [asyncio.create_task(front.jobs(limit=1 + number % 100)) for number in range(200)]
    await front.airbyte.on_request.wait()
    if cancel_first:
        tasks.pop(0).cancel()
    release.set()

    answers = await asyncio.gather(*tasks)

    assert front.airbyte.count("token") == 1
    assert {got.status_code for got in answers} == {200}
    await front.assert_recovered()


async def test_a_token_route_that_is_down_for_two_minutes_is_not_noticed_while_the_token_lives(front: Front) -> None:
    """A30, C8."""
    front.clock.advance(900 - 600)
    front.airbyte.switch("token", answer(502, b"<html>", content_type="text/html"))
    statuses = []
    for _ in range(120):
        statuses += [(await front.jobs()).status_code, (await front.trigger()).status_code]
        front.airbyte.finish_jobs()
        front.clock.advance(4)

    assert set(statuses) == {200}
    assert 1 <= front.airbyte.count("token") <= 480 / 5 + 1
    await front.assert_recovered()


@pytest.mark.parametrize("call", ["GET", "POST"])
@pytest.mark.parametrize(
    "fault",
    [
        close,
        reset,
        cut(-5),
        raw(b"garbage\r\n\r\n"),
        answer(200, b"<html>", content_type="text/html"),
        answer(200, b"{}"),
        answer(200, b'{"access_token":""}'),
        answer(200, b'{"access_token":null}'),
        answer(200, b'{"access_token":"a\\r\\nX-Planted: 1"}'),
        answer(200, b'{"access_token":"a b"}'),
        answer(200, '{"access_token":"ключ"}'.encode()),
        answer(200, b'{"access_token":"' + b"a" * 20_000 + b'"}'),
        answer(302, b"", "Location: /elsewhere"),
        answer(400, b'{"message":"Bad Request"}'),
        answer(401, b'{"errorId":"x"}'),
        answer(404, b"Object not found."),
        answer(429, b'{"message":"You are being rate limited."}'),
        answer(500, b'{"errorId":"x"}'),
        answer(503),
    ],
)
async def test_without_a_good_token_nothing_is_asked_and_the_fault_is_ours(
    front: Front, call: str, fault: Fault
) -> None:
    """A30, A33: two tries at most, then five seconds of rest, then all is well again."""
    front.clock.advance(1000)
    front.airbyte.switch("token", fault)

    got = [await bounded(front.ask(call), 1) for _ in range(3)]

    assert [said(each) for each in got] == [UNREACHABLE] * 3
    assert 1 <= front.airbyte.count("token") <= 2
    assert {request.route for request in front.airbyte.requests} == {"token"}
    front.airbyte.heal()
    front.clock.advance(5)
    assert (await front.ask(call)).status_code == 200
    await front.assert_recovered()


async def test_a_token_route_that_hangs_is_a_fault_of_ours_in_time(tmp_path: Path) -> None:
    async with front_of(tmp_path, deadlines=HASTY) as front:
        front.clock.advance(1000)
        front.airbyte.switch("token", hang)

        got = await bounded(front.trigger(), HASTY.trigger)

        assert got.status_code in {502, 504}
        assert "Outcome unknown" not in got.text
        await front.assert_recovered()


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.c2ln"


ODD_LIVES: list[object] = [0, -5, "900", None, True, {}, 1e308, 10**400]
ODD_TOKENS = [
    jwt(),
    jwt(iat=10**9, exp=1),
    jwt(iat="a", exp=None),
    jwt(iat=0, exp=10**400),
    "a.~~~.b",
    "..",
    "a.W10.b",
]


@pytest.mark.parametrize(
    ("expires_in", "token"),
    [*((life, "opaque") for life in ODD_LIVES), *((900, token) for token in ODD_TOKENS)],
    ids=[*(repr(life)[:9] for life in ODD_LIVES), *(token[-20:] for token in ODD_TOKENS)],
)
async def test_whatever_is_said_of_its_life_a_token_works(front: Front, expires_in: object, token: str) -> None:
    """A31: it lives 30 s at least and a day at most."""
    front.airbyte.token = token
    front.airbyte.token_answer = {} if expires_in is None else {"expires_in": expires_in}
    front.clock.advance(1000)

    got = [await front.jobs()]
    front.clock.advance(20)
    got.append(await front.jobs())
    known = front.airbyte.count("token")
    front.clock.advance(86_401)
    got.append(await front.jobs())

    assert [each.status_code for each in got] == [200, 200, 200]
    assert (known, front.airbyte.count("token")) == (1, 2)
