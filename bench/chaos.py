"""kill -9 of `gateway serve`, again and again, while others write: `python -m bench.chaos`.

A second process creates and revokes keys through the services and is killed now and then itself; a third
triggers syncs. Afterwards everything they were told is done must be so. Exit status 1 when it is not.
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from bench.faulty import HIGH_RATE, SETTINGS, serving
from bench.processes import free_port, running
from bench.report import percentile, print_table, verdict
from gateway.auth import keys
from gateway.errors import StorageUnavailable
from gateway.sandbox import Sandbox
from gateway.sandbox.history import JobQuery
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.store import create_database
from gateway.times import SystemClock

CLIENT = "acme"
CONNECTIONS = 40
KILLS_PER_WRITER = 5
SETTLE_SECONDS = 85.0
"""Longer than the gateway waits before it looks up what a killed one left open."""
LONGEST_START_SECONDS = 3.0
ASKED_AGAIN = 20


@dataclass(frozen=True)
class Place:
    """Where everything is. `pairs`: our ids and Airbyte's."""

    settings: Path
    port: int
    key: str
    pairs: list[tuple[str, str]]

    @property
    def database(self) -> Path:
        return self.settings.parent / "gateway.db"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Told:
    """What the other processes were told is done."""

    created: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    jobs: list[tuple[str, int]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def read(self, file: Path) -> None:
        """Read whole lines only: the last one may have been cut off."""
        revoking = set()
        for line in file.read_text().splitlines(keepends=True):
            word, _, rest = line.partition(" ")
            if not line.endswith("\n"):
                continue
            if word == "created":
                self.created.append(rest.strip())
            elif word == "revoking":
                revoking.add(rest.strip())
            elif word == "revoked":
                self.revoked.append(rest.strip())
            elif word == "job":
                airbyte_id, _, number = rest.strip().partition(" ")
                self.jobs.append((airbyte_id, int(number)))
        # Between the two words a key may be either.
        self.created = [text for text in self.created if text not in revoking]


async def write_keys(settings: Path) -> None:
    """Be the second process: two keys, of which one is revoked, for ever."""
    services = build_services(load_settings(settings, {}), SystemClock())
    async with services.opened():
        while True:
            try:
                kept, ended = [
                    await services.keys.create(CLIENT, name="chaos", scope="full", expires=None, rate=None)
                    for _ in range(2)
                ]
                print(f"created {kept.text}\ncreated {ended.text}\nrevoking {ended.text}", flush=True)
                await services.keys.revoke(ended.record.id)
                print(f"revoked {ended.text}", flush=True)
            except StorageUnavailable:
                continue


async def trigger_syncs(place: Place) -> None:
    """Be the third process: a trigger for each connection in turn, for ever, whether or not somebody listens."""
    headers = {"Authorization": f"Bearer {place.key}"}
    async with httpx2.AsyncClient(base_url=place.address, headers=headers, timeout=30) as http:
        while True:
            for ours, theirs in place.pairs:
                try:
                    answer = await http.post(f"/api/v1/connections/{ours}/sync")
                except httpx2.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    print(f"job {theirs} {answer.json()['job']['jobId']}", flush=True)


async def prepare(settings: Path, port: int, sandbox: Sandbox) -> Place:
    loaded = load_settings(settings, {})
    await create_database(loaded.database_path)
    services = build_services(loaded, SystemClock())
    workspace = sandbox.world.add_workspace("Chaos").workspace_id
    async with services.opened():
        await services.clients.add(slug=CLIENT, name="Acme Inc", plan="free")
        await services.clients.update(
            CLIENT, name="Acme Inc", plan="free", rate=None, rate_total=None, most_keys="100000"
        )
        key = await services.keys.create(CLIENT, name="triggers", scope="full", expires=None, rate=None)
        pairs = []
        for _ in range(CONNECTIONS):
            theirs = sandbox.world.add_connection(workspace).connection_id
            ours = (
                await services.connections.add(CLIENT, connector_type="shopify", label="Shop", airbyte_id=theirs)
            ).connection
            pairs.append((ours.id, theirs))
    return Place(settings, port, key.text, pairs)


@contextmanager
def role(name: str, place: Place, output: Path) -> Iterator[None]:
    """Start another process of this program, killed in the end."""
    description = place.settings.with_suffix(".json")
    description.write_text(json.dumps([str(place.settings), place.port, place.key, place.pairs]))
    with output.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.chaos", "--role", name, str(description)], stdout=stream
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def kill_again_and_again(place: Place, kills: int, told: Told, folder: Path) -> None:
    chance = Random(kills)  # noqa: S311 - the same instants each time
    with role("triggers", place, folder / "triggers.txt"):
        for first in range(0, kills, KILLS_PER_WRITER):
            with role("writer", place, folder / "writer.txt"):
                for _ in range(min(KILLS_PER_WRITER, kills - first)):
                    with gateway(place, told) as process:
                        time.sleep(chance.uniform(0.3, 1.5))
                        process.kill()
                        process.wait()


@contextmanager
def gateway(place: Place, told: Told) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gateway", "serve", "--settings", str(place.settings)]
    began = time.monotonic()
    with running(command, place.port, place.settings.with_name("gateway.log")) as process:
        told.starts.append(time.monotonic() - began)
        yield process


def rows(place: Place, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place.database)) as connection:
        return connection.execute(sql).fetchall()


