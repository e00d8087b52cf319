"""Failures are pages for whoever asked for one and JSON for everybody else; neither says more than it should."""

import json
import sqlite3
from contextlib import closing

import httpx2
import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.dashboard.page_errors import MESSAGES, PageErrorMiddleware
from gateway.dashboard.visitor import SignInNeeded
from gateway.errors import InvalidInput, LinkEnded, NotFound, Overloaded, StorageUnavailable, UnknownRecord
from gateway.telemetry.log import configure_log
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.dashboard.support import HEADERS, browser, signed_in, words
from tests.support import World, sqlite_of

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "*/*"}


class Secret(Exception):
    """What nobody may read."""


def failing(world: World, error: Exception) -> httpx2.AsyncClient:
    """A client of pages that all fail like this."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return serving(world, PageErrorMiddleware(fail))


def serving(world: World, pages: PageErrorMiddleware) -> httpx2.AsyncClient:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ErrorMiddleware(pages)({**scope, "app": world.app, SCOPE_KEY: RequestContext("request-1")}, receive, send)

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://gateway.example")


CASES = [
    (NotFound(), 404, "Not found"),
    (UnknownRecord("there is no user 'x'"), 404, "there is no user 'x'"),
    (InvalidInput("a rate is REQUESTS/SECONDS"), 400, "a rate is REQUESTS/SECONDS"),
    (LinkEnded(), 400, "This link has been used or has expired. Ask for a new one."),
    (StorageUnavailable(detail="disk full"), 503, "Storage is unavailable"),
    (Overloaded(retry_after=7), 503, "Service is busy"),
    (Secret("hunter2"), 500, "Internal server error"),
]


@pytest.mark.parametrize(("error", "status", "message"), CASES, ids=lambda value: type(value).__name__)
async def test_a_failure_is_a_page_or_json(world: World, error: Exception, status: int, message: str) -> None:
    async with failing(world, error) as http:
        page, answer = await http.get("/dashboard/x", headers=PAGE), await http.get("/dashboard/x", headers=JSON)

    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert MESSAGES.get(message, message[0].upper() + message[1:]) in words(page)
    assert f"Status {status}" in words(page)
    assert "request-1" in words(page)
    assert (answer.status_code, answer.json()) == (status, {"error": message})
    for secret in ("hunter2", "disk full", "Secret"):
        assert secret not in page.text + answer.text


async def test_a_page_says_when_to_come_back_and_is_not_stored(world: World) -> None:
    async with failing(world, Overloaded(retry_after=7)) as http:
        page = await http.get("/dashboard/x", headers=PAGE)

    assert page.headers["retry-after"] == "7"
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_what_is_not_said_is_in_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    configure_log(level="info", style="json")
    async with failing(world, Secret("hunter2")) as http:
        await http.get("/dashboard/x", headers=PAGE)
    async with failing(world, StorageUnavailable(detail="disk full")) as http:
        await http.get("/dashboard/x", headers=PAGE)
    async with failing(world, LinkEnded()) as http:
        await http.get("/dashboard/x", headers=JSON)

    unhandled, storage = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (unhandled["event"], unhandled["error"]) == ("unhandled_error", "Secret")
    assert storage["detail"] == "disk full"


async def test_whoever_must_sign_in_is_led_there(world: World) -> None:
    async with failing(world, SignInNeeded("dashboard/sign-in")) as http:
        answer = await http.get("/dashboard/connections/x", headers=PAGE)

    assert (answer.status_code, answer.headers["location"]) == (303, "../../dashboard/sign-in")


async def test_an_answer_that_has_begun_is_not_begun_again(world: World) -> None:
    async def fail_late(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY].status = 200
        await PlainTextResponse("half")(scope, receive, send)
        raise NotFound

    async with serving(world, PageErrorMiddleware(fail_late)) as http:
        with pytest.raises(NotFound):
            await http.get("/dashboard/x", headers=PAGE)


async def test_a_caller_who_left_gets_nothing(world: World) -> None:
    async with failing(world, ClientDisconnect()) as http:
        with pytest.raises(AssertionError):  # the transport's, which waits for an answer
            await http.get("/dashboard/x", headers=PAGE)


@pytest.mark.parametrize(
    "path", ["/dashboard/nothing", "/dashboard/no thing/", "/docs/nothing", "/dashboard/static/x.css"]
)
async def test_every_unknown_page_says_the_same(world: World, path: str) -> None:
    page = await browser(world).get(path)

    assert page.status_code == 404
    assert "Not found There is no page at this address." in words(page)
    assert page.text.count("<h1") == 1
    assert (await world.http.get(path)).json() == {"error": "Not found"}


@pytest.mark.parametrize("path", ["/dashboard/<script>alert(1)</script>", "/dashboard/%3Cscript%3E", "/docs/x%0d%0ay"])
async def test_a_path_is_not_repeated(world: World, path: str) -> None:
    page = await browser(world).get(path)

    assert page.status_code == 404
    assert "<script>" not in page.text
    assert "alert(1)" not in page.text


async def test_a_foreign_form_is_told_so_with_403(world: World) -> None:
    page = await browser(world).post("/dashboard/sign-in", headers={**HEADERS, "Sec-Fetch-Site": "cross-site"})

    assert page.status_code == 403
    assert "This form was not sent from the gateway's own pages" in words(page)


async def test_the_page_keeps_the_visitors_navigation(world: World) -> None:
    await world.client_with_key()
    visitor = await signed_in(world, "acme")

    page = await visitor.get("/dashboard/nothing")

    assert "acme@example.com" in words(page)
    assert 'action="../dashboard/sign-out"' in page.text


async def test_while_the_database_is_locked_the_page_says_so(world: World) -> None:
    await world.client_with_key()
    visitor = await signed_in(world, "acme")
    with closing(sqlite3.connect(sqlite_of(world.services.store).path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        page = await visitor.get("/dashboard/settings/account")

    assert (page.status_code, page.headers["retry-after"]) == (503, "1")
    assert "Storage is unavailable" in words(page)
