"""The id of each request, and its one line."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.support import counters

KEY = b"smrt_abcdefghijklmnopqrstuvwxyzABCD1RmoFN"

Headers = list[tuple[bytes, bytes]]


Event = dict[str, Any]


class Lines(list[Event]):
    """What was logged."""

    def __call__(self, event: str, fields: dict[str, Any]) -> None:
        self.append({"event": event, **fields})

    @property
    def only(self) -> Event:
        (line,) = self
        return line


class Observer:
    """Remembers what it was told, but for the time."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self.clients: list[tuple[str, int]] = []
        self.forwarded_untrusted = 0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((method, route, status))

    def observe_client(self, client: str, status: int) -> None:
        self.clients.append((client, status))

    def count_forwarded_untrusted(self) -> None:
        self.forwarded_untrusted += 1


async def nothing_to_receive() -> Message:
    pytest.fail("the body was read")


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"x"})


def a_scope(path: str = "/", headers: Headers | None = None) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": headers or [],
    }


@pytest.fixture
def lines() -> Lines:
    return Lines()


async def sent_by(
    app: ASGIApp, scope: Scope, lines: Lines | None = None, observer: Observer | None = None
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = RequestLogMiddleware(
        app,
        request_log=RequestLog(
            new_id=lambda: "made-here",
            observer=observer or Observer(),
            failures=counters(),
            write_line=Lines() if lines is None else lines,
        ),
    )
    await middleware(scope, nothing_to_receive, send)
    return sent


async def test_an_answer_carries_the_id_made_for_its_request() -> None:
    sent = await sent_by(answering, a_scope())

    assert sent[0]["headers"] == [(b"a", b"b"), (b"x-request-id", b"made-here")]
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("client", "forwarded_for", "count"),
    [
        (("10.0.0.1", 40000), [], 0),
        (("10.0.0.1", 40000), [b""], 0),
        (("10.0.0.1", 40000), [b"203.0.113.9"], 1),
        (("10.0.0.1", 40000), [b"203.0.113.9", b"203.0.113.8, 192.0.2.1"], 1),
        (("203.0.113.9", 0), [b"203.0.113.9"], 0),
        (("203.0.113.9", 4711), [b"203.0.113.9:4711, 10.0.0.2"], 0),
        (("203.0.113.9", 0), [b"198.51.100.1", b"203.0.113.9"], 0),
        (("2001:db8::9", 0), [b"2001:db8::9"], 0),
        (None, [b"203.0.113.9"], 0),
    ],
)
async def test_a_caller_that_the_server_did_not_believe_is_counted_once(
    client: tuple[str, int] | None, forwarded_for: list[bytes], count: int
) -> None:
    """The server has put the address it believes into the scope."""
    observer = Observer()
    headers = [(b"host", b"gateway"), *((b"x-forwarded-for", value) for value in forwarded_for)]

    await sent_by(answering, {**a_scope(headers=headers), "client": client}, observer=observer)

    assert observer.forwarded_untrusted == count


async def test_an_id_is_taken_whatever_is_forwarded_around_it(lines: Lines) -> None:
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-request-id", b"first"), (b"x-request-id", b"second")]

    await sent_by(answering, a_scope(headers=headers), lines)

    assert lines.only["request_id"] == "first"


@pytest.mark.parametrize("inbound", [b"a", b"0af7651916cd43dd8448eb211c80319c", b"A-b_c.1", b"a" * 64])
async def test_a_safe_id_from_outside_is_taken(lines: Lines, inbound: bytes) -> None:
    sent = await sent_by(answering, a_scope(headers=[(b"x-request-id", inbound)]), lines)

    assert (b"x-request-id", inbound) in sent[0]["headers"]
    assert lines.only["request_id"] == inbound.decode()


@pytest.mark.parametrize(
    "inbound",
    [b"", b"a" * 65, b"a b", b'a"', b"a\r\nset-cookie: x", b"a\n", b"\xe9", b"a\x00", b"<a>", b"a;b", b"a/b", KEY],
)
async def test_an_unsafe_id_from_outside_is_replaced(lines: Lines, inbound: bytes) -> None:
    sent = await sent_by(answering, a_scope(headers=[(b"x-request-id", inbound)]), lines)

    assert (b"x-request-id", b"made-here") in sent[0]["headers"]
    assert lines.only["request_id"] == "made-here"


