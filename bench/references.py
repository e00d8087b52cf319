"""The programs that the gateway is compared with, and how each is started."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import nginx
from bench.processes import uvicorn_command

FOLDER = Path(__file__).parent
PYTHON = FOLDER.parent / ".venv" / "bench" / "bin" / "python"
"""Of the environment that `make bench` makes: what the references need must not get into the gateway's."""
NODE_MODULES = FOLDER / "fastify" / "node_modules"
PROXY = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $http_authorization zone=keys:10m rate=1000000000r/m;
    upstream airbyte {{
        server {upstream};
        keepalive 32;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location ~ ^/connections/(?<id>[0-9a-f-]+)/jobs$ {{
            limit_req zone=keys burst=1000 nodelay;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer token";
            proxy_pass http://airbyte/api/public/v1/jobs?connectionId=$id&orderBy=createdAt|DESC&limit=20&jobType=sync;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Reference:
    """`command` is told where to listen, a folder of its own and the upstream's host and port.

    One that `knows_clients` is told of their keys and connections, and asked for our ids instead of Airbyte's.
    """

    title: str
    command: Callable[[int, Path, str], list[str]]
    knows_clients: bool = False


def _python(app: str, python: Path | str = sys.executable) -> Callable[[int, Path, str], list[str]]:
    return lambda port, _folder, _upstream: [str(python), *uvicorn_command(app, port)[1:]]


def _node(program: str) -> Callable[[int, Path, str], list[str]]:
    return lambda port, _folder, _upstream: ["node", str(FOLDER / "fastify" / program), str(port)]


def _nginx(port: int, folder: Path, upstream: str) -> list[str]:
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(PROXY.format(folder=folder, port=port, upstream=upstream))
    return [nginx(), "-p", str(folder), "-c", str(configuration)]


REFERENCES = {
    "bare": Reference("bare Starlette", _python("bench.reference_bare:app")),
    "fastapi": Reference("FastAPI + slowapi", _python("bench.reference_fastapi:app", PYTHON)),
    "httpx": Reference("Starlette + httpx", _python("bench.reference_httpx:app", PYTHON)),
    "httpx2": Reference("Starlette + httpx2", _python("bench.reference_httpx2:app")),
    "mapped": Reference("Fastify + undici, mapped", _node("mapped.js"), knows_clients=True),
    "fastify": Reference("Fastify + undici, unread", _node("server.js")),
    "nginx": Reference("nginx limit_req", _nginx),
}
OF_THE_PROJECT = frozenset({"bare", "httpx2"})
"""These need nothing that the gateway does not."""


def is_ready() -> bool:
    """Return whether `make bench` has installed what all of them need."""
    return os.access(PYTHON, os.X_OK) and NODE_MODULES.is_dir()
