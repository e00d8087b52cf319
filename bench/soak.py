"""Fifty clients for a while, with faults in one of twenty of Airbyte's answers: `python -m bench.soak`.

Watches what must not grow (memory, descriptors, threads, tasks) and what must not happen: another client's data,
a failure that no fault explains. Exit status 1 when a promise is broken.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2

from bench.faulty import HIGH_RATE, SETTINGS, Faulty, serving
from bench.processes import free_port, running
from bench.report import (
    NOT_SAID,
    Reading,
    milliseconds,
    print_table,
    read_gauge,
    read_process,
    slope_per_hour,
    verdict,
)
from gateway.auth import keys
from gateway.sandbox import Sandbox
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import SystemClock

CLIENTS = 50
CONNECTIONS_EACH = 3
REQUESTS_PER_SECOND = 150.0
FAULT_SHARE = 0.05
MOST_FAILED_READS = 0.015
WARM_UP_SECONDS = 10.0
IDLE_SECONDS = 8.0
MORE_DESCRIPTORS = 12
"""Connections kept alive to Airbyte, and SQLite's readers, are opened at first use."""
MOST_GROWTH_MB = 16.0
MOST_SLOPE_MB = 1.0
LONG_MINUTES = 60.0
"""A slope is told from noise only over an hour."""
EXPLAINED = {502, 503, 504}


@dataclass(frozen=True)
class Tenant:
    """A client, its key, and its connections: our id → Airbyte's."""

    slug: str
    key: str
    connections: dict[str, str]


@dataclass
class Tally:
    """What was answered, and what should not have been."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)

    def count(self, *, good: bool) -> int:
        return sum(number for (_, status), number in self.statuses.items() if (status not in EXPLAINED) == good)


async def build_tenants(settings_file: Path, sandbox: Sandbox) -> list[Tenant]:
    settings = load_settings(settings_file, {})
    await create_database(settings.database_path)
    services = build_services(settings, SystemClock())
    workspace = sandbox.world.add_workspace("Soak").workspace_id
    tenants = []
    async with services.opened():
        for number in range(CLIENTS):
            slug = f"client-{number}"
            await services.clients.add(slug=slug, name=slug, plan="free")
            key = await services.keys.create(slug, name="soak", scope="full", expires=None, rate=None)
            connections = {}
            for _ in range(CONNECTIONS_EACH):
                theirs = sandbox.world.add_connection(workspace).connection_id
                ours = (
                    await services.connections.add(slug, connector_type="shopify", label="Shop", airbyte_id=theirs)
                ).connection
                connections[ours.id] = theirs
            tenants.append(Tenant(slug, key.text, connections))
    return tenants


class Caller:
    """One client's traffic: what it asks and what it must be told."""

    def __init__(self, http: httpx2.AsyncClient, tenants: list[Tenant], number: int, tally: Tally, rate: float) -> None:
        self._http = http
        self._rate = rate / CLIENTS
        self._mine = tenants[number]
        self._foreign = next(iter(tenants[number - 1].connections))
        self._chance = Random(number)  # noqa: S311 - the same traffic each time
        self._tally = tally

    async def run(self, end: float) -> None:
        calls = (self.status, self.connections, self.jobs, self.trigger, self.foreign_connection, self.bad_key)
        while time.monotonic() < end:
            await asyncio.sleep(self._chance.expovariate(self._rate))
            call = self._chance.choices(calls, (30, 30, 25, 3, 7, 5))[0]
            try:
                if not await call():
                    self._tally.wrong[call.__name__] += 1
            except httpx2.TransportError as error:
                self._tally.wrong[type(error).__name__] += 1

    async def _ask(self, method: str, path: str, key: str | None = None) -> httpx2.Response:
        started = time.monotonic()
        headers = {"Authorization": f"Bearer {key or self._mine.key}"}
        answer = await self._http.request(method, f"/api/v1{path}", headers=headers)
        self._tally.statuses[path.rpartition("/")[2], answer.status_code] += 1
        if answer.status_code < 400:
            self._tally.seconds.append(time.monotonic() - started)
        return answer

    async def status(self) -> bool:
        answer = await self._ask("GET", "/status")
        return answer.status_code == 200 and answer.json()["client"]["slug"] == self._mine.slug

    async def connections(self) -> bool:
        answer = await self._ask("GET", "/connections")
        return answer.status_code == 200 and [row["id"] for row in answer.json()["data"]] == list(
            self._mine.connections
        )

    async def jobs(self) -> bool:
        ours, theirs = self._chance.choice(list(self._mine.connections.items()))
        answer = await self._ask("GET", f"/connections/{ours}/jobs")
        if answer.status_code != 200:
            return answer.status_code in EXPLAINED
        rows = answer.json()["data"]
        numbers = [row["jobId"] for row in rows]
        return {row["connectionId"] for row in rows} <= {theirs} and numbers == sorted(numbers, reverse=True)

    async def trigger(self) -> bool:
        ours, theirs = self._chance.choice(list(self._mine.connections.items()))
        answer = await self._ask("POST", f"/connections/{ours}/sync")
        if answer.status_code != 200:
            return answer.status_code in EXPLAINED
        return bool(answer.json()["job"]["connectionId"] == theirs)

    async def foreign_connection(self) -> bool:
        return (await self._ask("GET", f"/connections/{self._foreign}/jobs")).status_code == 404

    async def bad_key(self) -> bool:
        return (await self._ask("GET", "/status", keys.mint(self._chance.choice))).status_code == 401


