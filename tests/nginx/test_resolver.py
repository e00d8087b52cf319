"""Gateways whose addresses change, as containers' do: nginx asks for them again, and one that is gone costs nobody."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.cli.conftest import wait_until
from tests.faults.wire import Answer, request
from tests.nginx.dns import NameServer, name_server
from tests.nginx.support import Nginx, connect, converse, only, running_nginx
from tests.ports import free_port

NAME = "gateways.test"
ONE, TWO = "127.0.0.81", "127.0.0.82"


class Named(BaseHTTPRequestHandler):
    """Answers with the address it was asked at, after the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.connection.getsockname()[0]} {self.requestline.split()[1]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def gateway_at(host: str, port: int) -> Iterator[None]:
    with ThreadingHTTPServer((host, port), Named) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def nginx_asking(names: NameServer, folder: Path, port: int) -> Iterator[Nginx]:
    upstreams = [f"{NAME}:{port}"]

    def often(text: str) -> str:
        assert "valid=5s;" in text
        return text.replace("valid=5s;", "valid=1s;")

    with running_nginx(folder, 0, upstreams=upstreams, resolver=names.address, edit=often) as nginx:
        yield nginx


def get(nginx: Nginx, path: str = "/") -> Answer:
    return only(converse(connect(nginx), request(path, "Connection: close")))


def test_a_gateway_with_a_new_address_is_found(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack, name_server(ONE) as names, nginx_asking(names, tmp_path, port) as nginx:
        first = stack.enter_context(ExitStack())
        first.enter_context(gateway_at(ONE, port))
        assert get(nginx).body.startswith(ONE.encode())

        stack.enter_context(gateway_at(TWO, port))
        names.addresses = [TWO]
        first.close()

        wait_until(lambda: get(nginx).status == 200)
        assert get(nginx).body.startswith(TWO.encode())


def test_a_request_goes_to_another_gateway_when_one_is_gone(tmp_path: Path) -> None:
    port = free_port()
    with name_server(ONE, TWO) as names, nginx_asking(names, tmp_path, port) as nginx, gateway_at(TWO, port):
        answers = [get(nginx) for _ in range(20)]

    assert {answer.status for answer in answers} == {200}


def test_a_name_that_nobody_knows_yet_is_a_502_in_json(tmp_path: Path) -> None:
    port = free_port()
    with name_server() as names, nginx_asking(names, tmp_path, port) as nginx, gateway_at(ONE, port):
        before = get(nginx)
        names.addresses = [ONE]
        wait_until(lambda: get(nginx).status == 200)

    assert (before.status, before.message) == (502, "Upstream service unreachable")


def test_paths_arrive_as_they_were_sent(tmp_path: Path) -> None:
    port = free_port()
    with name_server(ONE) as names, nginx_asking(names, tmp_path, port) as nginx, gateway_at(ONE, port):
        for path in ("//a//b", "/a/%2e%2e/b?x=%0a", "/dashboard/link/x?y"):
            assert get(nginx, path).body == f"{ONE} {path}".encode()
