"""What an overload is aimed at: servers on a core of their own, and the requests for them."""

import asyncio
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from starlette.types import Receive, Scope, Send

from bench.costly import KEY, answer_lifespan
from bench.faulty import serving
from bench.load import nginx
from bench.processes import Cores, free_port, running
from bench.upstream import jobs_page, write_upstream
from bench.wire import request_for
from bench.world import World, build_world
from gateway.web.responses import JSONAnswer

LIST = "/api/v1/connections"
AIRBYTE_SECONDS = 0.05
AIRBYTE_THREADS = 5
PLACES = 4
"""The gateway's default, of which reads may take three."""


@dataclass(frozen=True)
class Arena:
    """A server that listens on `port`, its process, and requests to send in turn."""

    port: int
    pid: int
    requests: list[bytes]
    path: str = LIST
    key: str = ""


@contextmanager
def costly_arena(cores: Cores, *, milliseconds_each: float) -> Iterator[Arena]:
    """Serve a stand-in of known cost behind the gateway's server."""
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        port = free_port()
        os.sched_setaffinity(0, cores.load)
        command = [
            *(sys.executable, "-m", "bench.costly"),
            *("--port", str(port), "--milliseconds", str(milliseconds_each)),
        ]
        with running(command, port, Path(name) / "costly.log", core=cores.server) as process:
            yield Arena(port, process.pid, [request_for(LIST, KEY)], key=KEY)


@contextmanager
def list_arena(cores: Cores) -> Iterator[Arena]:
    """Serve a gateway whose client has a thousand connections, in front of an Airbyte that costs nothing."""
    with tempfile.TemporaryDirectory(prefix="overload-") as name, ExitStack() as stack:
        folder, port, upstream_port = Path(name), free_port(), free_port()
        world = build_world(folder, port=port, upstream_port=upstream_port)
        os.sched_setaffinity(0, cores.load)
        upstream = write_upstream(folder, upstream_port, world.airbyte_ids)
        stack.enter_context(running([nginx(), "-p", name, "-c", str(upstream)], upstream_port, folder / "nginx.log"))
        pid = stack.enter_context(_gateway(world, port, cores))
        yield Arena(port, pid, [request_for(LIST, world.key)], key=world.key)


@contextmanager
def airbyte_arena(cores: Cores) -> Iterator[Arena]:
    """Serve a gateway with its own cap on calls to an Airbyte that takes its time; lists of three clients' jobs."""
    os.sched_setaffinity(0, cores.load)
    with tempfile.TemporaryDirectory(prefix="overload-") as name, serving(SlowAirbyte()) as address:
        folder, port = Path(name), free_port()
        world = build_world(folder, port=port, upstream_port=int(address.rpartition(":")[2]))
        world.settings.write_text(world.settings.read_text().replace("max_in_flight = 64", f"max_in_flight = {PLACES}"))
        with _gateway(world, port, cores) as pid:
            requests = [
                request_for(f"{LIST}/{connection_id}/jobs", key)
                for key in (world.key, world.key_of_many, world.key_of_some)
                for connection_id in _connection_ids(port, key)
            ]
            Random(1).shuffle(requests)  # noqa: S311 - the same order each time
            yield Arena(port, pid, requests)


@contextmanager
def _gateway(world: World, port: int, cores: Cores) -> Iterator[int]:
    command = [sys.executable, "-m", "gateway", "serve", "--settings", str(world.settings)]
    with running(command, port, world.settings.with_name("gateway.log"), core=cores.server) as process:
        yield process.pid


def _connection_ids(port: int, key: str) -> list[str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{LIST}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        return [row["id"] for row in json.load(answer)["data"]]


class SlowAirbyte:
    """Five threads, as Airbyte has for its API; each call holds one for a while."""

    def __init__(self) -> None:
        self._threads = asyncio.Semaphore(AIRBYTE_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        if scope["path"].endswith("/applications/token"):
            content = {"access_token": "token", "token_type": "Bearer", "expires_in": 86400}
        else:
            async with self._threads:
                await asyncio.sleep(AIRBYTE_SECONDS)
            query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
            asked = query.get("connectionId")
            content = json.loads(jobs_page(asked, first_job=1)) if asked else {"previous": "", "next": "", "data": []}
        await JSONAnswer(content)(scope, receive, send)