@dataclass
class Watch:
    """What the process had at each second, and its tasks at the start and in the end."""

    readings: list[Reading] = field(default_factory=list)
    tasks: list[float | None] = field(default_factory=list)

    async def run(self, pid: int) -> None:
        while True:
            self.readings.append(read_process(pid, time.monotonic()))
            await asyncio.sleep(1)


async def soak(
    address: str, pid: int, tenants: list[Tenant], faulty: Faulty, *, seconds: float, rate: float
) -> tuple[Tally, Watch]:
    tally, watch = Tally(), Watch()
    watch.tasks.append(read_gauge(address, "gateway_tasks"))
    watcher = asyncio.create_task(watch.run(pid))
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx2.AsyncClient(base_url=address, timeout=30, limits=limits) as http:
        faulty.share = FAULT_SHARE
        end = time.monotonic() + seconds
        await asyncio.gather(*(Caller(http, tenants, number, tally, rate).run(end) for number in range(CLIENTS)))
        faulty.share = 0.0
    await asyncio.sleep(IDLE_SECONDS)
    watcher.cancel()
    watch.readings.append(read_process(pid, time.monotonic()))
    watch.tasks.append(read_gauge(address, "gateway_tasks"))
    return tally, watch


def show(tally: Tally, watch: Watch, seconds: float) -> None:
    first, last, rss = watch.readings[0], watch.readings[-1], [reading.rss_mb for reading in watch.readings]
    offered = sum(tally.statuses.values())
    tasks = [NOT_SAID if count is None else f"{count:.0f}" for count in watch.tasks]
    print_table(
        ("seconds", "offered", "good", "failed", "p50 ms", "p99 ms", "RSS start", "end", "peak", "MB/h"),
        [
            (
                *(f"{seconds:.0f}", offered, tally.count(good=True), tally.count(good=False)),
                *(milliseconds(tally.seconds, 0.5), milliseconds(tally.seconds, 0.99)),
                *(f"{first.rss_mb:.1f}", f"{last.rss_mb:.1f}", f"{max(rss):.1f}", f"{slope_of(watch):.1f}"),
            )
        ],
    )
    print_table(
        ("", "start", "end"),
        [
            ("descriptors", first.descriptors, last.descriptors),
            ("threads", first.threads, last.threads),
            ("tasks", *tasks),
        ],
    )
    print_table(("call", "status", "count"), [(*what, count) for what, count in sorted(tally.statuses.items())])


def settled(watch: Watch) -> list[Reading]:
    """Return the readings after the warm-up."""
    return [reading for reading in watch.readings if reading.at >= watch.readings[0].at + WARM_UP_SECONDS]


def slope_of(watch: Watch) -> float:
    return slope_per_hour(settled(watch))


def broken_promises(tally: Tally, watch: Watch, minutes: float) -> list[str]:
    first, last, later = watch.readings[0], watch.readings[-1], settled(watch)
    reads = sum(count for (call, _), count in tally.statuses.items() if call == "jobs")
    failed = sum(count for (call, status), count in tally.statuses.items() if call == "jobs" and status in EXPLAINED)
    grown = later[-1].rss_mb - later[0].rss_mb
    checks = {
        f"answers that must not be: {dict(tally.wrong)}": not tally.wrong,
        f"{failed} of {reads} reads of jobs failed": failed <= max(MOST_FAILED_READS * reads, 5),
        f"descriptors {first.descriptors} → {last.descriptors}": last.descriptors
        <= first.descriptors + MORE_DESCRIPTORS,
        f"tasks {watch.tasks}": None in watch.tasks or (watch.tasks[1] or 0) <= (watch.tasks[0] or 0) + 2,
        f"memory grew by {grown:.1f} MB": grown <= MOST_GROWTH_MB,
        f"memory grows {slope_of(watch):.1f} MB/h": minutes < LONG_MINUTES or slope_of(watch) < MOST_SLOPE_MB,
    }
    return [text for text, is_kept in checks.items() if not is_kept]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--short", action="store_true", help="half a minute")
    parser.add_argument("--rate", type=float, default=REQUESTS_PER_SECOND, help="requests a second of all clients")
    options = parser.parse_args()
    minutes = 0.5 if options.short else options.minutes
    seconds = minutes * 60
    sandbox = Sandbox(empty=True)
    faulty = Faulty(sandbox.app)
    with tempfile.TemporaryDirectory(prefix="soak-") as name, serving(faulty) as airbyte:
        folder, port = Path(name), free_port()
        settings = folder / "settings.toml"
        settings.write_text((SETTINGS + HIGH_RATE).format(port=port, airbyte=airbyte))
        tenants = asyncio.run(build_tenants(settings, sandbox))
        command = [sys.executable, "-m", "gateway", "serve", "--settings", str(settings)]
        with running(command, port, folder / "gateway.log") as process:
            work = soak(f"http://127.0.0.1:{port}", process.pid, tenants, faulty, seconds=seconds, rate=options.rate)
            tally, watch = asyncio.run(work)
    show(tally, watch, seconds)
    return verdict(broken_promises(tally, watch, minutes))


if __name__ == "__main__":
    sys.exit(main())
