"""How late events reach webhooks while others hang: `python -m bench.webhooks`. Of 1,000 webhooks 100 never answer.

Two scenes: each of 100 clients has one that hangs, or ten clients have ten each. Syncs of all clients end all the time,
each of which is two events for each webhook of its client. The delay is from a sync's end in Airbyte to the receiver: a
second until the gateway asks Airbyte is in it. Exit status 1 when a promise is broken.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from bench.faulty import SETTINGS, serving
from bench.processes import Cores, free_port, running
from bench.report import percentile, print_table, verdict
from gateway.sandbox import Sandbox
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import SystemClock

CLIENTS, WEBHOOKS_EACH = 100, 10
JOBS_PER_SECOND = 4
SECONDS = 60.0
PATIENCE_SECONDS = 60.0
LONGEST_P99 = 5.0
ALLOWED = """
[webhooks]
allowed_networks = ["127.0.0.0/8"]
allow_http = true
"""
Hangs = Callable[[int, int], bool]
"""Whether the webhook of that number, of the client of that number, never answers."""
SCENES: dict[str, Hangs] = {
    "one of each client": lambda _client, webhook: webhook == 0,
    "all of ten clients": lambda client, _webhook: client < CLIENTS // 10,
}


@dataclass
class Receivers:
    """All receivers behind one port: the path names the webhook. `came` has when each event came first, by both."""

    port: int = 0
    came: dict[tuple[str, str, int], float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, wanted: Mapping[tuple[str, str, int], float]) -> None:
        """Wait until all of them have come."""
        while not wanted.keys() <= self.came.keys():
            self.changed.clear()
            await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ")[1]
            length = next(line.partition(":")[2] for line in head.lower().split("\r\n") if "content-length" in line)
            event = orjson.loads(await reader.readexactly(int(length)))
            self.came.setdefault((path, event["type"], event["data"]["jobId"]), time.monotonic())
            self.changed.set()
            if path.endswith("/hangs"):
                await self.over.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receivers]:
    receivers = Receivers()
    server = await asyncio.start_server(receivers.serve, "127.0.0.1", 0, backlog=1024)
    receivers.port = server.sockets[0].getsockname()[1]
    try:
        yield receivers
    finally:
        receivers.over.set()
        server.close()


async def prepare(settings: Path, sandbox: Sandbox, port: int, hangs: Hangs) -> list[str]:
    """Make clients, a connection each, and their webhooks; return Airbyte's id of each client's connection."""
    loaded = load_settings(settings, {})
    await create_database(loaded.database_path)
    services = build_services(loaded, SystemClock())
    workspace = sandbox.world.add_workspace("Bench").workspace_id
    theirs = [sandbox.world.add_connection(workspace).connection_id for _ in range(CLIENTS)]
    async with services.opened():
        for client, airbyte_id in enumerate(theirs):
            slug = f"client-{client}"
            await services.clients.add(slug=slug, name=slug, plan="free")
            await services.connections.add(slug, connector_type="shopify", label="Shop", airbyte_id=airbyte_id)
            for webhook in range(WEBHOOKS_EACH):
                word = "hangs" if hangs(client, webhook) else "answers"
                url = f"http://127.0.0.1:{port}/{client}/{webhook}/{word}"
                await services.webhooks.endpoints.add(slug, url=url)
    return theirs


async def until_watched(database: Path) -> None:
    """Wait until the gateway has looked at each connection once: before that nothing is an event."""
    with closing(sqlite3.connect(database)) as connection:
        while connection.execute("SELECT 1 FROM connections WHERE watched_since IS NULL LIMIT 1").fetchone():  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.1)


async def end_syncs(sandbox: Sandbox, theirs: list[str], seconds: float) -> dict[int, tuple[int, float]]:
    """Have syncs begin and end, client by client; return each job's client and moment."""
    ended: dict[int, tuple[int, float]] = {}
    began = time.monotonic()
    for number in range(int(seconds * JOBS_PER_SECOND)):
        await asyncio.sleep(began + number / JOBS_PER_SECOND - time.monotonic())
        client = number % CLIENTS
        job = sandbox.world.add_job(theirs[client], created_at=time.time(), duration_seconds=0.0)
        ended[job.job_id] = client, time.monotonic()
    return ended


def expected(ended: dict[int, tuple[int, float]], hangs: Hangs) -> dict[tuple[str, str, int], float]:
    """Return what must come to the webhooks that answer, and from when on each is waited for."""
    return {
        (f"/{client}/{webhook}/answers", kind, job_id): at
        for job_id, (client, at) in ended.items()
        for webhook in range(WEBHOOKS_EACH)
        if not hangs(client, webhook)
        for kind in ("sync.started", "sync.succeeded")
    }


async def delays(folder: Path, hangs: Hangs, seconds: float) -> tuple[list[float], int]:
    """Return the delay of each event that came, and how many did not."""
    sandbox = Sandbox(empty=True)
    settings, port = folder / "settings.toml", free_port()
    async with receiving() as receivers:
        with serving(sandbox.app) as airbyte:
            text = SETTINGS.format(port=port, airbyte=airbyte).replace("[log]", "freshness_seconds = 1\n[log]")
            settings.write_text(text + ALLOWED)
            theirs = await prepare(settings, sandbox, receivers.port, hangs)
            with serve(settings, port):
                await until_watched(folder / "gateway.db")
                wanted = expected(await end_syncs(sandbox, theirs, seconds), hangs)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await receivers.until(wanted)
        came = receivers.came
        return [came[each] - at for each, at in wanted.items() if each in came], len(wanted.keys() - came.keys())


@contextmanager
def serve(settings: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gateway", "serve", "--settings", str(settings)]
    with running(command, port, settings.with_name("gateway.log"), core=Cores().server):
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.webhooks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long syncs end, in each scene")
    seconds = parser.parse_args().seconds
    rows, broken = [], []
    for name, hangs in SCENES.items():
        with tempfile.TemporaryDirectory(prefix="webhooks-") as folder:
            found, missing = asyncio.run(delays(Path(folder), hangs, seconds))
        p99 = percentile(found, 0.99)
        rows.append((name, len(found), missing, *(f"{each:.2f}" for each in (percentile(found, 0.5), p99, max(found)))))
        if missing:
            broken.append(f"{name}: {missing} events did not come")
        if p99 > LONGEST_P99:
            broken.append(f"{name}: p99 is {p99:.2f} s, more than {LONGEST_P99:g} s")
    print_table(("who hangs", "events", "missing", "p50 s", "p99 s", "max s"), rows)
    return verdict(broken)


if __name__ == "__main__":
    sys.exit(main())
