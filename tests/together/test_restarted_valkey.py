"""What callers get while Valkey is restarted again and again, and after a failover whose old server lives on."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import httpx2

from gateway.cluster.shared_limiter import BUCKET_PREFIX
from tests.cli.conftest import wait_until
from tests.faults.installation import key_header
from tests.support import BOUND_SECONDS
from tests.together.support import Cluster, at_once
from tests.valkey import operator, running_valkey

LIMIT = 100
PER_SECONDS = 60
RESTARTS = 6
CALLERS = 4
PACE_SECONDS = 0.02


async def call_until(has_ended: Event, addresses: list[str], key: str, codes: Counter[int]) -> None:
    async def call(client: httpx2.AsyncClient, address: str) -> None:
        while not has_ended.is_set():
            codes[(await client.get(f"{address}/api/v1/status")).status_code] += 1
            await asyncio.sleep(PACE_SECONDS)

    async with httpx2.AsyncClient(timeout=BOUND_SECONDS, headers=key_header(key)) as client:
        await asyncio.gather(*(call(client, address) for address in addresses * CALLERS))


def counts_again(cluster: Cluster) -> bool:
    with operator(cluster.valkey) as redis:
        return redis.keys(f"{BUCKET_PREFIX}*") != []


def test_restarts_cost_no_answer_and_allow_twice_the_limit_at_most(cluster: Cluster) -> None:
    key = cluster.installation.key(f"{LIMIT}/{PER_SECONDS}")
    codes: Counter[int] = Counter()
    has_ended = Event()
    began = monotonic()
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(lambda: asyncio.run(call_until(has_ended, cluster.addresses[:2], key, codes)))
        try:
            for _ in range(RESTARTS):
                cluster.valkey.kill()
                cluster.valkey.start()
                wait_until(lambda: counts_again(cluster))
                enough = codes.total() + LIMIT
                wait_until(lambda: codes.total() > enough)  # noqa: B023 - waited for in this round
        finally:
            has_ended.set()
        calling.result(BOUND_SECONDS)
    seconds = monotonic() - began

    assert set(codes) == {200, 429}
    assert LIMIT / 2 <= codes[200] <= 2 * (LIMIT + seconds * LIMIT / PER_SECONDS)


def test_a_server_that_became_a_replica_is_told_by_readiness_and_doctor(cluster: Cluster, tmp_path: Path) -> None:
    """Until it is a primary again; every call has its answer meanwhile."""
    key = cluster.installation.key()
    urls = [f"{address}/api/v1/status" for address in cluster.addresses]
    cluster.wait_until_together()
    with running_valkey(tmp_path) as other, operator(cluster.valkey) as redis:
        redis.execute_command("REPLICAOF", "127.0.0.1", other.port)  # type: ignore[no-untyped-call]  # redis-py's own
        answers = asyncio.run(at_once(urls * 5, key))
        assert {answer.status_code for answer in answers} == {200}
        assert {cluster.state(gateway)["rate_limit"] for gateway in cluster.gateways} == {"local"}
        assert "is a replica and takes no writes" in cluster.installation.run("doctor").stdout

        redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]  # redis-py's own

    wait_until(cluster.count_together)
    assert "counted together at" in cluster.installation.run("doctor").stdout
