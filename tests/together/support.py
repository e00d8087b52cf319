"""Several gateways as their operator has them: real processes on one PostgreSQL and one Valkey, one sandbox Airbyte."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TypeVar

import httpx2
import pytest

from gateway.sandbox.history import JobQuery
from gateway.sandbox.timeline import Pace
from gateway.settings.secret import SecretUrl
from tests import plain_http
from tests.cli.conftest import Airbyte, wait_until
from tests.faults.installation import LONG_FRESH, Installation, Served, key_header, sandbox_airbyte
from tests.postgres import PostgresServer, pgbouncer, rows_of
from tests.support import BOUND_SECONDS
from tests.valkey import ValkeyServer, running_valkey

GATEWAYS = 3
FRESHNESS_SECONDS = 0.5
MOST_ATTEMPTS = 40
PAUSE_SECONDS = 0.5
FEW = 2 * GATEWAYS
"""At once: Valkey has 75 ms to answer, which on a slow machine it can do for some calls and not for hundreds."""

T = TypeVar("T")


@dataclass
class ClusterInstallation(Installation):
    """One client, `acme`, in a database of a server's."""

    url: SecretUrl

    def connections(self, count: int) -> list[tuple[str, str]]:
        world = self.airbyte.sandbox.world
        workspace = next(iter(world.workspaces), None) or world.add_workspace("Work").workspace_id
        theirs = [world.add_connection(workspace).connection_id for _ in range(count)]
        pairs = [(f"conn_{airbyte_id[:8]}{airbyte_id[-8:]}", airbyte_id) for airbyte_id in theirs]
        values = ", ".join(
            f"('{ours}', 1, 'shopify', 'Shop', 'active', '{airbyte_id}', '{workspace}', "
            f"'{LONG_FRESH}', '{LONG_FRESH}', '{LONG_FRESH}', '{LONG_FRESH}')"
            for ours, airbyte_id in pairs
        )
        self.write(
            "INSERT INTO connections (id, client_id, connector_type, label, status, airbyte_id, workspace_id, "
            f"status_checked_at, schedule_since, backfilled_at, created_at) VALUES {values}"
        )
        return pairs

    def write(self, sql: str) -> None:
        rows_of(self.url, sql)

    def key(self, rate: str = "100000/60") -> str:
        return self.stage("key", "create", "--client", "acme", "--name", "test", "--rate", rate)


@dataclass
class Cluster:
    """Three gateways, and what they share."""

    installation: ClusterInstallation
    postgres: PostgresServer
    valkey: ValkeyServer
    gateways: list[Served]

    @property
    def addresses(self) -> list[str]:
        return [gateway.address for gateway in self.gateways]

    def state(self, gateway: Served) -> dict[str, object]:
        found = plain_http.get(f"{gateway.address}/readyz").json()
        assert isinstance(found, dict)
        return found

    def count_together(self) -> bool:
        """Whether every gateway knows all others, and none counts by itself."""
        wanted = {"gateways": len(self.gateways), "rate_limit": "shared"}
        return all(self.state(gateway).items() >= wanted.items() for gateway in self.gateways)

    def wait_until_together(self) -> None:
        wait_until(self.count_together)

    def figure(self, name: str) -> int:
        """Of all gateways together."""
        pages = [plain_http.get(f"{address}/metrics").text for address in self.addresses]
        return sum(int(float(re.findall(rf"^gateway_{name} (.+)$", page, re.MULTILINE)[0])) for page in pages)

    def times_unavailable(self) -> int:
        return len(self.lines("shared_backend_unavailable"))

    def lines(self, event: str) -> list[dict[str, object]]:
        """Of all logs."""
        texts = (line for gateway in self.gateways for line in gateway.log.read_text().splitlines())
        return [found for line in texts if line.startswith("{") and (found := json.loads(line))["event"] == event]


def undisturbed(attempt: Callable[[], T], times_unavailable: Callable[[], int]) -> T:
    """Return what comes of it once no gateway finds Valkey unavailable meanwhile, as on a machine that stands still.

    What happens then is other tests' matter; this one is about the count.
    """
    for _ in range(MOST_ATTEMPTS):
        before = times_unavailable()
        result = attempt()
        if times_unavailable() == before:
            return result
        sleep(PAUSE_SECONDS)
    pytest.fail("the machine never stood still for so long")


