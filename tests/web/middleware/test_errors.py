"""Every failure becomes one JSON answer, or ends an answer that has begun."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors
from gateway.telemetry.log import configure_log, write_line
from gateway.telemetry.metrics import Metrics
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.request_context import SCOPE_KEY, RequestContext
from tests.support import counters


@pytest.fixture(autouse=True)
def log() -> Iterator[io.BytesIO]:
    """What was logged; the log is afterwards as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    written = io.BytesIO()
    configure_log(level="info", style="json", stream=io.TextIOWrapper(written, encoding="utf-8"))
    yield written
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


async def nothing_to_receive() -> Message:
    pytest.fail("the body was read")


def raising(error: BaseException) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return app


async def answer_of(app: ASGIApp, *, method: str = "GET", path: str = "/") -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of a whole answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        # Starlette's router raises only inside of an application.
        "app": app,
        SCOPE_KEY: RequestContext("id"),
    }
    await app(scope, nothing_to_receive, send)
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    assert not body.get("more_body", False)
    headers = dict(start["headers"])
    assert len(headers) == len(start["headers"])
    return start["status"], headers, body["body"]


@pytest.mark.parametrize(
    ("error", "status", "body", "extra"),
    [
        (errors.BadRequest("Connection has no Airbyte mapping"), 400, "Connection has no Airbyte mapping", {}),
        (
            errors.Unauthorized(credentials_sent=False),
            401,
            "Unauthorized — invalid or missing API key",
            {b"www-authenticate": b'Bearer realm="gateway"'},
        ),
        (errors.ReadOnlyKey(), 403, "This API key is read-only", {}),
        (errors.ConnectionNotFound(), 404, "Connection not found", {}),
        (errors.MethodNotAllowed(frozenset({"POST"})), 405, "Method not allowed", {b"allow": b"POST"}),
        (errors.ContentTooLarge(), 413, "Request body is too large", {}),
        (errors.RateLimitExceeded("Slow", retry_after=7), 429, "Slow", {b"retry-after": b"7"}),
        (errors.UpstreamBusy(retry_after=3), 503, "Upstream service is busy", {b"retry-after": b"3"}),
        (errors.UpstreamTimeout(), 504, "Upstream service timed out", {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_failure_is_answered_as_json(
    error: errors.ApiError, status: int, body: str, extra: dict[bytes, bytes]
) -> None:
    content = json.dumps({"error": body}, ensure_ascii=False, separators=(",", ":")).encode()

    assert await answer_of(ErrorMiddleware(raising(error))) == (
        status,
        {
            b"content-type": b"application/json",
            b"content-length": b"%d" % len(content),
            b"cache-control": b"private, no-store",
            **extra,
        },
        content,
    )


async def test_the_answer_to_head_has_no_body_but_its_length() -> None:
    status, headers, body = await answer_of(ErrorMiddleware(raising(errors.NotFound())), method="HEAD")

    assert (status, headers[b"content-length"], body) == (404, b"21", b"")


async def test_a_bug_is_answered_without_a_word_of_it(log: io.BytesIO) -> None:
    status, _, body = await answer_of(ErrorMiddleware(raising(ZeroDivisionError("secret detail"))))

    assert (status, body) == (500, b'{"error":"Internal server error"}')
    (line,) = log.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["error"]) == ("unhandled_error", "error", "ZeroDivisionError")
    assert "ZeroDivisionError: secret detail" in event["exception"]


async def test_the_detail_of_a_failure_is_for_the_log_only(log: io.BytesIO) -> None:
    error = errors.UpstreamUnreachable(detail="connect to airbyte.internal refused")

    status, headers, body = await answer_of(ErrorMiddleware(raising(error)))

    assert status == 502
    assert b"airbyte.internal" not in body + repr(headers).encode()
    event = json.loads(log.getvalue())
    assert event["detail"] == "connect to airbyte.internal refused"
    assert event["status"] == 502


async def test_a_failure_without_detail_is_not_worth_a_line(log: io.BytesIO) -> None:
    await answer_of(ErrorMiddleware(raising(errors.NotFound())))

    assert log.getvalue() == b""


@pytest.mark.parametrize("error", [errors.NotFound(), ZeroDivisionError("late")])
async def test_after_an_answer_has_begun_a_failure_only_ends_it(error: Exception) -> None:
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[1,", "more_body": True})
        raise error

    stack = RequestLogMiddleware(
        ErrorMiddleware(app),
        request_log=RequestLog(new_id=lambda: "id", observer=Metrics(), failures=counters(), write_line=write_line),
    )
    with pytest.raises(type(error)):
        await stack({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing_to_receive, send)

    assert sent == ["http.response.start", "http.response.body"]


async def test_a_good_answer_passes_untouched() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    assert await answer_of(ErrorMiddleware(app)) == (201, {b"a": b"b"}, b"x")


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_no_request_is_not_answered(kind: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(errors.NotFound):
        await ErrorMiddleware(raising(errors.NotFound()))({"type": kind}, nothing_to_receive, send)

    assert sent == []


async def endpoint(request: Request) -> Response:
    return Response("found")


async def teapot(request: Request) -> Response:
    raise HTTPException(418)


ROUTES = [
    Mount("/api", app=Router([Route("/status", endpoint), Route("/sync", endpoint, methods=["POST"])])),
    Route("/", endpoint),
    Route("/teapot", teapot),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "allow"),
    [
        ("GET", "/nothing", 404, b'{"error":"Not found"}', None),
        ("GET", "/api/nothing", 404, b'{"error":"Not found"}', None),
        ("POST", "/api/status", 405, b'{"error":"Method not allowed"}', b"GET, HEAD"),
        ("GET", "/api/sync", 405, b'{"error":"Method not allowed"}', b"POST"),
        ("BREW", "/", 405, b'{"error":"Method not allowed"}', b"GET, HEAD"),
        ("GET", "/teapot", 400, b'{"error":"Bad request"}', None),
    ],
)
async def test_what_the_router_says_no_to_is_said_in_our_words(
    method: str, path: str, status: int, body: bytes, allow: bytes | None
) -> None:
    answered, headers, content = await answer_of(ErrorMiddleware(Router(ROUTES)), method=method, path=path)

    assert (answered, content, headers.get(b"allow")) == (status, body, allow)
    assert headers[b"content-type"] == b"application/json"


async def test_without_the_program_s_own_files_that_is_said_in_one_line(log: io.BytesIO) -> None:
    app = ErrorMiddleware(raising(ModuleNotFoundError("No module named '_argon2_cffi'")), is_installed=lambda: False)

    status, _, body = await answer_of(app)

    (line,) = [json.loads(each) for each in log.getvalue().splitlines()]
    assert (status, json.loads(body)) == (500, {"error": "Internal server error"})
    assert (line["event"], line["error"]) == ("program_files_missing", "ModuleNotFoundError")
    assert "exception" not in line
