"""C2: nothing of Airbyte's, and none of our secrets, is in any answer, metric, log line or printed object."""

import dataclasses
import io

import pytest

from gateway.airbyte import Deadlines
from gateway.airbyte.call import Answer
from gateway.airbyte.schema import TokenRecord
from gateway.airbyte.token import token_call
from gateway.settings.secret import Secret
from gateway.telemetry.log import configure_log
from tests.faults.conftest import CLIENT_SECRET, Front
from tests.faults.fault import Fault, answer, answer_right, close, cut, forever, head_of, raw
from tests.faults.fault_server import WORKSPACE
from tests.support import bearer

TOKEN = "tok3n-planted"
SECRETS = (TOKEN, CLIENT_SECRET)
PLANTED = (*SECRETS, "id-planted", "host-planted.internal", WORKSPACE, "Traceback-planted", "127.0.0.1")
TEXT = f'{{"message":"{" ".join(PLANTED)}","title":"{TOKEN}","access_token":"{TOKEN} {CLIENT_SECRET}"'
BODY = f'{TEXT},"data":[{TEXT}}}]}}'.encode()
FIELDS = (f"X-Planted: {' '.join(PLANTED)}", f"Location: http://{PLANTED[3]}/{TOKEN}", f"Server: {TOKEN}")
JOB = f'"jobId":1,"jobType":"sync","connectionId":"c0ffee00-0000-4000-8000-000000000001","name":"{TOKEN}"'


def job(**values: str) -> Fault:
    content = (
        f"{{{JOB},{','.join(f'{chr(34)}{name}{chr(34)}:{chr(34)}{text}{chr(34)}' for name, text in values.items())}"
    )
    return answer(200, f'{content},"data":[{content}}}]}}'.encode(), *FIELDS)


FAULTS: list[Fault] = [
    *(answer(status, BODY, *FIELDS) for status in (200, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503)),
    answer(200, BODY, content_type=f"text/html; {TOKEN}"),
    answer(200, BODY, f"Content-Encoding: {TOKEN}"),
    answer(503, BODY, f"Retry-After: {TOKEN}", f"Date: {TOKEN}"),
    job(status=TOKEN),
    job(status="running", startTime=TOKEN),
    job(status="running", duration=TOKEN),
    raw(f"{TOKEN} {CLIENT_SECRET}\r\n\r\n".encode()),
    raw(f"HTTP/1.1 {TOKEN}\r\n\r\n".encode()),
    raw(f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n".encode()),
    raw(f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}\r\n\r\n".encode()),
    raw(head_of(200, "Transfer-Encoding: chunked") + f"{TOKEN}\r\n".encode()),
    raw(head_of(200, f"Transfer-Encoding: {TOKEN}")),
    forever(head_of(200, "Content-Type: application/json", *FIELDS), BODY),
    cut(-5),
    close,
    answer_right,
]


@pytest.mark.parametrize("route", ["jobs", "trigger", "token"])
async def test_planted_texts_come_out_nowhere(front: Front, route: str) -> None:
    stream = io.StringIO()
    configure_log(level="debug", style="json", stream=stream)
    seen: list[str] = []
    for fault in FAULTS:
        front.airbyte.switch(route, fault, works=route != "trigger")
        for call in ("GET", "POST"):
            front.clock.advance(1000)
            got = await front.ask(call)
            seen.append(f"{dict(got.headers)} {got.text}")
        front.airbyte.heal()
        front.airbyte.finish_jobs()
        front.clock.advance(1000)
        for path in ("/api/v1/connections", "/api/v1/status", "/readyz", "/metrics", "/healthz"):
            got = await front.http.get(path, headers=bearer(front.tenant.key))
            seen.append(f"{dict(got.headers)} {got.text}")

    answers, lines = "\n".join(seen), stream.getvalue()
    assert [text for text in PLANTED if text in answers] == []
    assert [text for text in SECRETS if text in lines] == []
    assert [line for line in lines.splitlines() if "unhandled" in line] == []
    await front.assert_recovered()


async def test_no_service_shows_a_secret_when_printed(front: Front) -> None:
    await front.jobs()
    printed = [repr(front.services), repr(front.services.settings)]
    for service in dataclasses.fields(front.services):
        value = getattr(front.services, service.name)
        printed += [repr(value), repr(getattr(value, "__dict__", {}))]
    for inner in vars(front.services.airbyte).values():
        printed += [repr(inner), repr(getattr(inner, "__class__", None))]

    assert [text for text in printed if TOKEN in text or CLIENT_SECRET in text] == []


def test_calls_and_answers_that_hold_a_secret_do_not_show_it() -> None:
    shown = [
        repr(token_call("id", Secret(CLIENT_SECRET), Deadlines())),
        repr(Answer(status=200, content_type="", retry_after="", body=BODY, delimited=True)),
        repr(TokenRecord(TOKEN)),
    ]

    assert [text for text in shown if TOKEN in text or CLIENT_SECRET in text] == []
