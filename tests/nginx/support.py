"""A real nginx with the very configuration that `gateway nginx-config` prints, on free ports of this machine.

Changed in it are only the addresses to listen on; what else a test needs otherwise, it changes by `edit`.
"""

import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.deployment.nginx import ACCESS_LOG, Tls, nginx_config
from gateway.settings import ServerSettings, load_settings
from tests.faults.wire import Address, Answer, answers_in, read_to_end, send, wait_for_listener
from tests.ports import free_ports
from tests.programs import required_program
from tests.support import BOUND_SECONDS

SERVER_NAME = "gateway"
LISTEN = re.compile(r"listen (80|443)\b")
LISTEN_IPV6 = re.compile(r" *listen \[::\].*\n")
WRAPPING = """\
daemon off;
# One process, which is whoever runs the tests: a worker of another account could not use the folder.
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {included};
}}
"""


@dataclass(frozen=True)
class Nginx:
    """Where it listens: `port` is the one that serves the gateway, `plain_port` the one that says `Use https`."""

    port: int
    plain_port: int
    folder: Path

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    @property
    def plain_address(self) -> Address:
        return "127.0.0.1", self.plain_port

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()

    @property
    def error_log(self) -> str:
        return (self.folder / "error.log").read_text()


def nginx_program() -> str:
    """Return the path of nginx."""
    return required_program("nginx")


def server_settings(port: int = 8080, **values: Any) -> ServerSettings:
    """The defaults, but for these."""
    defaults = load_settings(None, {}, working_directory=Path("/")).server
    return msgspec.structs.replace(defaults, port=port, **values)


def write_configuration(folder: Path, text: str) -> Path:
    """A whole configuration around what belongs inside `http {}`."""
    included = folder / "gateway.conf"
    included.write_text(text.replace(ACCESS_LOG, str(folder / "access.log")))
    configuration = folder / "nginx.conf"
    configuration.write_text(WRAPPING.format(folder=folder, included=included))
    return configuration


def complaints_about(folder: Path, text: str) -> str:
    """What `nginx -t` says, warnings included; empty if it is content."""
    configuration = write_configuration(folder, text)
    result = subprocess.run(
        [nginx_program(), "-t", "-q", "-p", str(folder), "-c", str(configuration)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_SECONDS,
    )
    assert result.returncode == 0 or result.stderr
    return result.stderr


@contextmanager
def running_nginx(
    folder: Path,
    gateway_port: int,
    *,
    tls: Tls | None = None,
    server_name: str = SERVER_NAME,
    upstreams: Sequence[str] = (),
    resolver: str = "",
    edit: Callable[[str], str] = str,
) -> Iterator[Nginx]:
    """Nginx in front of the gateway at `gateway_port`, or of those at `upstreams`; `folder` is its own and exists."""
    program = nginx_program()
    plain_port, tls_port = free_ports(2)
    text = edit(nginx_config(server_settings(gateway_port), server_name, tls, upstreams, resolver=resolver))
    configuration = write_configuration(folder, listening_on(text, plain_port, tls_port))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.DEVNULL)
    nginx = Nginx(tls_port if tls else plain_port, plain_port, folder)
    try:
        wait_for_listener(nginx.address)
        yield nginx
    finally:
        process.terminate()
        process.wait(BOUND_SECONDS)


def listening_on(text: str, plain_port: int, tls_port: int) -> str:
    ports = {"80": plain_port, "443": tls_port}
    return LISTEN.sub(lambda match: f"listen 127.0.0.1:{ports[match[1]]}", LISTEN_IPV6.sub("", text))


def self_signed(folder: Path, *names: str) -> Tls:
    """A certificate for the names and its key, in `folder`."""
    files = Tls(str(folder / f"{names[0]}.pem"), str(folder / f"{names[0]}.key"))
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    command = [required_program("openssl"), "req", "-x509", *kind, *subject]
    command += ["-out", files.certificate, "-keyout", files.key]
    subprocess.run(command, check=True, capture_output=True, timeout=BOUND_SECONDS)
    return files


def trusting(tls: Tls) -> ssl.SSLContext:
    """Trusts the one certificate."""
    return ssl.create_default_context(cafile=tls.certificate)


def connect(nginx: Nginx, context: ssl.SSLContext | None = None, *, source: str = "127.0.0.1") -> socket.socket:
    """To where the gateway is served; with TLS under its name if there is a context."""
    connection = socket.create_connection(nginx.address, BOUND_SECONDS, source_address=(source, 0))
    return context.wrap_socket(connection, server_hostname=SERVER_NAME) if context else connection


def converse(connection: socket.socket, *pieces: bytes) -> list[Answer]:
    """Send the pieces, read until nginx closes."""
    with connection:
        for piece in pieces:
            send(connection, piece)
        return answers_in(read_to_end(connection))


def only(answers: list[Answer]) -> Answer:
    (answer,) = answers
    return answer
