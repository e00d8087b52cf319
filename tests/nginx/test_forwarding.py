"""What nginx tells the gateway about a caller, whatever the caller says; and what comes back unchanged."""

from collections.abc import Iterator

import pytest
from starlette.types import Scope

from gateway.deployment.nginx import Tls
from tests.faults.wire import Recorder, Running, request
from tests.nginx.support import SERVER_NAME, Nginx, connect, converse, only, running_nginx, trusting

CLOSE = "Connection: close"
CALLER = "127.0.0.2"
"""Not the gateway's trusted proxy, which is 127.0.0.1."""
CLAIMS = (
    "X-Forwarded-For: 10.9.8.7",
    "X-Forwarded-For: 127.0.0.1",
    "X_Forwarded_For: 10.9.8.7",
    "X.Forwarded.For: 10.9.8.7",
    "X-Forwarded-Proto: http",
    "X_Forwarded_Proto: http",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 81",
    "X-Real-IP: 10.9.8.7",
    "X_Real_IP: 10.9.8.7",
    'Forwarded: for=10.9.8.7;proto=http;host="evil"',
    "Upgrade: websocket",
    "Keep-Alive: timeout=1000",
)
TOLD = {b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"}


@pytest.fixture(scope="module")
def nginx(server: Running, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), server.address[1], tls=tls) as running:
        yield running


def scope_of(nginx: Nginx, tls: Tls, recorder: Recorder, vector: bytes) -> Scope:
    recorder.scopes.clear()
    answer = only(converse(connect(nginx, trusting(tls), source=CALLER), vector))
    assert answer.status == 200
    (scope,) = recorder.scopes
    return scope


@pytest.mark.parametrize("claims", [(), CLAIMS], ids=["honest", "lying"])
def test_the_gateway_hears_nginxs_word_only(
    nginx: Nginx, tls: Tls, recorder: Recorder, claims: tuple[str, ...]
) -> None:
    scope = scope_of(nginx, tls, recorder, request("/first", CLOSE, *claims))

    headers = dict(scope["headers"])
    assert scope["client"] == (CALLER, 0)
    assert scope["scheme"] == "https"
    assert len(headers) == len(scope["headers"])
    assert headers.keys() == TOLD
    assert headers[b"host"] == SERVER_NAME.encode()
    assert headers[b"x-forwarded-for"] == CALLER.encode()
    assert headers[b"x-forwarded-proto"] == b"https"


def test_what_is_meant_for_the_gateway_gets_there(nginx: Nginx, tls: Tls, recorder: Recorder) -> None:
    """Among it the two headers by which the dashboard tells its own forms from another site's."""
    meant = {
        b"authorization": b"Bearer x",
        b"cookie": b"__Host-session=x",
        b"origin": f"https://{SERVER_NAME}".encode(),
        b"sec-fetch-site": b"same-origin",
        b"accept-language": b"de",
    }
    lines = [f"{name.decode()}: {value.decode()}" for name, value in meant.items()]

    headers = dict(scope_of(nginx, tls, recorder, request("/first", CLOSE, *lines))["headers"])

    assert {name: headers.get(name) for name in meant} == meant


@pytest.mark.parametrize(
    "target",
    ["//a//b", "/a/%2e%2e/b", "/a%2Fb", "/a/..;/b", "/a/../b", "/a/./b", "/a+b?c=%20&&d=//", "/_refused", "/%ff"],
)
def test_the_url_arrives_as_it_was_sent(nginx: Nginx, tls: Tls, recorder: Recorder, target: str) -> None:
    scope = scope_of(nginx, tls, recorder, request(target, CLOSE))

    assert (scope["raw_path"] + b"?" + scope["query_string"]).rstrip(b"?") == target.encode()


@pytest.mark.parametrize("host", ["GATEWAY", "gateway.", "gateway:443", f"{SERVER_NAME}:8443"])
def test_the_host_is_written_in_one_way(nginx: Nginx, tls: Tls, recorder: Recorder, host: str) -> None:
    vector = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    assert dict(scope_of(nginx, tls, recorder, vector)["headers"])[b"host"] == SERVER_NAME.encode()
