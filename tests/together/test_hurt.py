"""What callers notice when a gateway is killed, Valkey is paused, killed or restarted, PostgreSQL is restarted."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

import httpx2
import pytest

from gateway.sandbox.history import JobQuery
from tests.cli.conftest import wait_until
from tests.faults.conftest import SLACK_SECONDS
from tests.faults.installation import Served, key_header
from tests.nginx.support import SERVER_NAME, Nginx, running_nginx
from tests.support import BOUND_SECONDS
from tests.together.support import FEW, GATEWAYS, Cluster, at_once, undisturbed

DECISION_SECONDS = 0.1
LIMIT = 90
PACE_SECONDS = 0.02
CALLERS = 4
BETWEEN = 40
"""Answers before and after what hurts."""


@dataclass
class Load:
    """Some callers, each with one request at a time: most ask for the status, now and then one triggers."""

    address: str
    key: str
    connections: Iterator[str]
    headers: dict[str, str] = field(default_factory=dict)
    reads: list[int | str] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    """When each of `reads` was asked for."""
    triggers: dict[str, httpx2.Response | str] = field(default_factory=dict)
    has_ended: Event = field(default_factory=Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """In a thread of its own: what hurts is done by this one."""
        with ThreadPoolExecutor(1) as pool:
            calling = pool.submit(asyncio.run, self._all())
            try:
                yield
            finally:
                self.has_ended.set()
                calling.result(BOUND_SECONDS)

    async def _all(self) -> None:
        headers = {**key_header(self.key), **self.headers}
        async with httpx2.AsyncClient(timeout=BOUND_SECONDS, headers=headers) as client:
            await asyncio.gather(*(self._call(client, number) for number in range(CALLERS)))

    async def _call(self, client: httpx2.AsyncClient, number: int) -> None:
        while not self.has_ended.is_set():
            connection = next(self.connections, None) if number == 0 else None
            if connection is not None:
                await self._trigger(client, connection)
            asked_at = monotonic()
            try:
                read: int | str = (await client.get(f"{self.address}/api/v1/status")).status_code
            except httpx2.TransportError as error:
                read = repr(error)
            self.asked_at.append(asked_at)
            self.reads.append(read)
            await asyncio.sleep(PACE_SECONDS)

    async def _trigger(self, client: httpx2.AsyncClient, connection: str) -> None:
        try:
            answer: httpx2.Response | str = await client.post(f"{self.address}/api/v1/connections/{connection}/sync")
        except httpx2.TransportError as error:
            answer = repr(error)
        self.triggers[connection] = answer

    def more(self) -> None:
        """So many further answers."""
        enough = len(self.reads) + BETWEEN
        wait_until(lambda: len(self.reads) >= enough)

    def since(self, moment: float) -> set[int | str]:
        """What was answered to those who asked from then on."""
        return {read for asked_at, read in zip(self.asked_at, self.reads, strict=True) if asked_at >= moment}


def assert_nothing_acknowledged_is_lost(cluster: Cluster, pairs: dict[str, str], load: Load) -> None:
    """Each trigger that was answered well has its one job, and none has two."""
    history = cluster.installation.airbyte.sandbox.world.history
    for ours, answer in load.triggers.items():
        jobs = [job.job_id for job, _ in history.select(JobQuery(connection_id=pairs[ours]))]
        assert len(jobs) <= 1
        if isinstance(answer, httpx2.Response) and answer.status_code == 200:
            assert [answer.json()["job"]["jobId"]] == jobs
        else:
            assert isinstance(answer, httpx2.Response), answer
            assert answer.status_code in {502, 503, 504}, answer.text
            assert answer.json()["error"]


@pytest.fixture
def nginx(cluster: Cluster, tmp_path: Path) -> Iterator[Nginx]:
    upstreams = [address.removeprefix("http://") for address in cluster.addresses]
    with running_nginx(tmp_path, 0, upstreams=upstreams) as running:
        yield running


def test_a_paused_valkey_leaves_each_gateway_its_share_and_each_call_its_answer(cluster: Cluster) -> None:
    urls = [f"{address}/api/v1/status" for address in cluster.addresses]

    def before() -> tuple[str, Counter[int]]:
        cluster.wait_until_together()
        key = cluster.installation.key(f"{LIMIT}/86400")
        return key, Counter(answer.status_code for answer in asyncio.run(at_once(urls * 20, key, most=FEW)))

    key, codes = undisturbed(before, cluster.times_unavailable)
    cluster.valkey.pause()
    try:
        paused, slowest = timed(urls * 2 * LIMIT, key)
    finally:
        cluster.valkey.resume()
    cluster.wait_until_together()

    def after() -> Counter[int]:
        cluster.wait_until_together()
        return Counter(answer.status_code for answer in asyncio.run(at_once(urls * LIMIT, key, most=FEW)))

    undisturbed(after, cluster.times_unavailable)

    assert codes == {200: 60}
    assert set(paused) == {200, 429}
    assert slowest < DECISION_SECONDS + SLACK_SECONDS
    assert LIMIT / GATEWAYS <= paused[200] <= LIMIT
    # What was counted together is used up now, and stays so.
    assert undisturbed(after, cluster.times_unavailable) == {429: GATEWAYS * LIMIT}


def timed(urls: list[str], key: str) -> tuple[Counter[int], float]:
    """One after the other on each gateway: the answers, and how long the slowest took."""

    async def one_gateway(client: httpx2.AsyncClient, own: list[str]) -> list[tuple[int, float]]:
        found = []
        for url in own:
            began = monotonic()
            answer = await client.get(url, headers=key_header(key))
            found.append((answer.status_code, monotonic() - began))
        return found

    async def all_gateways() -> list[tuple[int, float]]:
        async with httpx2.AsyncClient(timeout=BOUND_SECONDS) as client:
            parts = await asyncio.gather(*(one_gateway(client, urls[rank::GATEWAYS]) for rank in range(GATEWAYS)))
        return [found for part in parts for found in part]

    found = asyncio.run(all_gateways())
    return Counter(status for status, _ in found), max(seconds for _, seconds in found)


def test_a_valkey_that_is_killed_and_comes_back_costs_no_answer(cluster: Cluster) -> None:
    load = Load(cluster.addresses[0], cluster.installation.key(), iter(()))
    with load.running():
        load.more()
        cluster.valkey.kill()
        load.more()
        cluster.valkey.start()
        cluster.wait_until_together()
        load.more()

    assert set(load.reads) == {200}


def test_a_restarted_postgresql_is_found_again_and_nothing_is_wrong_meanwhile(cluster: Cluster) -> None:
    pairs = dict(cluster.installation.connections(200))
    load = Load(cluster.addresses[1], cluster.installation.key(), iter(pairs))
    with load.running():
        load.more()
        cluster.postgres.stop()
        load.more()
        cluster.postgres.start()
        cluster.wait_until_together()
        wait_until(lambda: load.reads[-1] == 200)
        recovered = monotonic()
        load.more()

    assert load.since(recovered) == {200}
    # Never 401 for a good key, never 500.
    assert set(load.reads) <= {200, 503}
    assert_nothing_acknowledged_is_lost(cluster, pairs, load)


def test_a_gateway_killed_behind_nginx_costs_no_read_and_no_acknowledged_trigger(
    cluster: Cluster, nginx: Nginx
) -> None:
    """The last test of the module: the cluster is smaller afterwards."""
    pairs = dict(cluster.installation.connections(200))
    load = Load(f"http://127.0.0.1:{nginx.port}", cluster.installation.key(), iter(pairs), {"Host": SERVER_NAME})
    with load.running():
        load.more()
        cluster.gateways.pop().kill()
        load.more()
        wait_until(lambda: knows(cluster, GATEWAYS - 1))
        load.more()

    assert set(load.reads) == {200}, Counter(load.reads)
    assert_nothing_acknowledged_is_lost(cluster, pairs, load)


def knows(cluster: Cluster, count: int) -> bool:
    """Whether all that are left have noticed."""

    def number(gateway: Served) -> object:
        return cluster.state(gateway)["gateways"]

    return all(number(gateway) == count for gateway in cluster.gateways)
