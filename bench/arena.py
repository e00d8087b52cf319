"""The servers to measure, all running, and where to aim."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Target, nginx
from bench.processes import Cores, free_port, running, uvicorn_command
from bench.upstream import write_upstream
from bench.world import World, build_world

GATEWAY = (sys.executable, "-m", "gateway")


@dataclass(frozen=True)
class Arena:
    """A target for each thing that is measured."""

    bare: Target
    passthrough: Target
    status: Target
    jobs: Target
    unauthorized: Target
    limited: Target


@contextmanager
def open_arena(cores: Cores, *, gateway: Sequence[str] = GATEWAY) -> Iterator[Arena]:
    """Start everything; `gateway` is the command line up to `serve`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        port, upstream_port, bare_port, passthrough_port = (free_port() for _ in range(4))
        world = asyncio.run(build_world(folder, port=port, upstream_port=upstream_port))
        os.sched_setaffinity(0, cores.load)
        upstream = write_upstream(folder, upstream_port, world.airbyte_ids)
        airbyte = f"http://127.0.0.1:{upstream_port}/api/public/v1"
        stack.enter_context(
            running([nginx(), "-p", name, "-c", str(upstream)], upstream_port, folder / "nginx.log"),
        )
        with cores.for_server():
            stack.enter_context(
                running([*gateway, "serve", "--settings", str(world.settings)], port, folder / "gateway.log")
            )
            stack.enter_context(
                running(uvicorn_command("bench.reference_bare:app", bare_port), bare_port, folder / "bare.log")
            )
            stack.enter_context(
                running(
                    uvicorn_command("bench.reference_passthrough:app", passthrough_port),
                    passthrough_port,
                    folder / "passthrough.log",
                    {"AIRBYTE_URL": airbyte},
                )
            )
        yield _aim(folder, world, port, bare_port, passthrough_port)


def _aim(folder: Path, world: World, port: int, bare_port: int, passthrough_port: int) -> Arena:
    ours, theirs = folder / "ours.txt", folder / "theirs.txt"
    ours.write_text("".join(f"/api/v1/connections/{identifier}/jobs\n" for identifier in world.connection_ids))
    theirs.write_text("".join(f"/connections/{identifier}/jobs\n" for identifier in world.airbyte_ids))
    gateway = f"http://127.0.0.1:{port}"
    status = f"{gateway}/api/v1/status"
    return Arena(
        bare=Target("bare", f"http://127.0.0.1:{bare_port}/status", world.key),
        passthrough=Target("pass-through", f"http://127.0.0.1:{passthrough_port}", paths=theirs),
        status=Target("status", status, world.key),
        jobs=Target("jobs", gateway, world.key, paths=ours),
        unauthorized=Target("401", status, world.unknown_key, refused=True),
        limited=Target("429", status, world.exhausted_key, refused=True),
    )