async def ask(client: httpx2.AsyncClient, method: str, url: str, key: str) -> httpx2.Response:
    return await client.request(method, url, headers=key_header(key))


async def at_once(
    urls: Sequence[str], key: str, method: str = "GET", *, most: int | None = None
) -> list[httpx2.Response]:
    """All of them, at the same time, or `most` of them."""
    limits = httpx2.Limits(max_connections=most or len(urls))
    async with httpx2.AsyncClient(timeout=BOUND_SECONDS, limits=limits) as client:
        return await asyncio.gather(*(ask(client, method, url, key) for url in urls))


def all_know(cluster: Cluster, connection_id: str, key: str) -> bool:
    urls = [f"{address}/api/v1/connections" for address in cluster.addresses]
    return all(connection_id in answer.text for answer in asyncio.run(at_once(urls, key)))


def assert_simultaneous_triggers_are_one_job(cluster: Cluster, count: int) -> None:
    """So many on all gateways, while Airbyte takes its time with the first."""
    key = cluster.installation.key()
    ((ours, theirs),) = cluster.installation.connections(1)
    sandbox = cluster.installation.airbyte.sandbox
    urls = [f"{cluster.addresses[number % GATEWAYS]}/api/v1/connections/{ours}/sync" for number in range(count)]
    wait_until(lambda: all_know(cluster, ours, key))
    sandbox.requests.clear()
    sandbox.faults.post_hang = release = asyncio.Event()
    # However long it takes until all have come, none comes after the job's end.
    sandbox.world.pace = Pace(running_seconds=3600.0)

    def sent() -> int:
        return sum(request.method == "POST" and request.path.endswith("/jobs") for request in sandbox.requests)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: asyncio.run(at_once(urls, key, "POST")))
        try:
            wait_until(lambda: sent() > 0 and cluster.figure("callers_waiting_for_answers") == count)
            assert sent() == 1
        finally:
            sandbox.faults.post_hang = None
            sandbox.world.pace = Pace()
            cluster.installation.airbyte.loop.call_soon_threadsafe(release.set)
        answers = asking.result()

    jobs = [job.job_id for job, _ in sandbox.world.history.select(JobQuery(connection_id=theirs))]
    assert len(jobs) == 1
    told = Counter((answer.status_code, answer.text) for answer in answers)
    assert {status for status, _ in told} == {200}, told
    assert {answer.json()["job"]["jobId"] for answer in answers} == set(jobs)


def prepared(folder: Path, airbyte: Airbyte, url: SecretUrl, valkey: ValkeyServer) -> ClusterInstallation:
    installation = ClusterInstallation(folder, airbyte, url)
    installation.settings.write_text(
        f'[database]\nurl = "{url.reveal()}"\n[rate_limit]\nbackend = "{valkey.url}"\n'
        f"{airbyte.settings_toml()}freshness_seconds = {FRESHNESS_SECONDS}\n"
    )
    installation.stage("init")
    installation.stage("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return installation


@contextmanager
def running_cluster(folder: Path, postgres: PostgresServer, *, is_pooled: bool = False) -> Iterator[Cluster]:
    """`is_pooled`: with PgBouncer in transaction mode between the gateways and the server."""
    with ExitStack() as stack:
        airbyte = stack.enter_context(sandbox_airbyte())
        server_folder = folder / "valkey"
        server_folder.mkdir()
        valkey = stack.enter_context(running_valkey(server_folder))
        database = postgres.new_database()
        url = stack.enter_context(pgbouncer(postgres, database)) if is_pooled else database
        installation = prepared(folder, airbyte, url, valkey)
        gateways = [
            stack.enter_context(installation.serve(folder / f"gateway-{number}.log")) for number in range(GATEWAYS)
        ]
        cluster = Cluster(installation, postgres, valkey, gateways)
        cluster.wait_until_together()
        yield cluster
