"""Links that set a password are in no log of nginx: however they are written, and whatever becomes of the request."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.auth import keys
from gateway.deployment.nginx import Tls
from tests.faults.wire import Running, read_to_end, request, send
from tests.nginx.support import Nginx, connect, converse, running_nginx, trusting
from tests.ports import free_port

CLOSE = "Connection: close"
SECRET = keys.mint_secret(Random(1).choice)
SPELLINGS = (
    f"/dashboard/link/{SECRET}",
    f"//dashboard//link/{SECRET}",
    f"/dashboard/./link/{SECRET}",
    f"/other/../dashboard/link/{SECRET}?next=/",
    f"/dashboard/lin%6b/{SECRET}",
    f"/dashboard/%6Cink%2f{SECRET}",
    f"/DASHBOARD/LINK/{SECRET}",
    f"/dashboard/link/{SECRET}/",
    f"/dashboard/{SECRET}",
    f"/?link={SECRET}",
    f"/dashboard/link/{SECRET[:20]}",
)


@pytest.fixture(scope="module")
def up(server: Running, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), server.address[1], tls=tls) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def down(tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Nothing listens where the gateway should."""
    port = free_port()
    with running_nginx(tmp_path_factory.mktemp("nginx"), port, tls=tls) as nginx:
        yield nginx


def ask(nginx: Nginx, tls: Tls, target: str, *headers: str, method: str = "GET") -> int:
    vector = request(target, *headers, CLOSE, method=method)
    return converse(connect(nginx, trusting(tls)), vector)[0].status


def ask_unencrypted(nginx: Nginx, port: int, target: str) -> None:
    with connect(Nginx(port, port, nginx.folder)) as connection:
        send(connection, request(target, CLOSE))
        assert read_to_end(connection)


def assert_in_no_log(nginx: Nginx) -> None:
    """Nor is a part of one, as a spelling cut short has."""
    logged = nginx.access_log + nginx.error_log
    assert "/ordinary" in nginx.access_log
    assert SECRET[:20] not in logged


@pytest.mark.parametrize("target", SPELLINGS)
def test_while_the_gateway_answers(up: Nginx, tls: Tls, target: str) -> None:
    ask(up, tls, target)
    ask(up, tls, target, method="POST")
    ask(up, tls, "/ordinary")

    assert_in_no_log(up)


@pytest.mark.parametrize("target", SPELLINGS[:-2] + SPELLINGS[-1:])
def test_while_the_gateway_is_down(down: Nginx, tls: Tls, target: str) -> None:
    assert ask(down, tls, target) == 502
    assert ask(down, tls, target, method="POST") == 502
    ask(down, tls, "/ordinary")

    assert_in_no_log(down)
    assert "Connection refused" in down.error_log, "of ordinary requests nginx tells"


@pytest.mark.parametrize("target", SPELLINGS)
def test_where_nothing_is_served_unencrypted(up: Nginx, tls: Tls, target: str) -> None:
    ask_unencrypted(up, up.plain_port, target)
    ask_unencrypted(up, up.port, target)
    ask(up, tls, "/ordinary")

    assert_in_no_log(up)


def test_as_where_a_visitor_comes_from(up: Nginx, tls: Tls) -> None:
    ask(up, tls, "/dashboard", f"Referer: https://gateway/dashboard/link/{SECRET}")
    ask(up, tls, "/ordinary")

    assert_in_no_log(up)


@pytest.mark.parametrize(
    "vector",
    [
        request(SPELLINGS[0], CLOSE).replace(b"Host: gateway", b"Host: evil"),
        request(SPELLINGS[0], "Content-Length: 1", "Content-Length: 2", method="POST"),
        request(SPELLINGS[0], "Transfer-Encoding: gzip", CLOSE, method="POST"),
        f"GET {SPELLINGS[0]} HTTP/9.9\r\n\r\n".encode(),
        f"GET {SPELLINGS[0]} x HTTP/1.1\r\nHost: gateway\r\n\r\n".encode(),
    ],
    ids=["another host", "two lengths", "an unknown coding", "an unknown version", "a broken line"],
)
def test_in_a_request_that_nginx_refuses(up: Nginx, tls: Tls, vector: bytes, tmp_path: Path) -> None:
    converse(connect(up, trusting(tls)), vector)
    ask(up, tls, "/ordinary")

    assert_in_no_log(up)
