"""deploy/nginx.conf to the letter, but for the certificate, on its own ports in a network of its own.

A caller there has an address that is not this machine's loopback, so nothing can pass by mistake for the proxy's.
"""

import ctypes
import errno
import fcntl
import os
import socket
import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from gateway.deployment.nginx import Tls
from tests.faults.wire import Answer, answers_in, read_to_end, wait_for_listener
from tests.nginx.operated import Operated, operated
from tests.nginx.support import nginx_program, only, trusting, write_configuration
from tests.support import BOUND_SECONDS

DEPLOYED = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"
NAME = "gateway.example.com"
CALLER = "192.0.2.7"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP = 1
CLAIMS = [
    [f"X-Forwarded-For: {liar}", "X-Forwarded-Proto: http"] for liar in ("127.0.0.1", "10.9.8.7", "127.0.0.1, 10.9.8.7")
] + [
    ["X_Forwarded_For: 127.0.0.1", "X_Real_IP: 127.0.0.1"],
    ["X-Real-IP: 127.0.0.1", "X-Forwarded-Host: evil"],
    ['Forwarded: for=127.0.0.1;proto=http;host="evil"'],
    [],
]
EVERY_CLAIM = [claim for claims in CLAIMS for claim in claims]
PASSWORD = "orchard lantern gravel tide"


def enter_a_network_of_its_own() -> None:
    """For this thread and what it starts: only a loopback, which is also CALLER."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(CALLER))
        fcntl.ioctl(control, SIOCSIFADDR, address)


@contextmanager
def network() -> Iterator[ThreadPoolExecutor]:
    """A thread whose sockets and processes are in a network of its own."""
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(enter_a_network_of_its_own).result()
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOSYS, errno.EINVAL}:
                raise
            pytest.skip(f"NOT TESTED: addresses beyond loopback, for this account may make no network ({error})")
        yield thread


class Caller:
    """Speaks TLS to nginx from CALLER, within the network."""

    def __init__(self, network: ThreadPoolExecutor, tls: Tls) -> None:
        self._network = network
        self._tls = tls

    def ask(self, target: str, *headers: str, host: str = NAME, method: str = "GET", body: str = "") -> Answer:
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *length, *headers, "", body]
        return self._network.submit(self._exchange, "\r\n".join(lines).encode()).result()

    def _exchange(self, sent: bytes) -> Answer:
        with (
            socket.create_connection((CALLER, 443), BOUND_SECONDS, source_address=(CALLER, 0)) as connection,
            trusting(self._tls).wrap_socket(connection, server_hostname=NAME) as encrypted,
        ):
            encrypted.sendall(sent)
            return only(answers_in(read_to_end(encrypted)))


@contextmanager
def deployed_nginx(folder: Path, tls: Tls) -> Iterator[None]:
    configuration = write_configuration(folder, with_certificate(DEPLOYED.read_text(encoding="utf-8"), tls))
    with subprocess.Popen([nginx_program(), "-p", str(folder), "-c", str(configuration)]) as process:
        try:
            wait_for_listener((CALLER, 443))
            yield
        finally:
            process.terminate()


def with_certificate(text: str, tls: Tls) -> str:
    folder = f"/etc/letsencrypt/live/{NAME}"
    changed = text.replace(f"{folder}/fullchain.pem;", f"{tls.certificate};").replace(
        f"{folder}/privkey.pem;", f"{tls.key};"
    )
    assert changed.count(tls.certificate) == changed.count(tls.key) == 1
    return changed


@contextmanager
def caller_of(gateway: Operated, tls: Tls, folder: Path) -> Iterator[Caller]:
    """The gateway serves on 8080 and nginx is in front of it."""
    with network() as thread, ExitStack() as stack:

        def start() -> None:
            stack.enter_context(gateway.served(8080))
            stack.enter_context(deployed_nginx(folder, tls))

        thread.submit(start).result()
        yield Caller(thread, tls)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Operated:
    return operated(tmp_path_factory.mktemp("gateway"), NAME)


@pytest.fixture(scope="module")
def caller(gateway: Operated, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with caller_of(gateway, tls, tmp_path_factory.mktemp("nginx")) as running:
        yield running


def rows(gateway: Operated, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(gateway.cli.database)) as database:
        return database.execute(sql).fetchall()


@pytest.mark.parametrize("claims", CLAIMS, ids=" ".join)
def test_no_claim_makes_a_caller_local(caller: Caller, claims: list[str]) -> None:
    """Figures are for this machine only; whoever reads them passed for it."""
    answer = caller.ask("/metrics", *claims)

    assert (answer.status, answer.message) == (404, "Not found")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/status", 200),
        (f"https://{NAME}/api/v1/status", 200),
        ("/api/v1/status/", 404),
        ("//api/v1/status", 404),
        ("/api//v1/status", 404),
        ("/api/v1", 404),
        ("/api/v1/", 404),
        ("/api/v1/%2e%2e/v1/status", 404),
        ("/api/v1/connections/..%2fstatus/jobs", 404),
    ],
)
@pytest.mark.parametrize("claims", CLAIMS, ids=" ".join)
def test_the_api_leads_nowhere_else(
    caller: Caller, gateway: Operated, target: str, status: int, claims: list[str]
) -> None:
    answer = caller.ask(target, gateway.bearer, *claims)

    assert answer.status == status
    assert "location" not in answer.headers
    assert status == 200 or answer.message


@pytest.mark.parametrize("target", ["/api/v1/status", "https://evil/api/v1/status"])
def test_another_host_is_refused(caller: Caller, gateway: Operated, target: str) -> None:
    answer = caller.ask(target, gateway.bearer, "X-Forwarded-Host: gateway.example.com", host="evil")

    assert (answer.status, answer.message) == (421, "This host is not served here")


def test_documentation_tells_the_public_address(caller: Caller) -> None:
    page = caller.ask("/docs/getting-started", "X-Forwarded-Host: evil", "X-Forwarded-Proto: http").body.decode()

    assert f"https://{NAME}/api/v1" in page
    assert "//evil" not in page


def test_what_is_remembered_of_a_caller_is_where_he_came_from(tls: Tls, tmp_path: Path) -> None:
    gateway = operated(tmp_path, NAME)
    form = urlencode({"password": PASSWORD, "again": PASSWORD})
    kind = ["Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"]

    with caller_of(gateway, tls, tmp_path) as caller:
        used = caller.ask("/api/v1/status", gateway.bearer, *EVERY_CLAIM)
        signed_in = caller.ask(urlsplit(gateway.link).path, *kind, *EVERY_CLAIM, method="POST", body=form)

    assert (used.status, signed_in.status) == (200, 303)
    assert rows(gateway, "SELECT last_used_address FROM api_keys") == [(CALLER,)]
    assert rows(gateway, "SELECT DISTINCT address FROM activity WHERE address IS NOT NULL") == [(CALLER,)]