def asked_again(place: Place, told: Told) -> bool:
    """Return whether the last keys work, or do not, as acknowledged."""
    with httpx2.Client(base_url=place.address, timeout=30) as http:

        def statuses(texts: list[str]) -> set[int]:
            headers = [{"Authorization": f"Bearer {text}"} for text in texts[-ASKED_AGAIN:]]
            return {http.get("/api/v1/status", headers=each).status_code for each in headers}

        return statuses(told.created) <= {200} and statuses(told.revoked) <= {401}


def lost_writes(place: Place, told: Told) -> list[str]:
    stored = dict(rows(place, "SELECT digest, revoked_at IS NULL FROM api_keys"))
    resolved = set(rows(place, "SELECT airbyte_id, job_id FROM triggers WHERE outcome = 'ok'"))
    return [
        *(f"created {text[:9]}…" for text in told.created if stored.get(keys.digest(text)) != 1),
        *(f"revoked {text[:9]}…" for text in told.revoked if stored.get(keys.digest(text)) != 0),
        *(f"job {number} of {airbyte_id}" for airbyte_id, number in told.jobs if (airbyte_id, number) not in resolved),
    ]


def jobs_without_row(place: Place, sandbox: Sandbox) -> list[int]:
    """Return jobs of Airbyte's that are older than the first intent of their connection."""
    intents = rows(place, "SELECT airbyte_id, min(since) FROM triggers GROUP BY airbyte_id")
    since = {airbyte_id: datetime.fromisoformat(str(first)).timestamp() for airbyte_id, first in intents}
    jobs = sandbox.world.history.select(JobQuery(limit=1_000_000))
    return [job.job_id for job, _ in jobs if job.created_at < since.get(job.connection_id, float("inf"))]


def report(place: Place, told: Told, sandbox: Sandbox, kills: int, *, works: bool, has_settled: bool) -> int:
    lost, orphans = lost_writes(place, told), jobs_without_row(place, sandbox)
    checked = [row[0] for row in rows(place, "PRAGMA integrity_check")]
    unresolved = rows(place, "SELECT number FROM triggers WHERE outcome IS NULL")
    acknowledged = len(told.created) + len(told.revoked) + len(told.jobs)
    start = percentile(told.starts, 0.5)
    print_table(
        ("kills", "created", "revoked", "jobs", "acknowledged", "lost", "unresolved", "start p50 s", "start max s"),
        [
            (
                *(kills, len(told.created), len(told.revoked), len(told.jobs), acknowledged, len(lost)),
                *(len(unresolved), f"{start:.2f}", f"{max(told.starts):.2f}"),
            )
        ],
    )
    checks = {
        f"lost: {lost[:5]}": not lost,
        f"integrity_check: {checked[:3]}": checked == ["ok"],
        f"foreign keys: {rows(place, 'PRAGMA foreign_key_check')[:3]}": not rows(place, "PRAGMA foreign_key_check"),
        f"jobs without a row: {orphans[:5]}": not orphans,
        f"{len(unresolved)} triggers still unresolved": not (has_settled and unresolved),
        "a key does not work, or works, against its acknowledgement": works,
        f"it took {start:.1f} s to start": start <= LONGEST_START_SECONDS,
        "nothing was acknowledged": bool(told.created and told.revoked and told.jobs),
    }
    return verdict([text for text, is_kept in checks.items() if not is_kept])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--no-settle", action="store_true", help="do not wait until open triggers are looked up")
    parser.add_argument("--role", choices=("writer", "triggers"), help=argparse.SUPPRESS)
    parser.add_argument("place", nargs="?", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        settings, port, key, pairs = json.loads(options.place.read_text())
        place = Place(Path(settings), port, key, [tuple(pair) for pair in pairs])
        asyncio.run(write_keys(place.settings) if options.role == "writer" else trigger_syncs(place))
    sandbox = Sandbox(empty=True)
    told = Told()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, serving(sandbox.app) as airbyte:
        folder, port = Path(name), free_port()
        settings_file = folder / "settings.toml"
        settings_file.write_text((SETTINGS + HIGH_RATE).format(port=port, airbyte=airbyte))
        place = asyncio.run(prepare(settings_file, port, sandbox))
        kill_again_and_again(place, options.kills, told, folder)
        for file in ("writer.txt", "triggers.txt"):
            told.read(folder / file)
        with gateway(place, told):
            time.sleep(0 if options.no_settle else SETTLE_SECONDS)
            works = asked_again(place, told)
        return report(place, told, sandbox, options.kills, works=works, has_settled=not options.no_settle)


if __name__ == "__main__":
    sys.exit(main())
