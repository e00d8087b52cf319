"""The servers to measure, each started when it is first asked for, and where to aim."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from bench.load import Target, nginx
from bench.processes import Cores, free_port, running
from bench.references import REFERENCES
from bench.serving import Gateway, serving
from bench.upstream import Upstream, write_upstream
from bench.world import World, build_large_world, build_world
from gateway.auth import keys

GATEWAY = (sys.executable, "-m", "gateway")


class Arena:
    """What rows measure. All of it ends with the arena."""

    def __init__(
        self, folder: Path, cores: Cores, stack: ExitStack, *, offered: Collection[str], gateway: Sequence[str]
    ) -> None:
        self.offered = offered
        self._folder = folder
        self._cores = cores
        self._stack = stack
        self._command = gateway
        self._port, self._upstream_port = free_port(), free_port()
        self._references: dict[str, str] = {}

    @cached_property
    def world(self) -> World:
        folder = self._folder / "small"
        return build_world(folder, port=self._port, upstream_port=self._upstream_port)

    @cached_property
    def upstream(self) -> Upstream:
        configuration = write_upstream(self._folder, self._upstream_port, self.world.airbyte_ids)
        command = [nginx(), "-p", str(self._folder), "-c", str(configuration)]
        self._stack.enter_context(running(command, self._upstream_port, self._folder / "nginx.log"))
        return Upstream(self._upstream_port)

    @cached_property
    def gateway(self) -> Gateway:
        """Return the gateway of the small database. Every key has called once.

        The exhausted one is exhausted so. The row of bad keys makes the gateway wary of this address, but not of keys
        it has seen.
        """
        gateway = self._stack.enter_context(self.serving(self.world.settings, self._port))
        for key in self.world.good_keys:
            gateway.ask(key)
        return gateway

    def serving(self, settings: Path, port: int) -> AbstractContextManager[Gateway]:
        """Start a gateway on the server's core, its upstream there before it."""
        self.upstream  # noqa: B018 - to start it
        return serving(self._command, settings, port, self._cores.server)

    def another_world(self, port: int) -> World:
        """Make a small database that no gateway serves yet."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        return build_world(folder, port=port, upstream_port=self._upstream_port)

    def large_world(self, port: int) -> Path:
        """Return the settings of a large database that no gateway serves yet."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        return build_large_world(folder, port=port, upstream_port=self._upstream_port)

    def command(self, *arguments: str) -> list[str]:
        return [*self._command, *arguments]

    def jobs_paths(self) -> list[str]:
        """Return the paths of jobs, each of another connection."""
        return [f"/api/v1/connections/{ours}/jobs" for ours in self.world.connection_ids]

    def upstream_paths(self) -> list[str]:
        """Return what the gateway asks the upstream for these."""
        query = "orderBy=createdAt%7CDESC&limit=21&offset=0&jobType=sync"
        return [f"/api/public/v1/jobs?connectionId={theirs}&{query}" for theirs in self.world.airbyte_ids]

    def jobs(self) -> Target:
        """Return a load of which each request is for another connection."""
        return self._each_of(self.gateway.target("", self.world.key), self.jobs_paths())

    def jobs_of_one(self) -> Target:
        return self.gateway.target(self.jobs_paths()[0], self.world.key)

    def status_of(self, reference: str) -> Target:
        return self._reference(reference, "/status")

    def jobs_of(self, reference: str) -> Target:
        ids = self.world.connection_ids if REFERENCES[reference].knows_clients else self.world.airbyte_ids
        return self._each_of(self._reference(reference, ""), [f"/connections/{each}/jobs" for each in ids])

    def jobs_of_one_of(self, reference: str) -> Target:
        return self._reference(reference, f"/connections/{self.world.airbyte_ids[0]}/jobs")

    def _each_of(self, target: Target, paths: Iterable[str]) -> Target:
        handle, name = tempfile.mkstemp(dir=self._folder, text=True)
        with os.fdopen(handle, "w") as file:
            file.writelines(f"{path}\n" for path in paths)
        return Target(target.name, target.url, target.key, paths=Path(name))

    @cached_property
    def _clients_file(self) -> Path:
        """Return a file of clients by the SHA-256 of their key, as far as references need to know them."""
        connections = dict(zip(self.world.connection_ids, self.world.airbyte_ids, strict=True))
        clients = {keys.digest(self.world.key).hex(): {"keyId": "key_1", "connections": connections}}
        file = self._folder / "clients.json"
        file.write_text(json.dumps(clients))
        return file

    def _reference(self, name: str, path: str) -> Target:
        reference = REFERENCES[name]
        if name not in self._references:
            port = free_port()
            command = reference.command(port, self._folder / name, self.upstream.host)
            log = self._folder / f"{name}.log"
            environment = {
                "AIRBYTE_URL": f"{self.upstream.address}/api/public/v1",
                "CLIENTS_FILE": str(self._clients_file),
            }
            self._stack.enter_context(running(command, port, log, environment, core=self._cores.server))
            self._references[name] = f"http://127.0.0.1:{port}"
        return Target(reference.title, self._references[name] + path, self.world.key)


@contextmanager
def open_arena(
    cores: Cores, *, offered: Collection[str] = frozenset(REFERENCES), gateway: Sequence[str] = GATEWAY
) -> Iterator[Arena]:
    """Open everything. `offered`: names of references to compare with; `gateway`: the command line up to `serve`."""
    # What was started must not outlive who started it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        os.sched_setaffinity(0, cores.load)
        yield Arena(Path(name), cores, stack, offered=offered, gateway=gateway)
