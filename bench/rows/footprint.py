"""What the gateway takes before anybody has done anything: time to start, memory."""

import subprocess
import time
from pathlib import Path

from bench.arena import Arena
from bench.processes import free_port
from bench.report import read_process
from bench.scores import Line, at_most

IDLE_SECONDS = 1.0


def start(arena: Arena, rounds: int) -> list[Line]:
    port = free_port()
    world = arena.another_world(port)
    helps, starts = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(arena.command("--help"), check=True, stdout=subprocess.DEVNULL)
        helps.append(time.perf_counter() - began)
        starts.append(timed_start(arena, world.settings, port, world.key))
    return [
        Line("start", "gateway --help", helps, "s", at_most(0.25)),
        Line("start", "serve to first answer", starts, "s", at_most(0.8)),
    ]


def timed_start(arena: Arena, settings: Path, port: int, key: str) -> float:
    """Return the seconds from the command to the answer to a client."""
    arena.upstream  # noqa: B018 - not part of the time
    began = time.perf_counter()
    with arena.serving(settings, port) as gateway:
        gateway.ask(key)
        return time.perf_counter() - began


def memory(arena: Arena, rounds: int) -> list[Line]:
    """Measure after a first answer, and a second in which nothing happens."""
    port = free_port()
    world = arena.another_world(port)
    figures = []
    for _ in range(rounds):
        with arena.serving(world.settings, port) as gateway:
            gateway.ask(world.key)
            time.sleep(IDLE_SECONDS)
            figures.append(read_process(gateway.process.pid, 0).rss_mb)
    return [Line("memory", "RSS, idle", figures, "MB", at_most(55))]