async def test_what_is_learnt_on_the_way_is_added_to_the_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[SCOPE_KEY]
        context.headers.append((b"ratelimit", b"r"))
        await answering(scope, receive, send)

    sent = await sent_by(app, a_scope())

    assert sent[0]["headers"] == [(b"a", b"b"), (b"x-request-id", b"made-here"), (b"ratelimit", b"r")]


async def test_two_requests_share_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY].headers.append((b"once", b"1"))
        await answering(scope, receive, send)

    for _ in range(2):
        sent = await sent_by(app, a_scope())
        assert [name for name, _ in sent[0]["headers"]] == [b"a", b"x-request-id", b"once"]


async def test_a_request_is_one_line_with_exactly_these_fields(lines: Lines) -> None:
    observer = Observer()
    await sent_by(answering, {**a_scope("/secret-path"), "client": ("192.0.2.7", 4000)}, lines, observer)

    event = lines.only
    assert event.pop("ms") >= 0
    assert event == {
        "event": "request",
        "request_id": "made-here",
        "method": "GET",
        "route": "unmatched",
        "status": 200,
        "address": "192.0.2.7",
    }
    assert observer.seen == [("GET", "unmatched", 200)]


async def test_the_line_names_client_key_and_upstream_where_they_are_known(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[SCOPE_KEY]
        context.client, context.key_id = "acme", "key_1"
        context.upstream_ms, context.upstream_outcome = 12.5, "timeout"
        await answering(scope, receive, send)

    await sent_by(app, a_scope(), lines)

    event = lines.only
    assert (event["client"], event["key"]) == ("acme", "key_1")
    assert (event["upstream_ms"], event["upstream"]) == (12.5, "timeout")


async def test_nothing_a_caller_sends_reaches_the_line_but_a_safe_id(lines: Lines) -> None:
    scope = a_scope(
        f"/{KEY.decode()}\nforged",
        [(b"authorization", b"Bearer " + KEY), (b"user-agent", KEY), (b"cookie", KEY), (b"x-request-id", KEY)],
    )
    scope["query_string"] = b"key=" + KEY

    await sent_by(answering, scope, lines)

    assert "smrt_" not in repr(lines.only)
    assert "forged" not in repr(lines.only)


async def endpoint(request: Request) -> Response:
    return Response("found")


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/healthz", "/healthz", 200),
        ("GET", "/docs/secret-page", "/docs/{page}", 200),
        ("POST", "/docs/secret-page", "/docs/{page}", 405),
        ("GET", "/nothing/secret-page", "unmatched", 404),
    ],
)
async def test_the_line_names_the_template_of_the_route_and_never_the_path(
    lines: Lines, method: str, path: str, route: str, status: int
) -> None:
    observer = Observer()
    router = Router([Route("/docs/{page}", endpoint), Route("/healthz", endpoint)])

    await sent_by(router, {**a_scope(path), "method": method}, lines, observer)

    assert (lines.only["route"], lines.only["status"]) == (route, status)
    assert observer.seen == [(method, route, status)]


async def test_the_line_names_the_template_that_the_api_found(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY].route = "/api/v1/connections/{id}/jobs"
        await answering(scope, receive, send)

    await sent_by(app, a_scope("/api/v1/connections/conn_1/jobs"), lines)

    assert lines.only["route"] == "/api/v1/connections/{id}/jobs"


async def test_a_caller_who_left_before_the_answer_is_logged_as_such(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    observer = Observer()
    with pytest.raises(asyncio.CancelledError):
        await sent_by(app, a_scope(), lines, observer)

    assert lines.only["status"] == 499
    assert observer.seen == [("GET", "unmatched", 499)]


async def test_an_answer_that_broke_off_is_logged_with_the_status_it_had(lines: Lines) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await sent_by(app, a_scope(), lines)

    assert lines.only["status"] == 200


async def test_what_is_no_request_gets_neither_id_nor_line(lines: Lines) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await sent_by(app, {"type": "lifespan"}, lines)

    assert seen == [{"type": "lifespan"}]
    assert lines == []
