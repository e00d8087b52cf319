"""Everything that nginx refuses by itself, over TLS and without: JSON, in the gateway's words."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import MAX_BODY_BYTES
from gateway.auth.keys import PREFIX
from gateway.deployment.nginx import NGINX_OWN, OURS, Tls
from gateway.errors import (
    BadRequest,
    ContentTooLarge,
    HeadersTooLarge,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    UpstreamTimeout,
    UriTooLong,
)
from gateway.web.compatible_paths import form_of
from gateway.web.responses import error_content
from gateway.web.server.request_head import MAX_HEADER_BYTES, MAX_TARGET_BYTES, told_path
from tests.faults.wire import Answer, Recorder, Running, request
from tests.nginx.support import Nginx, connect, converse, only, running_nginx, trusting

CLOSE = "Connection: close"
BEYOND_NGINX = "x" * 24 * 1024
CHUNKED = "Transfer-Encoding: chunked"
CHUNK = b"1000\r\n" + b"x" * 4096 + b"\r\n"
TOO_LONG = f"Content-Length: {MAX_BODY_BYTES + 1}"


def of_host(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


CASES: dict[str, tuple[bytes, int, str]] = {
    "no request": (b"what?\r\n\r\n", 400, BadRequest.message),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, BadRequest.message),
    "a path out of the root": (request("/../x", CLOSE), 400, BadRequest.message),
    "two lengths": (request("/", "Content-Length: 1", "Content-Length: 2", method="POST"), 400, BadRequest.message),
    "a path that is nginx's own": (request("/_refused/413", CLOSE), 404, NotFound.message),
    "TRACE": (request("/", CLOSE, method="TRACE"), 405, MethodNotAllowed.message),
    "CONNECT": (request("/", CLOSE, method="CONNECT"), 405, MethodNotAllowed.message),
    "a large body": (
        request("/", TOO_LONG, CLOSE, method="POST", body=b"x" * (MAX_BODY_BYTES + 1)),
        413,
        ContentTooLarge.message,
    ),
    "a large body in chunks": (
        request("/", CHUNKED, CLOSE, method="POST", body=CHUNK * 17 + b"0\r\n\r\n"),
        413,
        ContentTooLarge.message,
    ),
    "a long URL": (request(f"/{BEYOND_NGINX}"), 414, UriTooLong.message),
    "another host": (of_host("evil"), 421, NGINX_OWN[421]),
    "an address for a host": (of_host("127.0.0.1"), 421, NGINX_OWN[421]),
    "no host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 421, NGINX_OWN[421]),
    "a long header": (request("/", f"X: {BEYOND_NGINX}"), 431, HeadersTooLarge.message),
    "many headers": (request("/", *[f"X-{n}: {'x' * 10000}" for n in range(12)]), 431, HeadersTooLarge.message),
    "an unknown coding": (request("/", "Transfer-Encoding: gzip", CLOSE, method="POST"), 501, NGINX_OWN[501]),
    "an unknown version": (b"GET / HTTP/3.0\r\nHost: gateway\r\n\r\n", 505, NGINX_OWN[505]),
}
STATUSES = {**{error.status: error.message for error in OURS}, **NGINX_OWN, 504: UpstreamTimeout.message}
UNHEARD = {408, 431, 495, 496, 497}
"""Nobody's status to `return`: nginx closes without a word, or has other numbers for them."""


def with_pages_of_all_statuses(text: str) -> str:
    """As an operator's own `deny`, `limit_conn` or `return` would lead there."""
    pages = "".join(f"    location = /status/{status} {{ return {status}; }}\n" for status in STATUSES)
    return text.replace("    location ~*", f"{pages}    location ~*")


