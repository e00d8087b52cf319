"""The gateways that are measured: one by itself, clusters of one, two and four, and nginx in front of the four."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from bench.arena import GATEWAY
from bench.cluster.backends import Backends
from bench.load import Target, nginx
from bench.processes import Cores, free_port, running
from bench.serving import STATUS, Gateway, serving
from bench.upstream import Upstream, write_upstream
from bench.world import SETTINGS, World, build_world
from gateway.settings import load_settings
from gateway.settings.secret import SecretUrl
from gateway.store.postgres.server import move_to_server
from tests.cli.conftest import wait_until

SIZES = (1, 2, 4)
ALONE = "one process, SQLite, limits in memory"
PROXY = """
daemon off;
master_process off;
pid {folder}/front.pid;
error_log {folder}/front-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/front-body;
    proxy_temp_path {folder}/front-proxy;
    fastcgi_temp_path {folder}/front-fastcgi;
    uwsgi_temp_path {folder}/front-uwsgi;
    scgi_temp_path {folder}/front-scgi;
    upstream gateway {{
        zone gateway 128k;
        least_conn;
        {servers}
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://gateway;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Side:
    """Gateways that serve one database together, and the ports that the load aims at: theirs, or nginx's."""

    name: str
    gateways: Sequence[Gateway]
    ports: Sequence[int]
    settings: Sequence[Path]
    url: SecretUrl | None = None

    @property
    def pids(self) -> list[int]:
        return [gateway.process.pid for gateway in self.gateways]

    @property
    def logs(self) -> list[Path]:
        return [settings.with_name("gateway.log") for settings in self.settings]

    def log_sizes(self) -> list[int]:
        return [log.stat().st_size for log in self.logs]

    def counted_locally(self, since: Sequence[int]) -> bool:
        """Return whether a gateway has found Valkey unavailable since its log had this size."""
        for log, size in zip(self.logs, since, strict=True):
            with log.open("rb") as file:
                file.seek(size)
                if b"shared_backend_unavailable" in file.read():
                    return True
        return False

    def targets(self, path: str, key: str, paths: Path | None) -> list[Target]:
        return [Target(self.name, f"http://127.0.0.1:{port}{path}", key, paths=paths) for port in self.ports]


@dataclass(frozen=True)
class Arena:
    """Everything that is running."""

    folder: Path
    cores: Cores
    backends: Backends
    upstream: Upstream
    world: World
    sides: Sequence[Side]

    def jobs_path(self) -> str:
        return f"/api/v1/connections/{self.world.connection_ids[0]}/jobs"

    def jobs_paths(self) -> Path:
        """Write a file of the jobs of all connections."""
        file = self.folder / "paths.txt"
        file.write_text("".join(f"/api/v1/connections/{ours}/jobs\n" for ours in self.world.connection_ids))
        return file


@contextmanager
def open_arena(folder: Path, cores: Cores, backends: Backends) -> Iterator[Arena]:
    port, upstream_port = free_port(), free_port()
    world = build_world(folder / "alone", port=port, upstream_port=upstream_port)
    configuration = write_upstream(folder, upstream_port, world.airbyte_ids)
    with ExitStack() as stack:
        upstream_command = [nginx(), "-p", str(folder), "-c", str(configuration)]
        stack.enter_context(running(upstream_command, upstream_port, folder / "nginx.log"))
        alone = stack.enter_context(serving(GATEWAY, world.settings, port, cores.server))
        sides = [Side(ALONE, [alone], [port], [world.settings])]
        for number, size in enumerate(SIZES):
            url = copy_of(world, backends)
            valkey = f"{backends.valkey.url.removesuffix('/0')}/{number}"
            settings = [settings_file(folder, url, valkey, upstream_port) for _ in range(size)]
            sides.append(stack.enter_context(cluster(settings, url, cores)))
        front, largest = free_port(), sides[-1]
        stack.enter_context(running(_proxy(folder, front, largest.ports), front, folder / "front.log"))
        sides.append(replace(largest, name=f"the same {SIZES[-1]} behind nginx", ports=[front]))
        for side in sides:
            _warm_up(side, world)
        yield Arena(folder, cores, backends, Upstream(upstream_port), world, sides)


def copy_of(world: World, backends: Backends) -> SecretUrl:
    """Make a database of its own with the same rows."""
    url = backends.postgres.new_database()
    move_to_server((world.settings.parent / "gateway.db").resolve(), url, lambda _what, _done, _total: None)
    return url


def settings_file(folder: Path, url: SecretUrl, valkey: str, upstream_port: int) -> Path:
    """Write the settings of one gateway, on a port of its own."""
    settings = Path(tempfile.mkdtemp(dir=folder)) / "settings.toml"
    text = SETTINGS.format(port=free_port(), upstream_port=upstream_port).replace("sqlite:///gateway.db", url.reveal())
    settings.write_text(f'{text}backend = "{valkey}"\n')
    return settings


@contextmanager
def cluster(settings: Sequence[Path], url: SecretUrl, cores: Cores) -> Iterator[Side]:
    """Start gateways that know of each other and count together, on the servers' core."""
    size = len(settings)
    name = f"{size} gateway{'s' if size > 1 else ''}, PostgreSQL, Valkey"
    ports = [load_settings(file, {}).server.port for file in settings]
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(serving(GATEWAY, file, port, cores.server))
            for file, port in zip(settings, ports, strict=True)
        ]
        wait_until(lambda: all(_knows(gateway, size) for gateway in gateways))
        yield Side(name, gateways, ports, settings, url)


def _knows(gateway: Gateway, size: int) -> bool:
    state: dict[str, object] = httpx2.get(f"http://127.0.0.1:{gateway.port}/readyz", timeout=10).json()
    return {"gateways": size, "rate_limit": "shared"}.items() <= state.items()


def _warm_up(side: Side, world: World) -> None:
    for gateway in side.gateways:
        for path in (STATUS, f"/api/v1/connections/{world.connection_ids[0]}/jobs"):
            gateway.ask(world.key, path)


def _proxy(folder: Path, port: int, ports: Sequence[int]) -> list[str]:
    configuration = folder / "front.conf"
    servers = " ".join(f"server 127.0.0.1:{each};" for each in ports)
    configuration.write_text(PROXY.format(folder=folder, port=port, servers=servers))
    return [nginx(), "-p", str(folder), "-c", str(configuration)]