@pytest.fixture(scope="module")
def plain(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    with running_nginx(folder, server.address[1], edit=with_pages_of_all_statuses) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def compatible(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    def edit(text: str) -> str:
        return with_pages_of_all_statuses(text).replace("/status/", "/api/public/v1/status/")

    with running_nginx(tmp_path_factory.mktemp("nginx"), server.address[1], edit=edit) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def encrypted(server: Running, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), server.address[1], tls=tls) as nginx:
        yield nginx


def assert_refused(answer: Answer, status: int, message: str) -> None:
    assert (answer.status, answer.message) == (status, message)
    assert answer.headers["server"] == "nginx"
    assert "location" not in answer.headers
    assert answer.headers.get("retry-after") == ("2" if status in {502, 503} else None)
    assert answer.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("vector", "status", "message"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_a_request(
    plain: Nginx,
    encrypted: Nginx,
    tls: Tls,
    recorder: Recorder,
    is_encrypted: bool,
    vector: bytes,
    status: int,
    message: str,
) -> None:
    recorder.seen.clear()
    connection = connect(encrypted, trusting(tls)) if is_encrypted else connect(plain)

    answer = only(converse(connection, vector))

    assert_refused(answer, status, message)
    assert recorder.seen == []


@pytest.mark.parametrize("status", sorted(STATUSES.keys() - UNHEARD))
def test_every_status_has_its_words(plain: Nginx, status: int) -> None:
    answer = only(converse(connect(plain), request(f"/status/{status}", CLOSE)))

    assert_refused(answer, status, STATUSES[status])


def test_a_post_that_is_given_up_may_have_done_its_work(plain: Nginx) -> None:
    vector = request("/status/504", CLOSE, "Content-Length: 0", method="POST")

    assert_refused(only(converse(connect(plain), vector)), 504, OutcomeUnknown.message)


@pytest.mark.parametrize(
    ("method", "path", "is_problem"),
    [
        ("GET", "/api/public/v1", True),
        ("DELETE", "/api/public/v1/jobs/1?a=b", True),
        ("GET", "/applications/token/", True),
        ("GET", "/api/v1/health", True),
        ("POST", "/api/v1/connections/get/?a", True),
        ("POST", "/api/v1/web_backend/connections/get", True),
        ("GET", "/api/v1/connections/get", False),
        ("POST", "/api/v1/connections/conn_1/sync", False),
        ("POST", "/api/v1/keys/revoke", False),
        ("GET", "/api/public/v1x", False),
        ("GET", "/docs/api", False),
        ("GET", "http://gateway/api/public/v1/jobs", True),
        ("POST", "HTTP://gateway:80/api/v1/jobs/get", True),
        ("POST", "http://gateway/api/v1/keys/revoke", False),
    ],
)
def test_programs_written_for_airbyte_are_refused_in_its_shape(
    plain: Nginx, method: str, path: str, is_problem: bool
) -> None:
    assert (form_of(method, told_path(path.encode())) == "problem") is is_problem
    body = b"x" * (MAX_BODY_BYTES + 1)

    answer = only(converse(connect(plain), request(path, TOO_LONG, CLOSE, method=method, body=body)))

    expected = error_content(413, ContentTooLarge.message, "problem" if is_problem else "own")
    assert (answer.status, json.loads(answer.body)) == (413, expected)


@pytest.mark.parametrize("status", sorted(STATUSES.keys() - UNHEARD))
def test_every_status_is_a_problem_to_them(compatible: Nginx, status: int) -> None:
    answer = only(converse(connect(compatible), request(f"/api/public/v1/status/{status}", CLOSE)))

    assert json.loads(answer.body) == error_content(status, STATUSES[status], "problem")


def test_a_refusal_has_no_body_for_head(plain: Nginx) -> None:
    with connect(plain) as connection:
        connection.sendall(request("/status/404", CLOSE, method="HEAD"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"Content-Type: application/json" in head
    assert body == b""


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("nightly-42.a_b", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ('a","b":"', False),
        (f"{PREFIX}AbCdEf", False),
        (f"x{PREFIX}AbCdEf", False),
    ],
)
def test_the_request_id_is_the_callers_own_if_the_gateway_would_take_it(
    plain: Nginx, recorder: Recorder, sent: str, is_kept: bool
) -> None:
    recorder.scopes.clear()
    id_header = f"X-Request-Id: {sent}"

    refused = only(converse(connect(plain), request("/status/404", CLOSE, id_header)))
    only(converse(connect(plain), request("/", CLOSE, id_header)))

    (passed_on,) = [value for name, value in recorder.scopes[0]["headers"] if name == b"x-request-id"]
    assert refused.message
    assert (refused.headers["x-request-id"] == sent) is is_kept
    assert (passed_on == sent.encode()) is is_kept


@pytest.mark.parametrize(
    ("vector", "status", "message"),
    [
        (request("/" + "x" * MAX_TARGET_BYTES, CLOSE), 414, UriTooLong.message),
        (request("/", "X: " + "x" * MAX_HEADER_BYTES, CLOSE), 431, HeadersTooLarge.message),
    ],
    ids=["URL", "headers"],
)
def test_just_beyond_its_limits_it_is_the_gateway_that_refuses(
    plain: Nginx, vector: bytes, status: int, message: str
) -> None:
    answer = only(converse(connect(plain), vector))

    assert_refused(answer, status, message)
    assert len(answer.headers["x-request-id"]) == 16  # nginx's have 32


@pytest.mark.parametrize(
    "vector",
    [
        request("/" + "x" * (MAX_TARGET_BYTES - 1), CLOSE),
        request("/", "X: " + "x" * (MAX_HEADER_BYTES - 1024), CLOSE),
        request("/", f"Content-Length: {MAX_BODY_BYTES}", CLOSE, method="POST", body=b"x" * MAX_BODY_BYTES),
        request("/", CHUNKED, CLOSE, method="POST", body=CHUNK * 16 + b"0\r\n\r\n"),
    ],
    ids=["URL", "header", "body", "body in chunks"],
)
def test_what_the_gateway_takes_nginx_lets_through_and_writes_nowhere(plain: Nginx, vector: bytes) -> None:
    assert only(converse(connect(plain), vector)).status == 200

    assert "temporary file" not in plain.error_log


def test_a_slow_body_ends_without_a_word_and_never_reaches_the_gateway(
    server: Running, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.seen.clear()
    with running_nginx(
        tmp_path, server.address[1], edit=lambda text: text.replace("client_body_timeout 10s", "client_body_timeout 1s")
    ) as nginx:
        answers = converse(connect(nginx), request("/", "Content-Length: 5", method="POST", body=b"ab"))

    assert answers == []
    assert recorder.seen == []
